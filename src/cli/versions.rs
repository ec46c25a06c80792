//! `runsecrets secret update|rollback|history`: new values for secrets that are there, also in containers that run.

use std::ffi::OsString;
use std::path::Path;

use super::args::{SecretHistory, SecretRollback, SecretUpdate};
use super::client::Agent;
use super::error::CliError;
use super::format::{self, Columns};
use super::input;
use super::object::{path, rows};
use super::report::Report;
use super::template::Value;
use crate::secret::SecretBytes;

const COLUMNS: Columns = Columns {
    titles: &[
        ("CreatedAt", "CREATED"),
        ("Current", "CURRENT"),
        ("From", "FROM"),
        ("Size", "SIZE"),
        ("Version", "VERSION"),
    ],
    table: "{{.Version}}\t{{.Current}}\t{{.Size}}\t{{.From}}\t{{.CreatedAt}}",
    quiet: "{{.Version}}",
};

/// Our own endpoints of secrets.
const SECRETS: &str = "/runsecrets/v1/secrets/";

/// `secret update`.
pub(super) fn update(arguments: &SecretUpdate, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    input::protect()?;
    let pairs = pairs(&arguments.pairs)?;
    let live = arguments.live.live;
    let answer = match pairs.as_slice() {
        [(reference, file)] => give(agent, &path("secret", SECRETS, reference)?, input::read(file)?, live)?,
        several => {
            let values = several.iter().map(|(reference, file)| Ok((*reference, input::read(file)?)));
            let values = values.collect::<Result<Vec<_>, CliError>>()?;
            let body = input::body_with_values(format!("{{\"Live\":{live}}}").as_bytes(), &values);
            drop(values);
            agent.post("/runsecrets/v1/secrets/update", body)?
        }
    };
    pairs.iter().for_each(|(reference, _)| report.line(reference));
    all_changed(&answer)
}

/// Names and files in turn.
fn pairs(words: &[OsString]) -> Result<Vec<(&str, &Path)>, CliError> {
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CliError::FileMissing);
    }
    pairs
        .iter()
        .map(|[reference, file]| {
            let reference = reference.to_str().ok_or(CliError::NoSuch { kind: "secret" })?;
            Ok((reference, Path::new(file)))
        })
        .collect()
}

/// Gives the secret at `path` a new value; what the agent says of the containers that have it.
fn give(agent: &Agent, path: &str, value: SecretBytes, live: bool) -> Result<Value, CliError> {
    let body = input::body_with_value(format!("{{\"Live\":{live}}}").as_bytes(), Some(&value));
    drop(value);
    agent.post(&format!("{path}/update"), body)
}

/// Gives a secret a new value, also in containers that run.
pub(super) fn replace(agent: &Agent, reference: &str, value: SecretBytes) -> Result<(), CliError> {
    all_changed(&give(agent, &path("secret", SECRETS, reference)?, value, true)?)
}

/// `secret rollback`.
pub(super) fn rollback(arguments: &SecretRollback, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let path = path("secret", SECRETS, &arguments.reference)?;
    let body = serde_json::json!({ "Live": arguments.live.live, "To": arguments.to });
    let answer = agent.post(&format!("{path}/rollback"), body.to_string().into_bytes())?;
    report.line(&arguments.reference);
    all_changed(&answer)
}

/// Whether every container could be changed; the first that could not is named.
pub(super) fn all_changed(answer: &Value) -> Result<(), CliError> {
    let Some(Value::List(containers)) = answer.field("Containers") else { return Ok(()) };
    let failed: Vec<&Value> = containers.iter().filter(|it| !it.text_of("Failure").is_empty()).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(CliError::Stale {
            count: failed.len(),
            first: format!("container {}: {}", first.text_of("Container"), first.text_of("Failure")),
        }),
    }
}

/// `secret history`.
pub(super) fn history(arguments: &SecretHistory, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let path = path("secret", SECRETS, &arguments.reference)?;
    let answer = agent.get(&format!("{path}/history"))?;
    let rows = rows(answer, |_| "", row);
    report.text(&format::listed(&COLUMNS, &arguments.format, arguments.quiet, &rows)?);
    Ok(())
}

fn row(version: &Value, now: i128) -> Value {
    let get = |name: &str| version.field(name).cloned().unwrap_or(Value::Nil);
    let marked = |name: &str| if get(name).to_string() == "true" { "*" } else { "" };
    let from = version.field("From").filter(|from| !matches!(from, Value::Nil));
    Value::record([
        ("CreatedAt", Value::Text(format::ago(version.text_of("CreatedAt"), now))),
        ("Current", Value::text(marked("Current"))),
        ("From", from.cloned().unwrap_or(Value::text(""))),
        ("Size", get("Size")),
        ("Version", get("Version")),
    ])
}
