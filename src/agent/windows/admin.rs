//! The way in for administrators: a named pipe of this machine, and whom it lets in. What is said there is not its affair.

use std::fmt;
use std::io;

use tokio::net::windows::named_pipe::NamedPipeServer;

use super::exit;
use super::service::ServiceError;
use crate::sys::sddl::PRIVATE_PIPE;
use crate::sys::windows::peer::{self, Peer};
use crate::sys::windows::pipe;

/// What the log says of whom it does not let in.
pub const NOT_ADMITTED: &str = "refused: neither SYSTEM nor an administrator";
/// ERROR_NO_DATA: the client has left before it was looked at.
const LEFT: i32 = 232;
/// ERROR_BROKEN_PIPE: the same, seen later.
const BROKEN: i32 = 109;

/// Why nobody could reach the agent, or it is no service.
#[derive(Debug)]
pub enum DoorError {
    /// Somebody has the pipe, or it could not be made.
    Pipe {
        /// Its name.
        name: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The service control manager.
    Service(ServiceError),
}

impl DoorError {
    /// The agent's exit code then.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Pipe { .. } | Self::Service(ServiceError::NotInstalled | ServiceError::NotRunning) => {
                exit::UNAVAILABLE
            }
            Self::Service(_) => exit::SYSTEM,
        }
    }
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe { name, cause } => write!(f, "cannot make the pipe {name}: {cause}; another agent may have it"),
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl From<ServiceError> for DoorError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

/// A connection of an administrator's.
pub type Stream = NamedPipeServer;

/// The pipe: always one instance that waits for the next client.
pub struct Listener {
    name: String,
    waiting: NamedPipeServer,
}

impl Listener {
    /// Makes the pipe `name`, in a tokio runtime.
    ///
    /// # Errors
    /// `PermissionDenied` where somebody has it already; those of CreateNamedPipeW.
    pub fn new(name: &str) -> io::Result<Self> {
        Ok(Self { name: name.to_owned(), waiting: pipe::listen(name, PRIVATE_PIPE, true)? })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// Those of ConnectNamedPipe and CreateNamedPipeW.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        let connected = self.waiting.connect().await;
        // The next one is there before this one is served, so that the name is never free.
        let next = pipe::listen(&self.name, PRIVATE_PIPE, false)?;
        let stream = std::mem::replace(&mut self.waiting, next);
        connected.map(|()| stream)
    }
}

/// Who may connect, as the pipe's own access list says too: SYSTEM and administrators.
#[derive(Debug, Clone, Copy)]
pub struct Admission;

impl Admission {
    /// Who is at the other end of `stream`, and whether they may come in.
    ///
    /// # Errors
    /// They have gone already, or nobody can say who they are.
    pub fn judge(self, stream: &Stream) -> io::Result<(Peer, bool)> {
        peer::credentials(stream)
    }
}

/// Whether an error of accepting is over with the connection that it came with.
pub fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(LEFT | BROKEN))
}
