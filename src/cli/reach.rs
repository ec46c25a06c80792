//! Where the agent is, and how it is reached: its Unix socket.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use super::error::CliError;
use crate::model::RUN_DIR;

/// The environment variable that moves the run directory.
const RUN_DIR_VARIABLE: &str = "RUNSECRETS_RUN_DIR";
/// What `--host` takes.
pub(super) const HOST_FORM: &str = "unix:// and the absolute path of the agent's socket";
/// Who may reach the agent.
pub(super) const WHO_MAY: &str = "run as root or as a member of the group runsecrets";

/// A connection to the agent.
pub(super) type Stream = UnixStream;

/// The agent's socket: what `--host` says, or the one in the run directory.
///
/// # Errors
/// [`CliError::Host`].
pub(super) fn address(run_dir: Option<&Path>, host: Option<&OsStr>) -> Result<PathBuf, CliError> {
    if let Some(host) = host {
        let path = host.to_str().and_then(|host| host.strip_prefix("unix://")).filter(|path| path.starts_with('/'));
        return path.map(PathBuf::from).ok_or(CliError::Host);
    }
    let from_environment = || std::env::var_os(RUN_DIR_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let run_dir = run_dir.map(Path::to_owned).or_else(from_environment).unwrap_or_else(|| PathBuf::from(RUN_DIR));
    Ok(run_dir.join("agent.sock"))
}

/// Connects.
///
/// # Errors
/// Those of connect(2).
pub(super) async fn connect(socket: &Path) -> io::Result<Stream> {
    UnixStream::connect(socket).await
}

/// How the agent of `socket` is started.
pub(super) fn how_to_start(socket: &Path) -> String {
    let run_dir = socket.parent().unwrap_or(socket).display();
    format!("start it with: systemctl start runsecrets-agent (or runsecrets-agent --run-dir {run_dir})")
}
