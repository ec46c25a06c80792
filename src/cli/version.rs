//! `runsecrets version`: this program and the agent, in Docker's layout.

use super::args::VersionArguments;
use super::client::Agent;
use super::error::CliError;
use super::report::Report;
use super::template::{Template, Value};

const WORDS: &str = "Client:
 Version:           {{.Client.Version}}
 OS/Arch:           {{.Client.Os}}/{{.Client.Arch}}
{{- if .Server}}

Server:
 Version:           {{.Server.Version}}
 API version:       {{.Server.ApiVersion}} (minimum version {{.Server.MinAPIVersion}})
 OS/Arch:           {{.Server.Os}}/{{.Server.Arch}}
{{- end}}";

/// Shows this program's version, and the agent's if it answers.
pub(super) fn run(arguments: &VersionArguments, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let text = match arguments.format.as_str() {
        "" => WORDS,
        "json" => "{{json .}}",
        own => own,
    };
    let template = Template::parse(text)?;
    let (server, failed) = match agent.get("/version") {
        Ok(server) => (server, None),
        Err(error) => (Value::Nil, Some(error)),
    };
    let client = Value::record([
        ("Version", Value::text(env!("CARGO_PKG_VERSION"))),
        ("Os", Value::text(std::env::consts::OS)),
        ("Arch", Value::text(machine())),
    ]);
    // With no agent there is still this program's part to show, as long as that is all that was asked for.
    match (template.render(&Value::record([("Client", client), ("Server", server)])), failed) {
        (Ok(shown), None) => report.line(&shown),
        (Ok(shown), Some(error)) => {
            report.line(&shown);
            report.error(&error);
        }
        (Err(_), Some(error)) => return Err(error),
        (Err(error), None) => return Err(error.into()),
    }
    Ok(())
}

/// The machine's architecture as Go names it.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_holds_with_and_without_an_agent() {
        let part = |version: &str| {
            Value::record([
                ("Version", Value::text(version)),
                ("ApiVersion", Value::text("1.41")),
                ("MinAPIVersion", Value::text("1.25")),
                ("Os", Value::text("linux")),
                ("Arch", Value::text("amd64")),
            ])
        };
        let render = |server| {
            Template::parse(WORDS).unwrap().render(&Value::record([("Client", part("1")), ("Server", server)])).unwrap()
        };
        let client = "Client:\n Version:           1\n OS/Arch:           linux/amd64";
        assert_eq!(render(Value::Nil), client);
        let server = "\n\nServer:\n Version:           2\n API version:       1.41 (minimum version 1.25)\n OS/Arch:           linux/amd64";
        assert_eq!(render(part("2")), format!("{client}{server}"));
    }
}
