//! `runsecrets doctor` on Windows: whether the agent answers, as what, and what it says of itself. It changes nothing.

use std::path::Path;

use super::args::DoctorArguments;
use super::client::Agent;
use super::error::CliError;
use super::report::Report;
use super::verdict::conclude;
use crate::finding::{Examination, Finding, Known};

const SUBJECT: &str = "agent";
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
    conclude(arguments.format, &findings, report);
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
