//! The functions of a template: Go's builtins and those that Docker adds. In a header line the ones on text leave a
//! column's title as it is, as Docker has it.

use std::cmp::Ordering;

use super::printf::printf;
use super::value::Value;

/// All of them.
const NAMES: [&str; 23] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad", "print",
    "printf", "println", "slice", "split", "title", "truncate", "upper",
];
/// The most that `pad` puts on each side.
const MAX_PAD: usize = 1024;

/// Whether there is a function of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls one.
pub(super) fn call(name: &str, arguments: Vec<Value>, header: bool) -> Result<Value, String> {
    match (name, arguments.as_slice()) {
        ("join" | "json" | "lower" | "pad" | "split" | "title" | "truncate" | "upper", [title, ..]) if header => {
            Ok(title.clone())
        }
        ("json", [value]) => Ok(Value::Text(value.to_json())),
        ("lower", [Value::Text(text)]) => Ok(Value::Text(text.to_lowercase())),
        ("upper", [Value::Text(text)]) => Ok(Value::Text(text.to_uppercase())),
        ("title", [Value::Text(text)]) => Ok(Value::Text(title(text))),
        ("split", [Value::Text(text), Value::Text(separator)]) => Ok(split(text, separator)),
        ("join", [Value::List(items), Value::Text(separator)]) => {
            Ok(Value::Text(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)))
        }
        ("pad", [Value::Text(text), Value::Int(_), Value::Int(_)]) if text.is_empty() => Ok(Value::text("")),
        ("pad", [Value::Text(text), Value::Int(before), Value::Int(after)]) => {
            let spaces = |count: &i64| " ".repeat(usize::try_from(*count).unwrap_or(0).min(MAX_PAD));
            Ok(Value::Text(format!("{}{text}{}", spaces(before), spaces(after))))
        }
        ("truncate", [Value::Text(text), Value::Int(length)]) => {
            Ok(Value::Text(text.chars().take(usize::try_from(*length).unwrap_or(0)).collect()))
        }
        ("print", values) => Ok(Value::Text(print(values))),
        ("println", values) => {
            Ok(Value::Text(values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ") + "\n"))
        }
        ("printf", [Value::Text(format), values @ ..]) => Ok(Value::Text(printf(format, values))),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => index(value, keys),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("and", [first, rest @ ..]) => {
            Ok(rest.iter().fold(first, |held, next| if held.is_true() { next } else { held }).clone())
        }
        ("or", [first, rest @ ..]) => {
            Ok(rest.iter().fold(first, |held, next| if held.is_true() { held } else { next }).clone())
        }
        ("eq", [first, rest @ ..]) if !rest.is_empty() => Ok(Value::Bool(rest.contains(first))),
        ("ne", [first, second]) => Ok(Value::Bool(first != second)),
        ("lt" | "le" | "gt" | "ge", [first, second]) => {
            let order = compare(first, second)?;
            Ok(Value::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        _ => Err("wrong number or kind of arguments".to_owned()),
    }
}

/// Go's `strings.Title`: a capital at the start of each word.
fn title(text: &str) -> String {
    let mut titled = String::new();
    let mut inside = false;
    for character in text.chars() {
        if inside {
            titled.push(character);
        } else {
            titled.extend(character.to_uppercase());
        }
        inside = character.is_alphanumeric() || matches!(character, '_' | '\'');
    }
    titled
}

fn split(text: &str, separator: &str) -> Value {
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(Value::text).collect()
    } else {
        text.split(separator).map(Value::text).collect()
    };
    Value::List(parts)
}

/// Go's `fmt.Sprint`: a space between two operands when neither is text.
fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !matches!(value, Value::Text(_)) && !matches!(values[at - 1], Value::Text(_)) {
            text.push(' ');
        }
        text.push_str(&value.to_string());
    }
    text
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        other => return Err(format!("len of {other} is not defined")),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let Some((key, rest)) = keys.split_first() else { return Ok(value.clone()) };
    let found = match (value, key) {
        (Value::List(items), Value::Int(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
            item.cloned().ok_or_else(|| format!("index out of range: {at}"))?
        }
        // The maps that there are hold text: what is not there is Go's zero value.
        (Value::Map(map), Value::Text(key)) => map.get(key).cloned().unwrap_or_else(|| Value::text("")),
        (Value::Record(_), Value::Text(key)) => value.field(key).cloned().unwrap_or(Value::Nil),
        (value, _) => return Err(format!("can't index {value} so")),
    };
    index(&found, rest)
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let whole = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice {other}")),
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Value::Int(bound)) => usize::try_from(*bound).map_err(|_| format!("index out of range: {bound}")),
        Some(other) => Err(format!("cannot index slice with {other}")),
    };
    let range = bound(0, 0)?..bound(1, whole)?;
    let out_of_range = || format!("index out of range: {}", range.end);
    match value {
        Value::Text(text) => text.get(range.clone()).map(Value::text).ok_or_else(out_of_range),
        Value::List(items) => items.get(range.clone()).map(|part| Value::List(part.to_vec())).ok_or_else(out_of_range),
        _ => Err(out_of_range()),
    }
}

fn compare(first: &Value, second: &Value) -> Result<Ordering, String> {
    match (first, second) {
        (Value::Int(first), Value::Int(second)) => Ok(first.cmp(second)),
        (Value::Text(first), Value::Text(second)) => Ok(first.cmp(second)),
        (Value::Float(first), Value::Float(second)) => first.partial_cmp(second).ok_or("not a number".to_owned()),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}
