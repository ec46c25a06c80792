//! Edits of a JSON text that leave every other byte where it is: a member is put behind the others of its object, or
//! taken out. The text must have been read by serde_json before; what is found here is only where things stand.

use std::ops::Range;

use serde_json::Value;

/// The indentation of a file that shows none of its own.
const INDENT: &str = "    ";

/// One member of an object.
struct Member {
    key: String,
    /// From its key's quotation mark to the end of its value.
    whole: Range<usize>,
    value: Range<usize>,
}

/// Sets the member at `path` to `value`: behind the others of its object where it is new. Objects on the way are made.
/// Nothing where `text` is not built as `path` says.
pub(super) fn set(text: &str, path: &[&str], value: &Value) -> Option<String> {
    let indent = indentation(text);
    let mut object = skip_space(text, 0)?;
    for (depth, key) in path.iter().enumerate() {
        let members = members(text, object)?;
        let last = depth + 1 == path.len();
        let found = members.iter().rfind(|member| member.key == *key);
        match found {
            Some(member) if last => {
                let lead = lead(text, member.whole.start).unwrap_or_default();
                let mut edited = text.to_owned();
                edited.replace_range(member.value.clone(), &pretty(value, lead, &indent));
                return Some(edited);
            }
            Some(member) => object = member.value.start,
            None => {
                let nested = path[depth + 1..].iter().rev().fold(value.clone(), |inner, key| wrap(key, inner));
                return Some(append(text, object, &members, key, &nested, &indent));
            }
        }
    }
    None
}

/// Takes the member at `path` out; the text as it is where there is none.
pub(super) fn remove(text: &str, path: &[&str]) -> Option<String> {
    let mut object = skip_space(text, 0)?;
    let (last, way) = path.split_last()?;
    for key in way {
        match members(text, object)?.into_iter().rfind(|member| member.key == *key) {
            Some(member) => object = member.value.start,
            None => return Some(text.to_owned()),
        }
    }
    let members = members(text, object)?;
    let Some(at) = members.iter().rposition(|member| member.key == *last) else { return Some(text.to_owned()) };
    let gone = match (at.checked_sub(1), members.get(at + 1)) {
        (Some(before), _) => members[before].whole.end..members[at].whole.end,
        (None, Some(next)) => members[at].whole.start..next.whole.start,
        (None, None) => object + 1..skip_space(text, members[at].whole.end)?,
    };
    let mut edited = text.to_owned();
    edited.replace_range(gone, "");
    Some(edited)
}

fn wrap(key: &str, value: Value) -> Value {
    Value::Object([(key.to_owned(), value)].into_iter().collect())
}

