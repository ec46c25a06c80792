//! What the verbs of secrets and services share: references to paths, filters to a query, answers to rows.

use std::collections::BTreeMap;

use super::args::{Filter, Inspect};
use super::client::{Agent, encoded};
use super::error::CliError;
use super::format;
use super::report::Report;
use super::template::Value;

/// The format of `inspect`, `None` for lines for people.
pub(super) fn shape(arguments: &Inspect) -> Result<Option<&str>, CliError> {
    match arguments.format.trim_start() {
        _ if arguments.pretty => Ok(None),
        "pretty" => Ok(None),
        format if format.starts_with("pretty") => Err(CliError::PrettyTemplate),
        _ => Ok(Some(&arguments.format)),
    }
}

/// What `prefix` gives for each reference; one that fails is reported and the others go on.
pub(super) fn collect(
    kind: &'static str,
    prefix: &str,
    references: &[String],
    agent: &Agent,
    report: &mut Report,
) -> Vec<Value> {
    let mut found = Vec::new();
    for reference in references {
        match path(kind, prefix, reference).and_then(|path| agent.get(&path)) {
            Ok(object) => found.push(object.typed()),
            Err(error) => report.error(&error),
        }
    }
    found
}

/// The path of one object.
pub(super) fn path(kind: &'static str, prefix: &str, reference: &str) -> Result<String, CliError> {
    match reference {
        "" => Err(CliError::NoSuch { kind }),
        reference => Ok(format!("{prefix}{}", encoded(reference))),
    }
}

/// The objects of an answer in natural order of their names, each as a row.
pub(super) fn rows(answer: Value, name: impl Fn(&Value) -> &str, row: impl Fn(&Value, i128) -> Value) -> Vec<Value> {
    let Value::List(mut objects) = answer else { return Vec::new() };
    objects.sort_by(|a, b| format::natural_order(name(a), name(b)));
    let now = format::now();
    objects.iter().map(|object| row(object, now)).collect()
}

/// The column `Labels` (`k=v,k=v`) and the method `.Label`.
pub(super) fn label_columns(owner: &Value) -> (Value, Value) {
    let Some(Value::Map(labels)) = owner.field("Labels") else {
        return (Value::text(""), Value::Label(Some(Default::default())));
    };
    let joined: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (Value::Text(joined.join(",")), Value::Label(Some(labels.clone())))
}

/// `?filters=…` as the API wants it: each name with all its values.
pub(super) fn query(filters: &[Filter]) -> String {
    if filters.is_empty() {
        return String::new();
    }
    let mut by_name: BTreeMap<&str, BTreeMap<&str, bool>> = Default::default();
    for filter in filters {
        by_name.entry(&filter.name).or_default().insert(&filter.value, true);
    }
    format!("?filters={}", encoded(&serde_json::to_string(&by_name).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_one_query() {
        let filter = |name: &str, value: &str| Filter { name: name.into(), value: value.into() };
        assert_eq!(query(&[]), "");
        let decoded = "{\"label\":{\"a=1\":true,\"b\":true},\"name\":{\"s\":true}}";
        let filters = [filter("label", "b"), filter("name", "s"), filter("label", "a=1")];
        assert_eq!(query(&filters), format!("?filters={}", encoded(decoded)));
    }
}
