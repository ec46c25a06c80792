//! `runsecrets service …`: named sets of grants.

use super::args::{ContainerHealthy, Inspect, List, ServiceCommand, ServiceCreate, ServiceRm, ServiceUpdate};
use super::client::Agent;
use super::error::CliError;
use super::format::{self, Columns};
use super::object::{collect, label_columns, path, query, rows, shape};
use super::report::Report;
use super::request::{Create, Reference, Update};
use super::template::Value;
use super::versions::all_changed;
use crate::model::{CLAIM_ANNOTATION, Grant, Labels};

/// Where services are in the API.
pub(super) const SERVICES: &str = "/runsecrets/v1/services/";
/// How much of an id a table shows, as Docker's `service ls` does.
const SHORT_ID: usize = 12;

const COLUMNS: Columns = Columns {
    titles: &[
        ("CreatedAt", "CREATED"),
        ("ID", "ID"),
        ("Labels", "LABELS"),
        ("Name", "NAME"),
        ("Secrets", "SECRETS"),
        ("UpdatedAt", "UPDATED"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Secrets}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
    quiet: "{{.ID}}",
};

const PRETTY: &str = "ID:              {{.ID}}
Name:            {{.Name}}
{{- if .Labels }}
Labels:
{{- range $k, $v := .Labels }}
 - {{ $k }}{{if $v }}={{ $v }}{{ end }}
{{- end }}{{ end }}
{{- if .Secrets }}
Secrets:
{{- range .Secrets }}
 Target:         {{.Target}}
  Source:        {{.Source}}
  Owner:         {{.UID}}:{{.GID}}
  Mode:          {{.Mode}}
{{- if .Until }}
  Until:         {{.Until}}{{ end }}
{{- end }}{{ end }}
{{- if .Match }}
Match:
{{- range .Match }}
 - {{.}}
{{- end }}{{ end }}
Claim required:  {{.RequireClaim}}
{{- if .Users }}
Open to users:  {{range .Users}} {{.}}{{end}}
{{- end }}
{{- if .Credentials }}
Credentials:     {{.Credentials}}
{{- end }}
Created at:      {{.CreatedAt}}
Updated at:      {{.UpdatedAt}}";

/// Runs one of them.
pub(super) fn run(command: ServiceCommand, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    match command {
        ServiceCommand::Create(arguments) => create(&arguments, agent, report),
        ServiceCommand::Healthy(arguments) => {
            healthy(("service", SERVICES), &arguments.references, agent, report);
            Ok(())
        }
        ServiceCommand::Inspect(arguments) => inspect(&arguments, agent, report),
        ServiceCommand::Ls(arguments) => list(&arguments, agent, report),
        ServiceCommand::Ps(arguments) => super::ps::of_service(&arguments, agent, report),
        ServiceCommand::Rm(arguments) => {
            remove(&arguments, agent, report);
            Ok(())
        }
        ServiceCommand::Update(arguments) => update(&arguments, agent, report),
    }
}

fn create(arguments: &ServiceCreate, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let labels = Labels::parse(arguments.labels.iter().map(String::as_str)).map_err(CliError::Label)?;
    let secrets = references(&arguments.secrets)?;
    let body = Create {
        name: arguments.name.as_str(),
        labels: &labels,
        secrets,
        selectors: &arguments.selectors,
        require_claim: arguments.require_claim,
        credentials: arguments.credentials,
        notify: arguments.notify,
        notify_command: arguments.notify_command.as_ref(),
        users: &arguments.users,
    };
    let made = agent.post("/runsecrets/v1/services/create", serde_json::to_vec(&body).unwrap_or_default())?;
    report.line(made.text_of("ID"));
    if arguments.require_claim {
        // The token's only appearance: the agent keeps a hash. The line is the annotation a container has to bring.
        report.line(&format!("{CLAIM_ANNOTATION}={}", made.text_of("Claim")));
    }
    Ok(())
}

/// The grants of one command line; two for one target are refused as Docker's client does. The rest is the agent's to
/// judge: it knows the service's other grants.
fn references(grants: &[Grant]) -> Result<Vec<Reference<'_>>, CliError> {
    for (index, second) in grants.iter().enumerate() {
        if grants[..index].iter().any(|first| first.target == second.target) {
            return Err(CliError::DuplicateTarget { name: second.source.to_string() });
        }
    }
    Ok(grants.iter().map(Reference::from).collect())
}

fn inspect(arguments: &Inspect, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let format = shape(arguments)?;
    let found = collect("service", SERVICES, &arguments.references, agent, report);
    match format {
        None => report.text(&format::pretty(PRETTY, found)?),
        Some(format) => report.text(&format::inspected(format, &found)?),
    }
    Ok(())
}

fn list(arguments: &List, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let answer = agent.get(&format!("/runsecrets/v1/services{}", query(&arguments.filters)))?.typed();
    let rows = rows(answer, |service| service.text_of("Name"), row);
    report.text(&format::listed(&COLUMNS, &arguments.format, arguments.quiet, &rows)?);
    Ok(())
}

fn row(service: &Value, now: i128) -> Value {
    let (labels, label) = label_columns(service);
    let secrets = match service.field("Secrets") {
        Some(Value::List(secrets)) => secrets.len(),
        _ => 0,
    };
    Value::record([
        ("CreatedAt", Value::Text(format::ago(service.text_of("CreatedAt"), now))),
        ("ID", Value::text(service.text_of("ID").chars().take(SHORT_ID).collect::<String>())),
        ("Labels", labels),
        ("Name", Value::text(service.text_of("Name"))),
        ("Secrets", Value::Text(secrets.to_string())),
        ("UpdatedAt", Value::Text(format::ago(service.text_of("UpdatedAt"), now))),
        ("Label", label),
    ])
}