fn append(text: &str, object: usize, members: &[Member], key: &str, value: &Value, indent: &str) -> String {
    let mut edited = text.to_owned();
    let key = Value::from(key);
    match members.last() {
        None => {
            // `{}`, with what space there may be: the object's own line says how far in it stands.
            let line = text[..object].rfind('\n').map_or(0, |at| at + 1);
            let outer: String = text[line..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
            let inner = format!("{outer}{indent}");
            let end = skip_space(text, object + 1).unwrap_or(object + 1);
            let member = format!("\n{inner}{key}: {}\n{outer}", pretty(value, &inner, indent));
            edited.replace_range(object + 1..end, &member);
        }
        Some(last) => {
            let member = match lead(text, last.whole.start) {
                Some(lead) => format!(",\n{lead}{key}: {}", pretty(value, lead, indent)),
                None => format!(", {key}: {value}"),
            };
            edited.insert_str(last.whole.end, &member);
        }
    }
    edited
}

/// The space before `at` where nothing else is on its line.
fn lead(text: &str, at: usize) -> Option<&str> {
    let line = text[..at].rfind('\n')? + 1;
    text[line..at].bytes().all(|byte| matches!(byte, b' ' | b'\t')).then(|| &text[line..at])
}

/// How far in the first member stands.
fn indentation(text: &str) -> String {
    let first = skip_space(text, 0).and_then(|object| members(text, object)?.into_iter().next());
    first.and_then(|member| lead(text, member.whole.start)).filter(|lead| !lead.is_empty()).unwrap_or(INDENT).to_owned()
}

/// `value` over several lines, those after the first behind `lead`; lists stand on one line.
fn pretty(value: &Value, lead: &str, indent: &str) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let inner = format!("{lead}{indent}");
            let member = |(key, value): (&String, &Value)| {
                format!("\n{inner}{}: {}", Value::from(key.as_str()), pretty(value, &inner, indent))
            };
            format!("{{{}\n{lead}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The members of the object whose brace is at `object`.
fn members(text: &str, object: usize) -> Option<Vec<Member>> {
    let bytes = text.as_bytes();
    if bytes.get(object) != Some(&b'{') {
        return None;
    }
    let mut members = Vec::new();
    let mut at = skip_space(text, object + 1)?;
    while bytes.get(at)? != &b'}' {
        let start = at;
        at = string_end(text, start)?;
        let key = serde_json::from_str(&text[start..at]).ok()?;
        at = skip_space(text, at)?;
        let value = skip_space(text, at + 1)?;
        at = value_end(text, value)?;
        members.push(Member { key, whole: start..at, value: value..at });
        at = skip_space(text, at)?;
        if bytes.get(at)? == &b',' {
            at = skip_space(text, at + 1)?;
        }
    }
    Some(members)
}

fn skip_space(text: &str, from: usize) -> Option<usize> {
    let space = text.get(from..)?.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    Some(from + space)
}

/// The end of the string whose quotation mark is at `start`.
fn string_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the value that begins at `start`.
fn value_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' if depth > 0 => (at, depth) = (at + 1, depth - 1),
            // A number or a word: up to what cannot be part of one.
            b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_put_last_in_the_files_own_style_and_taken_out_again() {
        for (before, after) in [
            (
                "{\n  \"a\": [1,\n 2]\n}\n",
                "{\n  \"a\": [1,\n 2],\n  \"r\": {\n    \"x\": {\n      \"p\": \"/q\"\n    }\n  }\n}\n",
            ),
            ("{\n\t\"a\": {}\n}", "{\n\t\"a\": {},\n\t\"r\": {\n\t\t\"x\": {\n\t\t\t\"p\": \"/q\"\n\t\t}\n\t}\n}"),
            ("{\"a\": \"}\\\"{\"}", "{\"a\": \"}\\\"{\", \"r\": {\"x\":{\"p\":\"/q\"}}}"),
            (
                "{\n  \"r\": {\n    \"o\": null\n  },\n  \"z\": -1.5e3\n}\n",
                "{\n  \"r\": {\n    \"o\": null,\n    \"x\": {\n      \"p\": \"/q\"\n    }\n  },\n  \"z\": -1.5e3\n}\n",
            ),
        ] {
            let edited = set(before, &["r", "x"], &json!({"p": "/q"})).unwrap();
            assert_eq!(edited, after);
            let mut expected: Value = serde_json::from_str(before).unwrap();
            expected["r"]["x"] = json!({"p": "/q"});
            assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), expected);
            let path: &[&str] = if before.contains("\"r\"") { &["r", "x"] } else { &["r"] };
            assert_eq!(remove(&edited, path).unwrap(), before);
        }
    }

    #[test]
    fn an_empty_object_gets_lines() {
        assert_eq!(set("{}\n", &["a"], &json!([1, "b"])).unwrap(), "{\n    \"a\": [1, \"b\"]\n}\n");
        let nested = "{\n  \"r\": { }\n}";
        assert_eq!(set(nested, &["r", "x"], &json!(1)).unwrap(), "{\n  \"r\": {\n    \"x\": 1\n  }\n}");
    }

    #[test]
    fn a_member_is_replaced_where_it_stands() {
        let text = "{\n  \"r\": {\n    \"x\": {\"p\": 1},\n    \"y\": 2\n  }\n}";
        let expected = "{\n  \"r\": {\n    \"x\": {\n      \"p\": 3\n    },\n    \"y\": 2\n  }\n}";
        assert_eq!(set(text, &["r", "x"], &json!({"p": 3})).unwrap(), expected);
    }

    #[test]
    fn the_first_and_the_only_one_can_go() {
        assert_eq!(remove("{\"a\": 1, \"b\": 2}", &["a"]).unwrap(), "{\"b\": 2}");
        assert_eq!(remove("{ \"a\": 1 }", &["a"]).unwrap(), "{}");
        assert_eq!(remove("{\"a\": 1}", &["b"]).unwrap(), "{\"a\": 1}");
        assert_eq!(remove("{\"a\": 1}", &["b", "c"]).unwrap(), "{\"a\": 1}");
        assert_eq!(remove("{\"a\": 1}", &["a", "c"]), None);
    }
}
