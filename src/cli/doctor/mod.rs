//! `runsecrets doctor`: what is wrong on this machine, and what to do. It looks, asks and changes nothing; what it may
//! not look at it names. The checks here are of the agent, its sockets and keys, and the kernel; those of engines are
//! brought by another module.
//!
//! Each check reads in one function and judges in another, which is pure.

mod agent;
mod kernel;
mod keys;
mod sockets;
mod swap;

use std::path::Path;
use std::process::ExitCode;

use agent::Asked;

use super::args::{DoctorArguments, DoctorFormat};
use super::client::Agent;
use super::error::CliError;
use super::format::aligned;
use super::report::Report;
use super::template::Value;
use crate::finding::{Examination, Finding, Known, Level};

/// Errors were found.
const BROKEN: u8 = 1;
/// Warnings were found, and no errors.
const DOUBTFUL: u8 = 2;

/// Makes all checks and shows what they found.
pub(super) fn run(
    arguments: &DoctorArguments,
    socket: &Path,
    agent: &Agent,
    examinations: &[Examination],
    report: &mut Report,
) -> Result<(), CliError> {
    let run_dir = socket.parent().unwrap_or(Path::new("/"));
    let asked = Asked::ask(agent);
    let status = asked.status();
    let doors = sockets::Doors::look(run_dir, socket, status);

    let mut findings = agent::judge(&asked, socket);
    findings.extend(sockets::judge(&doors, status));
    findings.extend(keys::check(status, run_dir, doors.owner()));
    findings.extend(kernel::judge(&kernel::Features::probe(), status));
    findings.extend(swap::check(status));
    let known = Known { root: "/".into(), run_dir: run_dir.to_owned(), services: services(agent, status) };
    findings.extend(examinations.iter().flat_map(|examine| examine(&known)));

    show(arguments.format, &findings, report);
    report.conclude(verdict(&findings));
    Ok(())
}

/// The names of the agent's services; none while it does not tell.
fn services(agent: &Agent, status: Option<&agent::Status>) -> Option<Vec<String>> {
    status.filter(|status| !status.locked)?;
    let Value::List(services) = agent.get("/runsecrets/v1/services").ok()? else { return None };
    Some(services.iter().map(|service| service.text_of("Name").to_owned()).collect())
}

fn show(format: DoctorFormat, findings: &[Finding], report: &mut Report) {
    let text = match format {
        DoctorFormat::Json => serde_json::to_string_pretty(findings).unwrap_or_default() + "\n",
        DoctorFormat::Text => {
            let row = |finding: &Finding| format!("{}\t{}\t{finding}\n", finding.level(), finding.subject());
            aligned(&findings.iter().map(row).collect::<String>())
        }
    };
    report.text(&text);
}

/// The exit status by the worst finding.
fn verdict(findings: &[Finding]) -> ExitCode {
    match findings.iter().map(Finding::level).max() {
        Some(Level::Error) => ExitCode::from(BROKEN),
        Some(Level::Warning) => ExitCode::from(DOUBTFUL),
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let code = |findings: &[Finding]| format!("{:?}", verdict(findings));
        let (note, warning, error) =
            (Finding::note("a", ""), Finding::warning("a", "", ""), Finding::error("a", "", ""));
        let same = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(&[]), same(0));
        assert_eq!(code(&[note.clone(), Finding::unchecked("a", "")]), same(0));
        assert_eq!(code(&[warning.clone(), note]), same(2));
        assert_eq!(code(&[error, warning]), same(1));
    }
}
