//! The hook's side of the exchange: connect, check who listens, ask.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

use crate::model::{HOOK_SOCKET, USER_SOCKET};
use crate::sys::linux::owner::{Namespaces, may_be_root};
use crate::wire::{AgentReply, Channel, HookRequest};

use super::error::HookError;

/// How long the hook waits for one answer. An engine gives a hook some seconds or minutes; the agent needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits awake: most answers come within this, and to be woken would take as long again.
const SOON: Duration = Duration::from_micros(500);

/// A connection to the agent.
pub(super) struct Agent(Channel);

impl Agent {
    /// Connects to the agent of `run_dir`, and makes sure that root, or who runs this hook, is listening there. Root's
    /// socket is closed to others, who have one of their own; also to the root of a user namespace.
    pub(super) fn connect(run_dir: &Path) -> Result<Self, HookError> {
        let mut path = run_dir.join(HOOK_SOCKET);
        let mut stream = UnixStream::connect(&path);
        if stream.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied) {
            path = run_dir.join(USER_SOCKET);
            stream = UnixStream::connect(&path);
        }
        let refused = |cause| HookError::Connect { path: path.clone(), cause };
        let stream = stream.map_err(refused)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(refused)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(refused)?;
        let listener = getsockopt(&stream, PeerCredentials).map_err(|error| refused(error.into()))?.uid();
        if listener != geteuid().as_raw() && !may_be_root(listener) {
            return Err(HookError::Impostor { path, uid: listener });
        }
        Ok(Self(Channel::new(stream)))
    }

    /// Sends `message` with `fds`; there is no answer to it, unless the agent has let us go already.
    pub(super) fn tell(&self, message: &HookRequest, fds: &[BorrowedFd<'_>]) -> Result<(), HookError> {
        self.0.send(message, fds).map_err(|error| match self.0.receive() {
            Ok((AgentReply::Refused { reason }, _)) => HookError::Refused { reason },
            _ => error.into(),
        })
    }

    /// Asks for the namespaces of a container whose first process may not be looked at.
    pub(super) fn namespaces(&self) -> Result<Namespaces, HookError> {
        let (answer, fds) = self.ask(&HookRequest::Namespaces)?;
        match (answer, <[OwnedFd; 2]>::try_from(fds)) {
            (AgentReply::Namespaces, Ok([user, mount])) => Ok(Namespaces { user, mount }),
            _ => Err(HookError::Unexpected),
        }
    }

    /// Tells the agent why this hook gives up, unless that is what the agent said; nobody waits for an answer.
    pub(super) fn lament(&self, error: &HookError) {
        if !matches!(error, HookError::Refused { .. } | HookError::Exchange(_)) {
            let _ = self.tell(&HookRequest::Failed { reason: error.to_string() }, &[]);
        }
    }

    /// Sends `request`, and returns the answer with the descriptors beside it; a refusal is an error.
    pub(super) fn ask(&self, request: &HookRequest) -> Result<(AgentReply, Vec<OwnedFd>), HookError> {
        // An agent that has answered an earlier message already has hung up: its words are there to be read.
        let sent = self.0.send(request, &[]);
        self.0.expect_soon(SOON);
        match (self.0.receive(), sent) {
            (Ok((AgentReply::Refused { reason }, _)), _) => Err(HookError::Refused { reason }),
            (Ok(answer), _) => Ok(answer),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error.into()),
        }
    }
}
