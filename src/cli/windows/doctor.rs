//! `runsecrets doctor` on Windows: whether the agent answers, as what, and what it says of itself. It changes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::args::{DoctorArguments, DoctorFormat};
use super::client::Agent;
use super::error::CliError;
use super::format::aligned;
use super::report::Report;
use crate::finding::{Examination, Finding, Known, Level};

const SUBJECT: &str = "agent";
/// Errors were found.
const BROKEN: u8 = 1;
/// Warnings were found, and no errors.
const DOUBTFUL: u8 = 2;

/// Makes all checks and shows what they found.
pub(super) fn run(
    arguments: &DoctorArguments,
    pipe: &Path,
    agent: &Agent,
    examinations: &[Examination],
    report: &mut Report,
) -> Result<(), CliError> {
    let known = Known { root: r"C:\".into(), run_dir: pipe.to_owned(), services: None };
    let mut findings = vec![agent_finding(agent)];
    findings.extend(examinations.iter().flat_map(|examine| examine(&known)));
    show(arguments.format, &findings, report);
    report.conclude(match findings.iter().map(Finding::level).max() {
        Some(Level::Error) => ExitCode::from(BROKEN),
        Some(Level::Warning) => ExitCode::from(DOUBTFUL),
        _ => ExitCode::SUCCESS,
    });
    Ok(())
}

fn agent_finding(agent: &Agent) -> Finding {
    match agent.get("/runsecrets/v1/status") {
        Ok(status) if status.text_of("Version") != env!("CARGO_PKG_VERSION") => Finding::warning(
            SUBJECT,
            format!("it is version {}, this program is {}", status.text_of("Version"), env!("CARGO_PKG_VERSION")),
            "install programs of one version, and restart the service",
        ),
        Ok(status) => Finding::note(
            SUBJECT,
            format!("it answers; containers are kept from a disk: {}", status.text_of("Protection")),
        ),
        Err(error) => Finding::error(SUBJECT, error.to_string(), "runsecrets-agent service status"),
    }
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
