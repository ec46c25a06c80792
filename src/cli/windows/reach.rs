//! Where the agent is, and how it is reached: its named pipe.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient};

use super::error::CliError;
use crate::model::PIPE;
use crate::sys::windows::pipe_client::{IMPOSTOR, server_is_trusted};

/// The environment variable that names another agent.
const HOST_VARIABLE: &str = "RUNSECRETS_HOST";
/// What `--host` takes.
pub(super) const HOST_FORM: &str = "npipe:////./pipe/ and the name of the agent's pipe";
/// Who may reach the agent.
pub(super) const WHO_MAY: &str = "run as an administrator, in an elevated window";
/// The pause before the next attempt, while all instances of the pipe are taken.
const PAUSE: Duration = Duration::from_millis(20);
/// ERROR_PIPE_BUSY: each instance of the pipe has a client, and the agent is about to make the next.
const BUSY: i32 = 231;

/// A connection to the agent.
pub(super) type Stream = NamedPipeClient;

/// The agent's pipe: what `--host` says, or the usual one. There is no run directory to name.
///
/// # Errors
/// [`CliError::Host`].
pub(super) fn address(run_dir: Option<&Path>, host: Option<&OsStr>) -> Result<PathBuf, CliError> {
    if run_dir.is_some() {
        return Err(CliError::Host);
    }
    let from_environment = std::env::var_os(HOST_VARIABLE).filter(|host| !host.is_empty());
    match host.map(OsStr::to_owned).or(from_environment) {
        Some(host) => host.to_str().and_then(pipe).ok_or(CliError::Host),
        None => Ok(PathBuf::from(PIPE)),
    }
}

/// The pipe that Docker's form of an address names: a pipe of this machine.
fn pipe(host: &str) -> Option<PathBuf> {
    let name = host.strip_prefix("npipe://")?.replace('/', "\\");
    let own = name.strip_prefix(r"\\.\pipe\")?;
    (!own.is_empty() && !own.contains('\\')).then(|| PathBuf::from(&name))
}

/// Connects, and shows the agent who asks and no more: it cannot act as this user. Nothing is sent to a pipe that is not
/// SYSTEM's, the administrators' or this user's: while no agent runs, anybody may make one of this name.
///
/// # Errors
/// Those of CreateFileW; somebody else's pipe.
pub(super) async fn connect(pipe: &Path) -> io::Result<Stream> {
    let stream = loop {
        match ClientOptions::new().open(pipe) {
            Err(error) if error.raw_os_error() == Some(BUSY) => tokio::time::sleep(PAUSE).await,
            opened => break opened?,
        }
    };
    match server_is_trusted(&stream)? {
        true => Ok(stream),
        false => Err(io::Error::other(IMPOSTOR)),
    }
}

/// How the agent is started.
pub(super) fn how_to_start(_pipe: &Path) -> String {
    "start it with: runsecrets-agent service start".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_form_names_a_pipe_of_this_machine() {
        assert_eq!(pipe("npipe:////./pipe/runsecrets"), Some(PathBuf::from(PIPE)));
        for host in ["npipe:////other/pipe/x", "npipe:////./pipe/", "npipe:////./pipe/a/b", "unix:///x", "tcp://x"] {
            assert_eq!(pipe(host), None, "{host}");
        }
    }

    /// The name is free while no agent runs: whoever takes it is told nothing.
    #[cfg(feature = "agent")]
    #[test]
    fn a_pipe_of_somebody_elses_is_told_nothing() {
        use crate::sys::windows::pipe::listen;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (number, (list, trusted)) in
            [(crate::sys::sddl::PRIVATE_PIPE, true), ("O:BUD:P(A;;GA;;;WD)", false)].into_iter().enumerate()
        {
            let name = format!(r"\\.\pipe\runsecrets-reach-{}-{number}", std::process::id());
            let connected = runtime.block_on(async {
                // Windows lets nobody make a pipe that is somebody else's: nothing is there to connect to then.
                let _server = listen(&name, list, true);
                connect(Path::new(&name)).await
            });
            assert_eq!(connected.is_ok(), trusted, "{list}: {connected:?}");
        }
    }
}
