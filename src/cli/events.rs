//! `runsecrets events`: one line for each thing that happens, in Docker's form.

use super::args::EventsArguments;
use super::client::{Agent, encoded};
use super::error::CliError;
use super::format;
use super::object::query;
use super::report::Report;
use super::template::{Template, Value};

/// Runs it until the agent ends the stream, `--until` is reached or nobody reads any more.
pub(super) fn run(arguments: &EventsArguments, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let path = path(arguments, format::now())?;
    let template = match arguments.format.as_str() {
        "" | "json" => None,
        text => Some(Template::parse(text)?),
    };
    agent.stream(&path, |line| {
        let event: Value = serde_json::from_slice(line).map_err(|_| CliError::Answer { path: path.clone() })?;
        let event = event.typed();
        report.line(&match &template {
            Some(template) => template.render(&event)?,
            None if arguments.format == "json" => event.to_json(),
            None => words(&event),
        });
        Ok(!report.is_unread())
    })
}

fn path(arguments: &EventsArguments, now: i128) -> Result<String, CliError> {
    let mut path = format!("/events{}", query(&arguments.filters));
    for (key, time) in [("since", &arguments.since), ("until", &arguments.until)] {
        if let Some(time) = time {
            let stamp = format::as_unix(time, now).ok_or_else(|| CliError::Time(time.clone()))?;
            path.push(if path.contains('?') { '&' } else { '?' });
            path += &format!("{key}={}", encoded(&stamp));
        }
    }
    Ok(path)
}

/// `TIME secret create ID (name=NAME)`.
fn words(event: &Value) -> String {
    let actor = event.field("Actor").unwrap_or(&Value::Nil);
    let attributes = match actor.field("Attributes") {
        Some(Value::Map(map)) if !map.is_empty() => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!(" ({})", pairs.join(", "))
        }
        _ => String::new(),
    };
    let time = match event.field("timeNano") {
        Some(Value::Int(nanoseconds)) => format::rfc3339(*nanoseconds),
        _ => String::new(),
    };
    let (kind, action) = (event.text_of("Type"), event.text_of("Action"));
    format!("{time} {kind} {action} {}{attributes}", actor.text_of("ID"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Filter;

    const EVENT: &str = r#"{"Type":"secret","Action":"create","Actor":{"ID":"ej7navusj2oiqqiqoep6b9ucf","Attributes":{"name":"s10"}},"scope":"swarm","time":1795510250,"timeNano":1795510250636793563}"#;

    fn event() -> Value {
        serde_json::from_str::<Value>(EVENT).unwrap().typed()
    }

    #[test]
    fn a_line_is_dockers() {
        assert_eq!(
            words(&event()),
            "2026-11-24T08:50:50.636793563Z secret create ej7navusj2oiqqiqoep6b9ucf (name=s10)"
        );
        assert_eq!(event().to_json(), EVENT);
    }

    #[test]
    fn templates_name_fields_as_go_does() {
        let template = Template::parse("{{.Action}} {{.Actor.Attributes.name}} {{.Time}} {{.Scope}}").unwrap();
        assert_eq!(template.render(&event()).unwrap(), "create s10 1795510250 swarm");
    }

    #[test]
    fn times_and_filters_go_into_the_query() {
        let arguments = EventsArguments {
            filters: vec![Filter { name: "type".into(), value: "secret".into() }],
            since: Some("10s".into()),
            until: Some("1".into()),
            format: String::new(),
        };
        let expected = format!("/events?filters={}&since=5.000000000&until=1", encoded("{\"type\":{\"secret\":true}}"));
        assert_eq!(path(&arguments, 15_000_000_000).unwrap(), expected);
        let wrong = EventsArguments { filters: vec![], since: Some("soon".into()), until: None, format: String::new() };
        assert!(matches!(path(&wrong, 0), Err(CliError::Time(_))));
    }
}