fn update(arguments: &ServiceUpdate, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let labels = Labels::parse(arguments.label_add.iter().map(String::as_str)).map_err(CliError::Label)?;
    let body = Update {
        secret_add: references(&arguments.secret_add)?,
        secret_rm: &arguments.secret_rm,
        label_add: labels.as_map(),
        label_rm: &arguments.label_rm,
        match_add: &arguments.match_add,
        match_rm: &arguments.match_rm,
        credentials: arguments.credentials,
        notify: arguments.notify.as_deref(),
        notify_command: arguments.notify_command.as_deref().map(|words| words.split_whitespace().collect()),
        user_add: &arguments.user_add,
        user_rm: &arguments.user_rm,
        live: arguments.live.live,
    };
    let path = path("service", SERVICES, &arguments.service)? + "/update";
    let answer = agent.post(&path, serde_json::to_vec(&body).unwrap_or_default())?;
    report.line(&arguments.service);
    all_changed(&answer)
}

/// Says that containers are healthy.
pub(super) fn containers_healthy(arguments: &ContainerHealthy, agent: &Agent, report: &mut Report) {
    healthy(("container", "/runsecrets/v1/containers/"), &arguments.containers, agent, report);
}

fn healthy((kind, place): (&'static str, &str), references: &[String], agent: &Agent, report: &mut Report) {
    for reference in references {
        let told = path(kind, place, reference).and_then(|path| agent.post(&(path + "/healthy"), Vec::new()));
        match told.and_then(|answer| all_changed(&answer)) {
            Ok(()) => report.line(reference),
            Err(error) => report.error(&error),
        }
    }
}

fn remove(arguments: &ServiceRm, agent: &Agent, report: &mut Report) {
    let live = if arguments.live.live { "" } else { "?live=false" };
    for reference in &arguments.services.references {
        let removed = path("service", SERVICES, reference).and_then(|path| agent.delete(&(path + live)));
        // It is removed also where a container could not be brought to let go of what it has.
        let told = removed.inspect(|_| report.line(reference)).and_then(|answer| all_changed(&answer));
        if let Err(error) = told {
            report.error(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(texts: &[&str]) -> Vec<Grant> {
        texts.iter().map(|text| Grant::parse(text).unwrap()).collect()
    }

    #[test]
    fn grants_go_out_with_dockers_defaults_and_octal_modes() {
        let grants = grants(&["a", "source=b,target=/etc/b,uid=33,gid=ssl,mode=440"]);
        let json = serde_json::to_string(&references(&grants).unwrap()).unwrap();
        assert_eq!(
            json,
            "[{\"Source\":\"a\",\"Target\":\"/run/secrets/a\",\"UID\":\"0\",\"GID\":\"0\",\"Mode\":\"0444\"},\
             {\"Source\":\"b\",\"Target\":\"/etc/b\",\"UID\":\"33\",\"GID\":\"ssl\",\"Mode\":\"0440\"}]"
        );
    }

    #[test]
    fn one_target_twice_is_refused_before_anything_is_sent() {
        let words = |texts: &[&str]| references(&grants(texts)).err().unwrap().to_string();
        assert_eq!(words(&["a", "a"]), "duplicate secret target for a not allowed");
        assert_eq!(words(&["a", "source=b,target=a"]), "duplicate secret target for b not allowed");
        assert_eq!(words(&["a", "source=b,target=/run/secrets/./a"]), "duplicate secret target for b not allowed");
        assert!(references(&grants(&["a", "source=a,target=b"])).is_ok());
    }

    #[test]
    fn pretty_and_table_have_one_line_a_fact() {
        let json = r#"{"ID":"auweyvbzdjmkcqtanjez0nkl0","Name":"web","Labels":{"k":"v"},"Secrets":[{"Source":"a",
            "Target":"/run/secrets/a","UID":"0","GID":"0","Mode":"0444","Until":null},{"Source":"b","Target":"/run/secrets/b","UID":"0",
            "GID":"0","Mode":"0444","Until":"read"}],"Match":["untrusted:tier=a.*"],"RequireClaim":false,"Credentials":false,
            "Users":[1000,1001],
            "CreatedAt":"1970-01-01T00:00:00Z","UpdatedAt":"1970-01-01T00:00:00Z","Version":{"Index":3}}"#;
        let service = serde_json::from_str::<Value>(json).unwrap().typed();
        let rows = [row(&service, 5_000_000_000)];
        assert_eq!(
            format::listed(&COLUMNS, "", false, &rows).unwrap(),
            "ID             NAME      SECRETS   CREATED         UPDATED\nauweyvbzdjmk   web       2         5 seconds ago   5 seconds ago\n"
        );
        let expected = "ID:              auweyvbzdjmkcqtanjez0nkl0
Name:            web
Labels:
 - k=v
Secrets:
 Target:         /run/secrets/a
  Source:        a
  Owner:         0:0
  Mode:          0444
 Target:         /run/secrets/b
  Source:        b
  Owner:         0:0
  Mode:          0444
  Until:         read
Match:
 - untrusted:tier=a.*
Claim required:  false
Open to users:   1000 1001
Created at:      1970-01-01 00:00:00 +0000 utc
Updated at:      1970-01-01 00:00:00 +0000 utc
";
        assert_eq!(format::pretty(PRETTY, vec![service]).unwrap(), expected);
    }
}
