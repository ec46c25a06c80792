//! The run directory while the agent runs: sockets whose names somebody has removed are made anew, and so is the directory
//! itself with the records in it. What somebody else has put in their place is left alone, and said.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tracing::{error, warn};

use super::delivery::Deliveries;
use super::sockets::{self, Openness, SocketName};
use super::{lock, protected};

/// Permission bits of the run directory.
pub const RUN_MODE: u32 = 0o711;
/// The pause after something has gone: whoever removes the directory with what is in it is to come to the end.
const LET_FINISH: Duration = Duration::from_millis(200);
/// How long, in milliseconds, until it is tried again to put in order what could not be, and until it is looked without
/// having been told: a mount over the directory, for one, tells nobody.
const AGAIN: u16 = 1000;

/// A socket that is to stand, and what serves a new one.
pub struct Standing {
    /// Its name now.
    pub name: SocketName,
    /// Who may connect.
    pub openness: Openness,
    /// Has the door serve another listener.
    pub replace: Box<dyn Fn(UnixListener) -> io::Result<()> + Send>,
}

/// Keeps the run directory as it has to be until it is dropped; then the sockets' names go.
pub struct Keeper(Arc<Shared>);

struct Shared {
    run_dir: PathBuf,
    deliveries: Arc<Deliveries>,
    stopping: AtomicBool,
    kept: Mutex<Kept>,
}

struct Kept {
    sockets: Vec<Standing>,
    lock: File,
    /// What was last said to be wrong: it is not said again.
    complaint: Option<String>,
}

impl Keeper {
    /// Starts to look after `sockets` in `run_dir`, of which `lock` is the agent's lock.
    ///
    /// # Errors
    /// inotify(7) or a thread cannot be had.
    pub fn start(run_dir: &Path, lock: File, sockets: Vec<Standing>, deliveries: Arc<Deliveries>) -> io::Result<Self> {
        let kept = Mutex::new(Kept { sockets, lock, complaint: None });
        let shared = Shared { run_dir: run_dir.to_owned(), deliveries, stopping: AtomicBool::new(false), kept };
        let shared = Arc::new(shared);
        let (ours, inotify) = (Arc::clone(&shared), Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?);
        Builder::new().name("run directory".to_owned()).spawn(move || ours.look_after(&inotify))?;
        Ok(Self(shared))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.0.kept().sockets.clear();
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_after(&self, inotify: &Inotify) {
        let what = AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        while !self.stopping.load(Ordering::SeqCst) {
            // Each time: the directory may be another one. One that is watched already stays so.
            let _ = inotify.add_watch(&self.run_dir, what);
            self.put_in_order();
            let mut waited = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut waited, PollTimeout::from(AGAIN));
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
            if !self.stopping.load(Ordering::SeqCst) && !self.is_in_order() {
                std::thread::sleep(LET_FINISH);
            }
        }
    }

    fn is_in_order(&self) -> bool {
        self.kept().sockets.iter().all(|socket| socket.name.stands())
    }

    fn put_in_order(&self) {
        let mut kept = self.kept();
        if self.stopping.load(Ordering::SeqCst) || kept.sockets.iter().all(|socket| socket.name.stands()) {
            kept.complaint = None;
            return;
        }
        if let Err(complaint) = self.renew(&mut kept)
            && kept.complaint.as_ref() != Some(&complaint)
        {
            error!("nobody can reach the agent: {complaint}");
            kept.complaint = Some(complaint);
        }
    }

    fn renew(&self, kept: &mut Kept) -> Result<(), String> {
        if !self.run_dir.exists() {
            protected::directory(&self.run_dir, RUN_MODE).map_err(|error| error.to_string())?;
            kept.lock = lock::lock(&self.run_dir).map_err(|error| error.to_string())?;
            warn!(directory = %self.run_dir.display(), "somebody has removed the run directory: made it anew");
            self.deliveries.write_anew(&self.run_dir).map_err(|error| error.to_string())?;
        }
        for socket in kept.sockets.iter_mut().filter(|socket| !socket.name.stands()) {
            let path = socket.name.path().to_owned();
            let (listener, name) = sockets::bind(path.clone(), socket.openness).map_err(|error| error.to_string())?;
            socket.name = name;
            (socket.replace)(listener).map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
            warn!(socket = %path.display(), "somebody has removed the socket: made it anew");
        }
        Ok(())
    }
}
