//! File systems that a user may go on holding: by a descriptor, or in a mount namespace of its own, when they are scrubbed
//! and the agent has let go of them. Each counts as its user's until the kernel says that it is gone.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::sys::linux::path::Dir;

use super::DeliveryError;
use super::users::Share;

/// The file systems whose end is waited for, each with what it is a part of.
pub(super) struct Lingering {
    inotify: Inotify,
    waited_for: Mutex<HashMap<WatchDescriptor, Arc<Share>>>,
}

impl Lingering {
    /// Starts the thread that waits; it ends with the process.
    pub(super) fn start() -> Result<Arc<Self>, DeliveryError> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(|error| DeliveryError::Init(error.into()))?;
        let lingering = Arc::new(Self { inotify, waited_for: Mutex::default() });
        let waiting = Arc::clone(&lingering);
        let thread = Builder::new().name("lingering".to_owned()).spawn(move || waiting.wait());
        thread.map(|_| lingering).map_err(DeliveryError::Init)
    }

    /// Keeps `share` taken until the file system of `place`, which is held open here, is gone.
    pub(super) fn keep(&self, share: &Arc<Share>, place: &Dir) {
        let path = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
        let mut waited_for = self.lock();
        // No event but the last one: what a user does in there is nobody's affair.
        match self.inotify.add_watch(path.as_str(), AddWatchFlags::IN_UNMOUNT) {
            Ok(watch) => drop(waited_for.insert(watch, Arc::clone(share))),
            Err(error) => tracing::warn!(%error, "cannot wait for the end of a user's file system"),
        }
    }

    fn wait(&self) {
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                // The descriptor is ours and open: nothing else can go wrong with it.
                Err(_) => return,
            };
            let mut waited_for = self.lock();
            for event in events {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    // Some ends were not said: let users have what they may not have back rather than too little for ever.
                    waited_for.clear();
                }
                waited_for.remove(&event.wd);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WatchDescriptor, Arc<Share>>> {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
