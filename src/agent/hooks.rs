//! The door for hooks: a fixed number of threads, each of which accepts, serves one exchange, and accepts again. A
//! container's start waits for this, so there is one wake-up on the way in and none between threads; what is more than
//! the threads can take waits in the socket's queue.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};
use tracing::warn;

use super::delivery::Deliveries;
use crate::sys::linux::peer;
use crate::sys::linux::process::effective_uid;

/// The stack of one thread: an exchange needs some tens of KiB.
const STACK: usize = 512 * 1024;
/// The pause after the system could not give us a connection.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often it is looked whether the threads have ended.
const GLANCE: Duration = Duration::from_millis(10);

/// The threads that serve hooks.
pub struct HookDoor {
    listener: Arc<UnixListener>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl HookDoor {
    /// Starts `count` threads that serve connections to `listener`, each with `patience` for one message.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(
        listener: UnixListener,
        deliveries: &Arc<Deliveries>,
        count: usize,
        patience: Duration,
    ) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        let mut door =
            Self { listener: Arc::new(listener), stopping: Arc::default(), threads: Vec::with_capacity(count) };
        for _ in 0..count {
            let (listener, deliveries, stopping) = (door.listener.clone(), deliveries.clone(), door.stopping.clone());
            let serve = move || serve(&listener, &deliveries, patience, &stopping);
            door.threads.push(std::thread::Builder::new().name("hook".to_owned()).stack_size(STACK).spawn(serve)?);
        }
        Ok(door)
    }

    /// Accepts no more, and waits until the exchanges under way have ended, but not longer than `patience`; blocks.
    pub fn close(self, patience: Duration) {
        self.stopping.store(true, Ordering::SeqCst);
        // Threads that wait in accept(2) return from it.
        if let Err(error) = shutdown(std::os::fd::AsRawFd::as_raw_fd(&*self.listener), Shutdown::Both) {
            warn!(%error, "cannot close hook.sock");
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && self.threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(GLANCE);
        }
        let open = self.threads.iter().filter(|thread| !thread.is_finished()).count();
        if open > 0 {
            warn!(open, "exchanges with hooks cut off");
        }
    }
}

fn serve(listener: &UnixListener, deliveries: &Deliveries, patience: Duration, stopping: &AtomicBool) {
    while !stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((connection, _)) => {
                if let Some(connection) = admit(connection, patience) {
                    deliveries.serve(connection);
                }
            }
            Err(_) if stopping.load(Ordering::SeqCst) => break,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EINTR)) => {}
            Err(error) => {
                warn!(%error, "cannot accept a hook's connection");
                std::thread::sleep(BACK_OFF);
            }
        }
    }
}

/// The connection, if root or the agent's own user made it: others cannot open the socket, so this is the second lock.
fn admit(connection: UnixStream, patience: Duration) -> Option<UnixStream> {
    let peer = peer::credentials(&connection).ok()?;
    if peer.uid != 0 && peer.uid != effective_uid() {
        warn!(uid = peer.uid, pid = peer.pid, "refused a hook: not root");
        return None;
    }
    connection.set_read_timeout(Some(patience)).ok()?;
    connection.set_write_timeout(Some(patience)).ok()?;
    Some(connection)
}
