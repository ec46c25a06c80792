//! The door for the hooks of other users than root, `user.sock`: a socket of its own, so that the one for root's stays
//! closed to all others, and neither its queue nor its threads are ever taken by them. Everybody may connect; who has no
//! business here, or more connections than its part, is let go before a byte is read.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use tracing::warn;

use super::delivery::Deliveries;
use super::listen::Throttle;
use super::sockets::Replaceable;
use crate::sys::linux::peer;
use crate::wire::{AgentReply, Channel};

/// The stack of one thread: an exchange needs some tens of KiB.
const STACK: usize = 512 * 1024;
/// Connections of all users at one time.
const MAX_CONNECTIONS: usize = 128;
/// How long a connection's place stays taken after an exchange that failed: so often can a user have it fail, and logged.
const PENANCE: Duration = Duration::from_secs(1);
/// How long after one that went well: the hook has its answer by then, and so often can a user have a delivery logged.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after the system could not give us a connection.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long a refused hook may take to take its refusal, which fits the socket's buffer.
const FAREWELL: Duration = Duration::from_millis(10);
/// How often it is looked whether the threads have ended.
const GLANCE: Duration = Duration::from_millis(10);

/// Who may come in, and how many at one time.
#[derive(Debug, Clone)]
pub struct Admittance {
    /// These users; none: every user.
    pub users: Option<Vec<u32>>,
    /// Connections of one user at one time.
    pub connections: usize,
    /// How long a hook has for one message.
    pub patience: Duration,
}

/// The threads that serve users' hooks.
pub struct UserDoor(Arc<Shared>);

struct Shared {
    /// Replaced when its name has gone.
    listener: Replaceable,
    deliveries: Arc<Deliveries>,
    admittance: Admittance,
    stopping: AtomicBool,
    /// Connections by user.
    open: Mutex<HashMap<u32, usize>>,
}

/// A connection's place; given up when dropped.
struct Place {
    shared: Arc<Shared>,
    uid: u32,
}

impl UserDoor {
    /// Serves connections to `listener`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(listener: UnixListener, deliveries: Arc<Deliveries>, admittance: Admittance) -> io::Result<Self> {
        let listener = Replaceable::new(listener)?;
        let (stopping, open) = Default::default();
        let shared = Arc::new(Shared { listener, deliveries, admittance, stopping, open });
        let door = Arc::clone(&shared);
        Builder::new().name("user door".to_owned()).stack_size(STACK).spawn(move || door.keep())?;
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
        // The thread that waits in accept(2) returns from it.
        if let Err(error) = self.0.listener.close() {
            warn!(%error, "cannot close user.sock");
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && !self.0.lock().is_empty() {
            std::thread::sleep(GLANCE);
        }
    }
}

impl Shared {
    fn keep(self: &Arc<Self>) {
        let (mut refused, mut failed) = (Throttle::default(), Throttle::default());
        while !self.stopping.load(Ordering::SeqCst) {
            let listener = self.listener.current();
            let connection = match listener.accept() {
                Ok((connection, _)) => connection,
                Err(_) if self.stopping.load(Ordering::SeqCst) => break,
                Err(_) if !Arc::ptr_eq(&listener, &self.listener.current()) => continue,
                Err(error) if matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EINTR)) => continue,
                Err(error) => {
                    if let Some(unsaid) = failed.due() {
                        warn!(socket = "user.sock", %error, unsaid, "cannot accept a connection");
                    }
                    std::thread::sleep(BACK_OFF);
                    continue;
                }
            };
            let Ok(peer) = peer::credentials(&connection) else { continue };
            let (reason, unsaid) = match self.admit(peer.uid) {
                Ok(place) => {
                    let serve = move || place.serve(connection);
                    match Builder::new().name("user hook".to_owned()).stack_size(STACK).spawn(serve) {
                        Ok(_) => continue,
                        Err(error) => (error.to_string(), failed.due()),
                    }
                }
                Err(reason) => {
                    tell(connection, reason);
                    (reason.to_owned(), refused.due())
                }
            };
            if let Some(unsaid) = unsaid {
                warn!(socket = "user.sock", uid = peer.uid, pid = peer.pid, unsaid, "refused: {reason}");
            }
        }
    }

    /// A place for a connection of `uid`.
    fn admit(self: &Arc<Self>, uid: u32) -> Result<Place, &'static str> {
        if self.admittance.users.as_ref().is_some_and(|users| !users.contains(&uid)) {
            return Err("this user is not one of rootless.users in the agent's configuration; ask an administrator");
        }
        let mut open = self.lock();
        let all: usize = open.values().sum();
        let own = open.get(&uid).copied().unwrap_or_default();
        if own >= self.admittance.connections || all >= MAX_CONNECTIONS {
            return Err("too many hooks of users at one time; try again, or raise rootless.connections");
        }
        open.insert(uid, own + 1);
        Ok(Place { shared: Arc::clone(self), uid })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// One thread's life: one exchange.
    fn serve(self, connection: UnixStream) {
        let patience = Some(self.shared.admittance.patience);
        if connection.set_read_timeout(patience).is_err() || connection.set_write_timeout(patience).is_err() {
            return;
        }
        // What went wrong has been said.
        let pause = self.shared.deliveries.serve(connection).map_or(PENANCE, |()| PAUSE);
        if !self.shared.stopping.load(Ordering::SeqCst) {
            std::thread::sleep(pause);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.lock();
        match open.get_mut(&self.uid) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.uid)),
        }
    }
}

/// Tells a hook why it is let go. It may be gone, or take nothing: that is its affair.
fn tell(connection: UnixStream, reason: &str) {
    if connection.set_write_timeout(Some(FAREWELL)).is_ok() {
        let _ = Channel::new(connection).send(&AgentReply::Refused { reason: reason.to_owned() }, &[]);
    }
}
