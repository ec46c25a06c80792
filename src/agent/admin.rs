//! The way in for administrators: `agent.sock`, and whom it lets in. What is said there is not its affair.

use std::io;

use tokio::net::{UnixListener, UnixStream};

use crate::sys::linux::peer::{self, Peer};
use crate::sys::linux::process::effective_uid;

/// What the log says of whom it does not let in.
pub const NOT_ADMITTED: &str = "refused: not root, not in the group";

/// A connection of an administrator's.
pub type Stream = UnixStream;

/// The socket.
pub struct Listener(UnixListener);

impl Listener {
    /// Takes a bound socket over, in a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        UnixListener::from_std(socket).map(Self)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&mut self) -> io::Result<Stream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}

/// Who may connect, besides root and the agent's own user.
#[derive(Debug, Clone, Copy)]
pub enum Admission {
    /// Nobody.
    RootOnly,
    /// Members of this group.
    Group(u32),
}

impl Admission {
    /// Who is at the other end of `stream`, and whether they may come in: by their user, their group, or one of their other
    /// groups.
    ///
    /// # Errors
    /// They have gone already.
    pub fn judge(self, stream: &Stream) -> io::Result<(Peer, bool)> {
        let peer = peer::credentials(stream)?;
        let admitted = peer.uid == 0
            || peer.uid == effective_uid()
            || match self {
                Self::RootOnly => false,
                Self::Group(group) => {
                    peer.gid == group || peer::groups(stream).is_ok_and(|groups| groups.contains(&group))
                }
            };
        Ok((peer, admitted))
    }
}

/// Whether an error of accept(2) is over with the connection that it came with.
pub fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO | libc::EPERM | libc::ECONNRESET)
    )
}
