//! The way in for administrators: `agent.sock`, and whom it lets in. What is said there is not its affair.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::task::{Context, Poll, Waker};

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use super::sockets::SocketError as DoorError;
use crate::sys::linux::peer::{self, Peer};
use crate::sys::linux::process::effective_uid;

/// What the log says of whom it does not let in.
pub const NOT_ADMITTED: &str = "refused: not root, not in the group";

/// A connection of an administrator's.
pub type Stream = UnixStream;

/// The socket.
pub struct Listener {
    socket: UnixListener,
    /// Others in the place of `socket`, when its name has gone.
    replacements: UnboundedReceiver<UnixListener>,
    reserve: Reserve,
}

impl Listener {
    /// Takes a bound socket over, and gives what replaces it. Within a runtime only.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn new(socket: StdListener) -> io::Result<(Self, Replacer)> {
        let (sender, replacements) = unbounded_channel();
        let listener = Self { socket: UnixListener::from_std(socket)?, replacements, reserve: Reserve::new() };
        Ok((listener, Replacer(sender, Handle::current())))
    }

    /// Waits for the next connection. Where there are no descriptors left, whoever waits is told so.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&mut self) -> io::Result<Stream> {
        let accepted = loop {
            tokio::select! {
                Some(socket) = self.replacements.recv() => self.socket = socket,
                accepted = self.socket.accept() => break accepted,
            }
        };
        if accepted.as_ref().is_err_and(Reserve::helps) {
            let socket = &self.socket;
            self.reserve.lend(|| {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(Ok((stream, _))) = socket.poll_accept(&mut context) {
                    turn_away(&stream);
                }
            });
        }
        accepted.map(|(stream, _)| stream)
    }
}

/// What makes a listener serve another socket in the place of its own.
#[derive(Clone)]
pub struct Replacer(UnboundedSender<UnixListener>, Handle);

impl Replacer {
    /// Has `listener` served. Where nobody listens by now, nobody is served.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn replace(&self, listener: StdListener) -> io::Result<()> {
        let _entered = self.1.enter();
        let _ = self.0.send(UnixListener::from_std(listener)?);
        Ok(())
    }
}

/// A descriptor that is kept for the time when there are no others: with it one connection more can be taken, and told why
/// it is let go.
struct Reserve(Option<File>);

impl Reserve {
    /// What a peer is told.
    const WORDS: &str = "the agent has too many open files to answer; wait, or raise its limit (LimitNOFILE=)";

    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Gives it up for as long as `work` takes.
    fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.0 = None;
        let done = work();
        *self = Self::new();
        done
    }

    /// Whether `error` says that there are no descriptors left, of this process or of the machine.
    fn helps(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }
}

/// The answer to a request that is not read.
fn turn_away(stream: &UnixStream) {
    let body = serde_json::json!({"message": Reserve::WORDS}).to_string();
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close";
    // A peer that takes nothing has gone.
    let _ = stream.try_write(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
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
