//! `runsecrets secret …`: create, inspect, list, remove, prune.

use std::io::BufRead;

use serde::Serialize;

use super::args::{Inspect, List, Prune, References, SecretCommand, SecretCreate};
use super::client::Agent;
use super::error::CliError;
use super::format::{self, Columns};
use super::input;
use super::object::{collect, label_columns, path, query, rows, shape};
use super::report::Report;
use super::template::Value;
use super::versions;
use crate::model::Labels;

const COLUMNS: Columns = Columns {
    titles: &[
        ("CreatedAt", "CREATED"),
        ("Driver", "DRIVER"),
        ("ID", "ID"),
        ("Labels", "LABELS"),
        ("Name", "NAME"),
        ("UpdatedAt", "UPDATED"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
    quiet: "{{.ID}}",
};

/// Docker's own lines for `--pretty`.
const PRETTY: &str = "ID:              {{.ID}}
Name:              {{.Name}}
{{- if .Labels }}
Labels:
{{- range $k, $v := .Labels }}
 - {{ $k }}{{if $v }}={{ $v }}{{ end }}
{{- end }}{{ end }}
Driver:            {{.Driver}}
Created at:        {{.CreatedAt}}
Updated at:        {{.UpdatedAt}}";

/// The body of `POST /secrets/create`, without the value.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Create<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<Driver<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) templating: Option<Driver<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Driver<'a> {
    name: &'a str,
}

impl<'a> Driver<'a> {
    fn named(name: &'a str) -> Option<Self> {
        (!name.is_empty()).then_some(Self { name })
    }
}

/// Runs one of them.
pub(super) fn run(command: SecretCommand, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    match command {
        SecretCommand::Create(arguments) => create(&arguments, agent, report),
        SecretCommand::Inspect(arguments) => inspect(&arguments, agent, report),
        SecretCommand::Ls(arguments) => list(&arguments, agent, report),
        SecretCommand::Rm(References { references }) => {
            remove(&references, agent, report);
            Ok(())
        }
        SecretCommand::Prune(arguments) => prune(&arguments, agent, report),
        SecretCommand::Update(arguments) => versions::update(&arguments, agent, report),
        SecretCommand::Rollback(arguments) => versions::rollback(&arguments, agent, report),
        SecretCommand::History(arguments) => versions::history(&arguments, agent, report),
    }
}

fn create(arguments: &SecretCreate, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    input::protect()?;
    let value = match (&arguments.file, arguments.driver.is_empty()) {
        (Some(file), true) => Some(input::read(file)?),
        (None, false) => None,
        (None, true) => return Err(CliError::FileMissing),
        (Some(_), false) => return Err(CliError::DriverAndValue),
    };
    let labels = Labels::parse(arguments.labels.iter().map(String::as_str)).map_err(CliError::Label)?;
    let head = Create {
        name: &arguments.name,
        labels: &labels,
        driver: Driver::named(&arguments.driver),
        templating: Driver::named(&arguments.template_driver),
    };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let body = input::body_with_value(&head, value.as_ref());
    drop(value);
    let made = agent.post("/secrets/create", body)?;
    report.line(made.text_of("ID"));
    Ok(())
}

fn inspect(arguments: &Inspect, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let format = shape(arguments)?;
    let found = collect("secret", "/secrets/", &arguments.references, agent, report);
    match format {
        None => report.text(&format::pretty(PRETTY, found.iter().map(pretty_fields).collect())?),
        Some(format) => report.text(&format::inspected(format, &found)?),
    }
    Ok(())
}

fn pretty_fields(secret: &Value) -> Value {
    let spec = secret.field("Spec").unwrap_or(&Value::Nil);
    let get = |from: &Value, name: &str| from.field(name).cloned().unwrap_or(Value::Nil);
    Value::record([
        ("ID", get(secret, "ID")),
        ("Name", get(spec, "Name")),
        ("Labels", get(spec, "Labels")),
        ("Driver", Value::text(spec.field("Driver").map_or("", |driver| driver.text_of("Name")))),
        ("CreatedAt", get(secret, "CreatedAt")),
        ("UpdatedAt", get(secret, "UpdatedAt")),
    ])
}

fn list(arguments: &List, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let answer = agent.get(&format!("/secrets{}", query(&arguments.filters)))?.typed();
    let rows = rows(answer, |secret| secret.field("Spec").map_or("", |spec| spec.text_of("Name")), row);
    report.text(&format::listed(&COLUMNS, &arguments.format, arguments.quiet, &rows)?);
    Ok(())
}

fn row(secret: &Value, now: i128) -> Value {
    let spec = secret.field("Spec").unwrap_or(&Value::Nil);
    let (labels, label) = label_columns(spec);
    Value::record([
        ("CreatedAt", Value::Text(format::ago(secret.text_of("CreatedAt"), now))),
        ("Driver", Value::text(spec.field("Driver").map_or("", |driver| driver.text_of("Name")))),
        ("ID", Value::text(secret.text_of("ID"))),
        ("Labels", labels),
        ("Name", Value::text(spec.text_of("Name"))),
        ("UpdatedAt", Value::Text(format::ago(secret.text_of("UpdatedAt"), now))),
        ("Label", label),
    ])
}

fn remove(references: &[String], agent: &Agent, report: &mut Report) {
    for reference in references {
        match path("secret", "/secrets/", reference).and_then(|path| agent.delete(&path)) {
            Ok(_) => report.line(reference),
            Err(error) => report.error(&error),
        }
    }
}

fn prune(arguments: &Prune, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    if !arguments.force {
        report.text(
            "WARNING! This will remove all secrets that no service is granted.\nAre you sure you want to continue? [y/N] ",
        );
        if !confirmed(std::io::stdin().lock()) {
            return Ok(());
        }
    }
    let answer = agent.post("/runsecrets/v1/secrets/prune", b"{}".to_vec())?;
    if let Some(Value::List(deleted)) = answer.field("Deleted")
        && !deleted.is_empty()
    {
        report.line("Deleted Secrets:");
        for name in deleted {
            report.line(&name.to_string());
        }
    }
    Ok(())
}

/// Whether the next line says yes; the end of input says no.
fn confirmed(mut input: impl BufRead) -> bool {
    let mut line = String::new();
    input.read_line(&mut line).is_ok() && line.trim().eq_ignore_ascii_case("y")
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
