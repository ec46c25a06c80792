//! `runsecrets unlock` and `runsecrets autolock …`: the lock on the root key. The unlock key is read as values are, never
//! from the command line, and is shown once, when it is made.

use std::path::Path;

use super::args::{AutolockCommand, KeyFile};
use super::client::Agent;
use super::error::CliError;
use super::input;
use super::report::Report;
use crate::sys::here::process;

const UNLOCK: &str = "/runsecrets/v1/unlock";
const AUTOLOCK: &str = "/runsecrets/v1/autolock";

/// Gives the unlock key to the agent.
pub(super) fn unlock(arguments: &KeyFile, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let answer = agent.post(UNLOCK, body("{\"Autolock\":false}", Some(&arguments.file))?)?;
    report.line(match answer.text_of("State") {
        "opened" => "The agent is unlocked.",
        "confirmed" => "Autolock is on: from its next start the agent is locked until this key is given.",
        _ => "The agent was not locked.",
    });
    Ok(())
}

/// Turns autolock on (the first of two steps) or off.
pub(super) fn autolock(command: &AutolockCommand, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    match command {
        AutolockCommand::On { file } => {
            let answer = agent.post(AUTOLOCK, body("{\"Autolock\":true}", file.as_deref())?)?;
            report.line("Keep this unlock key in a safe place apart from this machine; it is shown only now:");
            report.line("");
            report.line(&format!("    {}", answer.text_of("UnlockKey")));
            report.line("");
            report.line("To complete, give it back once: runsecrets unlock");
        }
        AutolockCommand::Off(arguments) => {
            agent.post(AUTOLOCK, body("{\"Autolock\":false}", Some(&arguments.file))?)?;
            report.line("Autolock is off: the root key stands in the state directory again.");
        }
    }
    Ok(())
}

fn body(head: &str, file: Option<&Path>) -> Result<Vec<u8>, CliError> {
    process::forbid_core_files().and_then(|()| process::forbid_dumps()).map_err(CliError::Protection)?;
    let key = file.map(input::read).transpose()?;
    Ok(input::body_with_value(head.as_bytes(), key.as_ref()))
}
