//! `runsecrets notifier` on Windows: containers there are told of nothing, so there is nothing to run.

use std::path::Path;

use super::args::NotifierArguments;
use super::error::CliError;
use super::report::Report;

/// Refuses.
pub(super) fn run(_arguments: &NotifierArguments, pipe: &Path, _report: &mut Report) -> Result<(), CliError> {
    let cause = "commands in containers are run on Linux only".to_owned();
    Err(CliError::Talk { socket: pipe.to_owned(), cause })
}
