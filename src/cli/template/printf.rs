//! Go's `printf` for the verbs that make sense on our values.

use super::value::Value;

/// The widest field and the longest precision.
const MAX_WIDTH: usize = 1024;

/// Formats `values` by `format`: `%v %s %d %q %t %x %f %%`, with `-`, `0`, width and precision. A wrong verb prints Go's `%!verb`.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut output = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(character) = chars.next() {
        if character != '%' {
            output.push(character);
            continue;
        }
        let (mut left, mut zero) = (false, false);
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
            left |= flag == '-';
            zero |= flag == '0';
        }
        let width = number(&mut chars).unwrap_or(0);
        let precision = chars.next_if_eq(&'.').map(|_| number(&mut chars).unwrap_or(0));
        let Some(verb) = chars.next() else {
            output.push_str("%!(NOVERB)");
            break;
        };
        let text = match (verb, if verb == '%' { None } else { values.next() }) {
            ('%', _) => "%".to_owned(),
            (verb, None) => format!("%!{verb}(MISSING)"),
            (verb, Some(value)) => convert(verb, value, precision),
        };
        let missing = width.saturating_sub(text.chars().count());
        match (left, zero) {
            (true, _) => output.extend(text.chars().chain(std::iter::repeat_n(' ', missing))),
            (false, zero) => {
                output.extend(std::iter::repeat_n(if zero { '0' } else { ' ' }, missing).chain(text.chars()));
            }
        }
    }
    output
}

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(MAX_WIDTH));
    }
    number
}

fn convert(verb: char, value: &Value, precision: Option<usize>) -> String {
    let cut = |text: String| precision.map_or_else(|| text.clone(), |length| text.chars().take(length).collect());
    match (verb, value) {
        ('v', value) => value.to_string(),
        ('s', value) => cut(value.to_string()),
        ('q', Value::Text(text)) => Value::text(cut(text.clone())).to_json(),
        ('d', Value::Int(number)) => number.to_string(),
        ('x', Value::Int(number)) => format!("{number:x}"),
        ('o', Value::Int(number)) => format!("{number:o}"),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('t', Value::Bool(truth)) => truth.to_string(),
        ('f', Value::Float(number)) => format!("{number:.*}", precision.unwrap_or(6)),
        (verb, value) => format!("%!{verb}({value})"),
    }
}
