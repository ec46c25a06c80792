//! `inspect`: a JSON array, a template for each object, or lines for people.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::cli::template::{Template, TemplateError, Value};

/// `objects` as Docker's `inspect` shows them: no format is indented JSON, `json` is JSON in one line, all else a
/// template.
///
/// # Errors
/// A fault in the template.
pub(crate) fn inspected(format: &str, objects: &[Value]) -> Result<String, TemplateError> {
    match format {
        "" => Ok(indented(objects)),
        "json" => Ok(serde_json::to_string(objects).unwrap_or_default() + "\n"),
        template => each(&Template::parse(template)?, objects),
    }
}

/// `objects` by `template`, with every time in the lower-case form that Docker's `--pretty` has.
///
/// # Errors
/// A fault in the template.
pub(crate) fn pretty(template: &str, objects: Vec<Value>) -> Result<String, TemplateError> {
    let lowered: Vec<Value> = objects.into_iter().map(lower_times).collect();
    each(&Template::parse(template)?, &lowered)
}

fn each(template: &Template, objects: &[Value]) -> Result<String, TemplateError> {
    let mut lines = String::new();
    for object in objects {
        lines += &template.render(object)?;
        lines.push('\n');
    }
    Ok(lines)
}

fn lower_times(value: Value) -> Value {
    match value {
        Value::Record(fields) => {
            Value::Record(fields.into_iter().map(|(key, value)| (key, lower_times(value))).collect())
        }
        time @ Value::Time(_) => Value::Text(time.to_string().to_lowercase()),
        other => other,
    }
}

fn indented(objects: &[Value]) -> String {
    let mut bytes = Vec::new();
    // Writing to a Vec cannot fail, and every key is text.
    let _ = objects.serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    ")));
    bytes.push(b'\n');
    String::from_utf8(bytes).unwrap_or_default()
}
