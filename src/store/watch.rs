//! Who wants to know of commits, for the backends whose only writer is this process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Change, Key, Revision};

/// One change that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The key that changed.
    pub key: Key,
    /// The commit that changed it.
    pub revision: Revision,
    /// Whether there is a record now.
    pub present: bool,
}

/// The commits since the watch began. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch(Receiver<Event>);

impl Watch {
    /// The next change; `None` when none came within `patience` or the store is gone.
    pub fn next(&self, patience: Duration) -> Option<Event> {
        self.0.recv_timeout(patience).ok()
    }
}

/// The watches of one store.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<(Vec<u8>, Sender<Event>)>>);

impl Watchers {
    pub(super) fn add(&self, prefix: &[u8]) -> Watch {
        let (sender, receiver) = channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((prefix.to_vec(), sender));
        Watch(receiver)
    }

    /// Tells everyone concerned; called in the order of the commits. Watches that were dropped are forgotten.
    pub(super) fn tell(&self, changes: &[Change], revision: Revision) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(prefix, sender)| {
            changes.iter().filter(|change| change.key().as_bytes().starts_with(prefix)).all(|change| {
                let present = matches!(change, Change::Put(..));
                sender.send(Event { key: change.key().clone(), revision, present }).is_ok()
            })
        });
    }
}
