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

use agent::Asked;

use super::args::DoctorArguments;
use super::client::Agent;
use super::error::CliError;
use super::report::Report;
use super::template::Value;
use super::verdict::conclude;
use crate::finding::{Examination, Known};

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

    conclude(arguments.format, &findings, report);
    Ok(())
}

/// The names of the agent's services; none while it does not tell.
fn services(agent: &Agent, status: Option<&agent::Status>) -> Option<Vec<String>> {
    status.filter(|status| !status.locked)?;
    let Value::List(services) = agent.get("/runsecrets/v1/services").ok()? else { return None };
    Some(services.iter().map(|service| service.text_of("Name").to_owned()).collect())
}
