//! `runsecrets ps` and `runsecrets service ps`: the containers that hold secrets now.

use super::args::{PsArguments, ServicePs};
use super::client::Agent;
use super::error::CliError;
use super::format::{self, Columns};
use super::object::{path, rows};
use super::report::Report;
use super::service::SERVICES;
use super::template::Value;

/// How much of a long container id a table shows.
const SHORT_ID: usize = 12;
/// The length of the ids that engines make up: only those are cut, a name that a person chose is not.
const ENGINE_ID: usize = 64;

const COLUMNS: Columns = Columns {
    titles: &[
        ("Bundle", "BUNDLE"),
        ("Container", "CONTAINER"),
        ("Notified", "NOTIFIED"),
        ("Pid", "PID"),
        ("Protection", "PROTECTION"),
        ("Secrets", "SECRETS"),
        ("Service", "SERVICE"),
        ("Since", "SINCE"),
    ],
    table: "{{.Container}}\t{{.Service}}\t{{.Pid}}\t{{.Since}}\t{{.Secrets}}\t{{.Protection}}\t{{.Notified}}",
    quiet: "{{.Container}}",
};

/// All containers of this machine.
pub(super) fn all(arguments: &PsArguments, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    show("/runsecrets/v1/ps", arguments, agent, report)
}

/// The containers of one service.
pub(super) fn of_service(arguments: &ServicePs, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let path = path("service", SERVICES, &arguments.service)? + "/ps";
    show(&path, &arguments.show, agent, report)
}

fn show(path: &str, arguments: &PsArguments, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let row = |delivery: &Value, now| row(delivery, now, arguments.no_trunc);
    let rows = rows(agent.get(path)?.typed(), |delivery| delivery.text_of("Container"), row);
    report.text(&format::listed(&COLUMNS, &arguments.format, arguments.quiet, &rows)?);
    Ok(())
}

fn row(delivery: &Value, now: i128, whole: bool) -> Value {
    let id = delivery.text_of("Container");
    let id = if whole || id.len() != ENGINE_ID { id } else { &id[..SHORT_ID] };
    let list = |field| match delivery.field(field) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let since = delivery.text_of("Since");
    let mut names: Vec<String> = list("Secrets").iter().map(|secret| held_since(secret, since, now)).collect();
    names.extend(list("Ended").iter().map(|secret| ended(secret, now)));
    let mut protection = vec![delivery.text_of("Protection").to_owned()];
    protection.extend(list("Weaknesses").iter().map(ToString::to_string));
    Value::record([
        ("Bundle", Value::text(delivery.text_of("Bundle"))),
        ("Container", Value::text(id)),
        ("Notified", Value::Text(notices(delivery, now))),
        ("Pid", delivery.field("Pid").cloned().unwrap_or(Value::Nil)),
        ("Protection", Value::Text(protection.join(", "))),
        ("Secrets", Value::Text(names.join(","))),
        ("Service", Value::text(delivery.text_of("Service"))),
        ("Since", Value::Text(format::ago(since, now))),
    ])
}

/// By what a container was told of the last change.
fn notices(delivery: &Value, now: i128) -> String {
    let signal = delivery.field("Notified").map_or_else(String::new, |notified| told(notified, now));
    let command = delivery.field("Commanded").map_or_else(String::new, |command| ran(command, now));
    let both: Vec<String> = [signal, command].into_iter().filter(|text| !text.is_empty()).collect();
    both.join(", ")
}

/// Which command was run for a container, what became of it, and when.
fn ran(command: &Value, now: i128) -> String {
    match (command.field("Command"), command.text_of("Outcome")) {
        (Some(Value::List(words)), outcome) if !outcome.is_empty() => {
            let name = words.first().map(ToString::to_string).unwrap_or_default();
            format!("{name} {outcome} {}", format::ago(command.text_of("At"), now).to_lowercase())
        }
        _ => String::new(),
    }
}

/// When a container was told of a change, and by what, or that it could not be; nothing where it was not.
fn told(notified: &Value, now: i128) -> String {
    match (notified.text_of("Signal"), notified.text_of("Failure")) {
        ("", _) => String::new(),
        (signal, "") => format!("{signal} {}", format::ago(notified.text_of("At"), now).to_lowercase()),
        (signal, failure) => format!("{signal} failed: {failure}"),
    }
}

/// A secret and its version; and since when, where that has come to a container that ran.
fn held_since(secret: &Value, start: &str, now: i128) -> String {
    let since = secret.text_of("Since");
    match format::is_later(since, start) {
        true => format!("{} since {}", held(secret), format::ago(since, now).to_lowercase()),
        false => held(secret),
    }
}

/// A secret and its version, `NAME:N`.
fn held(secret: &Value) -> String {
    let version = secret.field("Version").map(ToString::to_string).unwrap_or_default();
    format!("{}:{version}", secret.text_of("Name"))
}

/// One that is there no more, and since when.
fn ended(secret: &Value, now: i128) -> String {
    format!("{} ended {}", held(secret), format::ago(secret.text_of("At"), now).to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_the_container_and_what_it_holds() {
        let id = "0123456789abcdef".repeat(4);
        let json = format!(
            r#"[{{"Container":"web_1","Service":"web","Pid":4711,"Since":"1970-01-01T00:00:00Z","Protection":"tmpfs, noswap",
            "Weaknesses":["remountable (CAP_SYS_ADMIN)"],
            "Bundle":"/b","Secrets":[{{"ID":"x","Name":"a","Version":1,"Target":"/run/secrets/a"}},
            {{"Name":"b","Version":2,"Since":"1970-01-01T00:00:51Z"}}],
            "Ended":[{{"Name":"c","Version":1,"Until":"read","At":"1970-01-01T00:00:56Z"}}],
            "Notified":{{"Signal":"SIGHUP","At":"1970-01-01T00:00:59Z","Failure":null}},
            "Commanded":{{"Command":["reload","x"],"At":"1970-01-01T00:01:00Z","Outcome":"exit 0"}}}},
            {{"Container":"{id}","Service":"web","Pid":1,"Since":"1970-01-01T00:00:00Z","Secrets":[]}}]"#
        );
        let Value::List(deliveries) = serde_json::from_str::<Value>(&json).unwrap().typed() else { panic!("a list") };
        let rows: Vec<Value> = deliveries.iter().map(|delivery| row(delivery, 61_000_000_000, false)).collect();
        let table = format::listed(&COLUMNS, "", false, &rows).unwrap();
        let cells: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.trim_end().split("   ").map(str::trim).filter(|it| !it.is_empty()).collect())
            .collect();
        assert_eq!(cells[0], ["CONTAINER", "SERVICE", "PID", "SINCE", "SECRETS", "PROTECTION", "NOTIFIED"]);
        let since = "About a minute ago";
        let (secrets, protection) =
            ("a:1,b:2 since 10 seconds ago,c:1 ended 5 seconds ago", "tmpfs, noswap, remountable (CAP_SYS_ADMIN)");
        let notified = "SIGHUP 2 seconds ago, reload exit 0 1 second ago";
        assert_eq!(cells[1], ["web_1", "web", "4711", since, secrets, protection, notified]);
        assert_eq!(cells[2], ["0123456789ab", "web", "1", since]);
        let quiet = format::listed(&COLUMNS, "", true, &[row(&deliveries[1], 0, true)]).unwrap();
        assert_eq!(quiet.trim_end(), id);
    }
}
