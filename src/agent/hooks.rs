//! The door for hooks: threads, each of which accepts, serves one exchange, and accepts again. A container's start waits
//! for this, so there is one wake-up on the way in and none between threads. The few that wait are warm (their stacks and
//! heaps are there); when the last of them gets work, another is started, up to a limit; what is more than that waits in
//! the socket's queue.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::{Duration, Instant};

use tracing::warn;

use super::delivery::Deliveries;
use super::sockets::Replaceable;
use crate::sys::linux::peer;
use crate::sys::linux::process::effective_uid;

/// The stack of one thread: an exchange needs some tens of KiB.
const STACK: usize = 512 * 1024;
/// The pause after the system could not give us a connection.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often it is looked whether the threads have ended.
const GLANCE: Duration = Duration::from_millis(10);

/// Threads that wait for the next hook when nothing is going on.
const WAITING: usize = 4;

/// The threads that serve hooks.
pub struct HookDoor(Arc<Shared>);

struct Shared {
    /// Replaced when its name has gone.
    listener: Replaceable,
    deliveries: Arc<Deliveries>,
    patience: Duration,
    limit: usize,
    stopping: AtomicBool,
    /// Threads there are, and those of them that wait.
    threads: AtomicUsize,
    waiting: AtomicUsize,
}

impl HookDoor {
    /// Serves connections to `listener`, at most `limit` at one time, each with `patience` for one message.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(
        listener: UnixListener,
        deliveries: Arc<Deliveries>,
        limit: usize,
        patience: Duration,
    ) -> io::Result<Self> {
        let listener = Replaceable::new(listener)?;
        let (stopping, threads, waiting) = Default::default();
        let shared = Arc::new(Shared { listener, deliveries, patience, limit, stopping, threads, waiting });
        for _ in 0..WAITING.min(limit) {
            shared.start_thread()?;
        }
        Ok(Self(shared))
    }

    /// What makes this door serve another listener in the place of its own.
    pub fn replacer(&self) -> impl Fn(UnixListener) -> io::Result<()> + Send + 'static {
        let shared = Arc::clone(&self.0);
        move |listener| shared.listener.replace(listener)
    }

    /// Accepts no more, and waits until the exchanges under way have ended, but not longer than `patience`; blocks.
    pub fn close(self, patience: Duration) {
        self.0.stopping.store(true, Ordering::SeqCst);
        // Threads that wait in accept(2) return from it.
        if let Err(error) = self.0.listener.close() {
            warn!(%error, "cannot close hook.sock");
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && self.0.threads.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(GLANCE);
        }
        let open = self.0.threads.load(Ordering::SeqCst);
        if open > 0 {
            warn!(open, "exchanges with hooks cut off");
        }
    }
}

impl Shared {
    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        self.threads.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(self);
        let started = Builder::new().name("hook".to_owned()).stack_size(STACK).spawn(move || shared.serve());
        started.map(drop).inspect_err(|_| {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.threads.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// One thread's life: it ends when the agent stops, or when enough others wait.
    fn serve(self: &Arc<Self>) {
        while !self.stopping.load(Ordering::SeqCst) {
            let listener = self.listener.current();
            let accepted = listener.accept();
            let others = self.waiting.fetch_sub(1, Ordering::SeqCst) - 1;
            match accepted {
                Ok((connection, _)) => self.serve_one(connection, others),
                Err(_) if self.stopping.load(Ordering::SeqCst) => {
                    self.waiting.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Err(_) if !Arc::ptr_eq(&listener, &self.listener.current()) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EINTR)) => {}
                Err(error) => {
                    warn!(%error, "cannot accept a hook's connection");
                    std::thread::sleep(BACK_OFF);
                }
            }
            if self.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
                break;
            }
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.threads.fetch_sub(1, Ordering::SeqCst);
    }

    fn serve_one(self: &Arc<Self>, connection: UnixStream, others: usize) {
        if others == 0
            && self.threads.load(Ordering::SeqCst) < self.limit
            && let Err(error) = self.start_thread()
        {
            warn!(%error, "cannot start a thread for the next hook");
        }
        if let Some(connection) = admit(connection, self.patience) {
            // What went wrong has been said.
            let _ = self.deliveries.serve(connection);
        }
    }
}

/// The connection, if root or the agent's own user made it: others cannot open the socket, so this is the second lock.
fn admit(connection: UnixStream, patience: Duration) -> Option<UnixStream> {
    let peer = peer::credentials(&connection).ok()?;
    if peer.uid != 0 && peer.uid != effective_uid() {
        warn!(socket = "hook.sock", uid = peer.uid, pid = peer.pid, "refused: not root, not in the group");
        return None;
    }
    connection.set_read_timeout(Some(patience)).ok()?;
    connection.set_write_timeout(Some(patience)).ok()?;
    Some(connection)
}
