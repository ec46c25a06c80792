//! The program `runsecrets`: arguments, one request to the agent, words or JSON. It never opens the store, needs no root
//! beyond the socket's permission, takes values from files and standard input only, and shows none.
//!
//! Exit status: 0 done; 1 something failed (each failure is a line on standard error); 125 the command line was not
//! understood and nothing was sent (Docker's own number). `doctor` has 2 besides: warnings, and nothing broken.
#![forbid(unsafe_code)]

mod args;
mod cdi;
mod client;
mod compose;
#[cfg_attr(windows, path = "windows/doctor.rs")]
mod doctor;
mod error;
mod events;
mod format;
mod input;
#[cfg_attr(windows, path = "windows/notifier.rs")]
mod notifier;
mod object;
mod ps;
#[cfg_attr(windows, path = "windows/reach.rs")]
mod reach;
mod report;
mod request;
mod secret;
mod service;
mod template;
mod unlock;
mod verdict;
mod version;
mod versions;

use std::path::Path;
use std::process::ExitCode;

use args::{Arguments, Asked, Command, ContainerCommand};
use client::Agent;
use error::CliError;
use report::Report;

use crate::finding::Examination;

pub use args::{RunVerb, Verb, definition};

/// Runs the program, with these verbs and checks of `doctor` beside its own.
pub fn main(verbs: &[Verb], examinations: &[Examination]) -> ExitCode {
    let mut report = Report::default();
    let done = match args::parse(verbs) {
        Ok(Asked::Own(arguments)) => run(arguments, examinations, &mut report),
        Ok(Asked::Brought(verb, matches)) => {
            (verb.run)(&matches, &mut |text| report.text(text)).map_err(CliError::Brought)
        }
        Err(error) => return report.usage(&error),
    };
    if let Err(error) = done {
        report.error(&error);
    }
    report.exit_code()
}

/// One command: connect, ask, show.
fn run(arguments: Arguments, examinations: &[Examination], report: &mut Report) -> Result<(), CliError> {
    let socket = args::socket(&arguments.place)?;
    let run_dir = socket.parent().map(Path::to_owned).unwrap_or_default();
    let agent = Agent::at(socket.clone())?;
    match arguments.command {
        Command::Secret(command) => secret::run(command, &agent, report),
        Command::Service(command) => service::run(command, &agent, report),
        Command::Container(ContainerCommand::Healthy(command)) => {
            service::containers_healthy(&command, &agent, report);
            Ok(())
        }
        Command::Notifier(command) => notifier::run(&command, &socket, report),
        Command::Cdi(command) => cdi::run(command, &run_dir, &agent, report),
        Command::Compose(command) => compose::run(command, &agent, report),
        Command::Unlock(command) => unlock::unlock(&command, &agent, report),
        Command::Autolock(command) => unlock::autolock(&command, &agent, report),
        Command::Ps(command) => ps::all(&command, &agent, report),
        Command::Events(command) => events::run(&command, &agent, report),
        Command::Doctor(command) => doctor::run(&command, &socket, &agent, examinations, report),
        Command::Version(command) => version::run(&command, &agent, report),
    }
}
