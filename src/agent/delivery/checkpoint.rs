//! Checkpoints: CRIU writes what a container has in RAM to a disk, and must find no value there. The wrapper says what is
//! coming, becomes the runtime, and leaves it the connection: its end is the end of the checkpoint, however that came about.
//!
//! Without the wrapper CRIU refuses the container by itself, because our mounts show a part of a file system whose root it
//! does not find. Not promised: what a process has read, and has in its own memory.

use std::sync::{MutexGuard, PoisonError};

use crate::model::ContainerId;
use crate::sys::linux::pidfd::Process;
use crate::wire::{AgentReply, Channel};

use super::held::{Held, Key, OutOfSight};
use super::record::Record;
use super::{Deliveries, DeliveryError, HashSet, Scope};

/// What a process is called that CRIU has made and not yet become the one it was.
const CRIU: &str = "criu";

impl Deliveries {
    /// Takes the mounts off the containers that `uid` calls `id` until `channel` is closed; blocks until then. A user waits
    /// for nothing here: a connection that is held open for ever is root's to have.
    pub(super) fn lend(&self, channel: &Channel, uid: u32, id: &ContainerId) -> Result<(), DeliveryError> {
        let holding = |key: &&Key| key.uid == uid && key.id == *id;
        let keys: Vec<Key> = {
            let held = self.held();
            let holders = held.iter().filter(|(_, held)| !matches!(held, Held::Ended { .. }));
            holders.map(|(key, _)| key).filter(holding).cloned().collect()
        };
        match uid {
            _ if keys.is_empty() => return Ok(channel.send(&AgentReply::Nothing, &[])?),
            0 => {}
            _ => return Err(DeliveryError::CheckpointOfUser),
        }
        let mut out = Lent { deliveries: self, keys: Vec::new() };
        for key in keys {
            self.hide(&key)?;
            out.keys.push(key);
        }
        channel.send(&AgentReply::Nothing, &[])?;
        channel.await_end();
        Ok(())
    }

    /// Notes until `channel` is closed that the container `key` is being restored; blocks until then.
    pub(super) fn restoring(&self, channel: &Channel, key: Key) -> Result<(), DeliveryError> {
        if key.uid != 0 {
            return Err(DeliveryError::RestoreOfUser);
        }
        if !self.restored().insert(key.clone()) {
            return Err(DeliveryError::UnderWay(key.id.to_string()));
        }
        let sent = channel.send(&AgentReply::Nothing, &[]);
        if sent.is_ok() {
            channel.await_end();
        }
        self.restored().remove(&key);
        Ok(sent?)
    }

    /// Whether nothing is to be attached yet, because the container is being restored and is delivered to afterwards.
    pub(super) fn comes_later(&self, key: &Key, process: &Process) -> Result<bool, DeliveryError> {
        if process.name().map_err(DeliveryError::Init)? != CRIU {
            return Ok(false);
        }
        if self.restored().contains(key) { Ok(true) } else { Err(DeliveryError::Restored) }
    }

    /// Puts back whatever is out of sight: the agent ends, and nobody could afterwards; or it has come after one that was
    /// killed, and gives anew what went with that.
    pub fn reveal_all(&self) {
        let keys: Vec<Key> = self.held().keys().cloned().collect();
        keys.iter().for_each(|key| self.reveal(key));
    }

    fn restored(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.restoring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hide(&self, key: &Key) -> Result<(), DeliveryError> {
        let Some((mut container, place)) = self.take_to_change(key) else {
            return Err(DeliveryError::UnderWay(key.id.to_string()));
        };
        let hidden = match &container.hidden {
            Some(_) => Err(DeliveryError::Checkpointed(key.id.to_string())),
            // On record before it is done, for an agent that comes after one that is killed meanwhile.
            None => self.records.write(&Record::of(&container).hidden()).and_then(|()| {
                let hidden = container.running(self).hide();
                Ok(hidden?)
            }),
        };
        let hidden = hidden.map(|mounts| container.hidden = Some(OutOfSight { mounts, missed: false }));
        let (pid, started) = (container.process.pid(), container.started);
        self.note(&container);
        place.fill(*container);
        self.reap_if_ended(key, pid, started);
        hidden?;
        self.emit("hide", &key.id, key.uid, &[]);
        tracing::info!(container = %key.id, "out of sight for a checkpoint");
        Ok(())
    }

    /// Puts the mounts of `key` back, if it still runs, and brings it up to date.
    fn reveal(&self, key: &Key) {
        let missed = {
            let hidden = matches!(self.held().get(key), Some(Held::Holding(container)) if container.hidden.is_some());
            let Some((mut container, place)) = hidden.then(|| self.take_to_change(key)).flatten() else { return };
            let mut missed = None;
            if let Some(OutOfSight { mounts, missed: changed }) = container.hidden.take()
                && container.process.is_alive().unwrap_or(true)
            {
                missed = changed.then(|| container.delivery.service_id.clone());
                match container.running(self).reveal(mounts) {
                    Ok(()) => {
                        self.emit("reveal", &key.id, key.uid, &[]);
                        tracing::info!(container = %key.id, "in sight again");
                    }
                    Err(error) => tracing::error!(container = %key.id, "not all is back after a checkpoint: {error}"),
                }
            }
            let (pid, started) = (container.process.pid(), container.started);
            self.note(&container);
            place.fill(*container);
            self.reap_if_ended(key, pid, started);
            missed
        };
        let Some(service) = missed else { return };
        match self.lock.catalog() {
            Ok(catalog) => drop(self.change_container(&catalog, key, &Scope::Service(service))),
            Err(error) => tracing::error!(container = %key.id, "not brought up to date after a checkpoint: {error}"),
        }
    }
}

/// Containers whose mounts are out of sight: back when this is dropped.
struct Lent<'d> {
    deliveries: &'d Deliveries,
    keys: Vec<Key>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.keys.iter().for_each(|key| self.deliveries.reveal(key));
    }
}
