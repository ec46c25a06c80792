//! The containers that hold secrets, under one short lock; nothing is opened, written or scrubbed while it is held.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use crate::deliver::linux::{FileSystem, Hidden, PlannedFile, Writable};
use crate::model::{ContainerId, Id, Service, Target};
use crate::sys::linux::pidfd::Process;
use crate::wire::{MadePoint, Mount};

use super::record::Record;
use super::users::Share;
use super::{Deliveries, Delivery, DeliveryError};

/// How many ended containers' mount points are remembered for a poststop that has not come.
const MAX_ENDED: usize = 4096;
/// How many of each user but root.
const MAX_ENDED_OF_USER: usize = 256;

/// How long a call waits for an exchange about the same container to end; shorter than a hook waits for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A container, by user, id and bundle: ids are unique neither in time nor across runtimes, and what a user calls its
/// containers reaches no other user's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) uid: u32,
    pub(super) id: ContainerId,
    pub(super) bundle: PathBuf,
}

/// What is known of a container.
pub(super) enum Held {
    /// Its file system is being filled or attached, as this service.
    UnderWay(Id),
    /// It holds these, and whoever has it in hand is changing them; when its first process started.
    Changing(Box<Delivery>, u64),
    /// It holds secrets.
    Holding(Box<Container>),
    /// They are scrubbed; its poststop may still ask for these.
    Ended {
        made: Vec<MadePoint>,
        /// Goes up with each that ends: the lowest is forgotten first.
        order: u64,
    },
}

/// A container that holds secrets.
pub(super) struct Container {
    pub(super) delivery: Delivery,
    /// The reaper has it as well.
    pub(super) process: Arc<Process>,
    /// With the pid, a name that no other process ever has.
    pub(super) started: u64,
    pub(super) writable: Writable,
    /// The file systems, by which a later agent knows them again.
    pub(super) devices: Vec<FileSystem>,
    /// Where each of the delivery's secrets stands, in the same order.
    pub(super) files: Vec<PlannedFile>,
    /// Its part of what its user may have; root's have none.
    pub(super) share: Option<Arc<Share>>,
    /// What the container shows of it.
    pub(super) mounts: Vec<Mount>,
    pub(super) made: Vec<MadePoint>,
    /// A mount that is about to be attached.
    pub(super) begun: Option<Mount>,
    /// Whether it has a generation directory.
    pub(super) generations: bool,
    /// The files, by device and number, whose reading ends the stay of a secret: which one's.
    pub(super) watched: Vec<(u64, u64, Target)>,
    /// Whether an earlier agent has delivered to it.
    pub(super) is_adopted: bool,
    /// Its mounts, while it is being checkpointed.
    pub(super) hidden: Option<OutOfSight>,
}

/// The mounts of a container that is being checkpointed.
pub(super) struct OutOfSight {
    pub(super) mounts: Hidden,
    /// Whether a change has come meanwhile.
    pub(super) missed: bool,
}

impl Held {
    pub(super) fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Holding(container) => Some(&container.delivery),
            Self::Changing(delivery, _) => Some(delivery),
            Self::UnderWay(_) | Self::Ended { .. } => None,
        }
    }

    /// What is to be on record of it; of one that is being changed, whoever changes it writes that when it is done.
    pub(super) fn record(&self) -> Option<Record> {
        match self {
            Self::Holding(container) => Some(Record::of(container)),
            _ => None,
        }
    }
}

/// What [`Deliveries::reserve`] found.
pub(super) enum Reserved<'d> {
    /// The container's place is taken until the reservation is dropped.
    Place(Reservation<'d>),
    /// This very process holds the secrets of this service already: the hook is registered twice.
    HasThem,
}

/// A container's place while it is being delivered to: given up when dropped, unless filled.
pub(super) struct Reservation<'d> {
    deliveries: &'d Deliveries,
    key: Key,
    filled: bool,
}

impl Deliveries {
    pub(super) fn held(&self) -> MutexGuard<'_, HashMap<Key, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, once nothing is under way for `key`. A hook ends when it has said that its mounts are attached, so the
    /// next call for its container may be here before that has been taken note of.
    pub(super) fn settled(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Held>> {
        let under_way =
            |held: &mut HashMap<Key, Held>| matches!(held.get(key), Some(Held::UnderWay(_) | Held::Changing(..)));
        let waited = self.changed.wait_timeout_while(self.held(), PATIENCE, under_way);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same, where a delivery under way is not waited for.
    pub(super) fn unchanging(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Held>> {
        let changing = |held: &mut HashMap<Key, Held>| matches!(held.get(key), Some(Held::Changing(..)));
        let waited = self.changed.wait_timeout_while(self.held(), PATIENCE, changing);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes the place of `key` for a container of `service` whose first process is `process`.
    pub(super) fn reserve(
        &self,
        key: &Key,
        process: &Process,
        started: u64,
        service: &Service,
    ) -> Result<Reserved<'_>, DeliveryError> {
        let previous = {
            let mut held = self.settled(key);
            match held.get(key) {
                Some(Held::UnderWay(_) | Held::Changing(..)) => {
                    return Err(DeliveryError::UnderWay(key.id.to_string()));
                }
                Some(Held::Holding(container)) => {
                    if container.process.pid() == process.pid() && container.started == started {
                        let has = &container.delivery;
                        if has.service_id == service.id {
                            return Ok(Reserved::HasThem);
                        }
                        let (has, claims) = (has.service.to_string(), service.name.to_string());
                        return Err(DeliveryError::TwoServices { has, claims });
                    }
                    if container.process.is_alive().unwrap_or(true) {
                        return Err(DeliveryError::Occupied(key.id.to_string()));
                    }
                }
                Some(Held::Ended { .. }) | None => {}
            }
            held.insert(key.clone(), Held::UnderWay(service.id.clone()))
        };
        // A container of this name that has ended, and whose end was not seen yet.
        if let Some(Held::Holding(container)) = previous {
            self.scrub_container(&container, "replaced");
        }
        Ok(Reserved::Place(Reservation { deliveries: self, key: key.clone(), filled: false }))
    }

    /// Takes the container of `key` in hand, if it still is the process `started` then; to be given up by
    /// [`Reservation::end`]. Whoever asks for it meanwhile waits: a poststop hook ends when everything is scrubbed.
    pub(super) fn take_ended(&self, key: &Key, pid: i32, started: u64) -> Option<(Box<Container>, Reservation<'_>)> {
        let mut held = self.held();
        match held.get(key) {
            Some(Held::Holding(container)) if container.process.pid() == pid && container.started == started => {
                self.take_in_hand(&mut held, key)
            }
            _ => None,
        }
    }

    /// Takes the container of `key` out for good, whatever is left of it.
    pub(super) fn take(&self, key: &Key) -> Option<Held> {
        let mut held = self.settled(key);
        match held.get(key) {
            // Its hook is still at work after all this time: what it has filled is scrubbed when it gives up.
            Some(Held::UnderWay(_) | Held::Changing(..)) | None => None,
            Some(_) => held.remove(key),
        }
    }

    /// Takes the container of `key` to change what it holds; to be put back by [`Reservation::fill`]. None where it holds
    /// nothing, or a hook is still at work on it: then that delivery looks for newer versions when it ends. One change waits
    /// for another, however long that takes: what each puts there is current when it has its turn, so versions arrive in
    /// their order.
    pub(super) fn take_to_change(&self, key: &Key) -> Option<(Box<Container>, Reservation<'_>)> {
        let changing = |held: &mut HashMap<Key, Held>| matches!(held.get(key), Some(Held::Changing(..)));
        let held = self.settled(key);
        let mut held = self.changed.wait_while(held, changing).unwrap_or_else(PoisonError::into_inner);
        self.take_in_hand(&mut held, key)
    }

    /// The same, at once: none also where something else has it in hand.
    pub(super) fn take_in_hand(
        &self,
        held: &mut HashMap<Key, Held>,
        key: &Key,
    ) -> Option<(Box<Container>, Reservation<'_>)> {
        let Some(Held::Holding(container)) = held.get(key) else { return None };
        let changing = Held::Changing(Box::new(container.delivery.clone()), container.started);
        let Some(Held::Holding(container)) = held.insert(key.clone(), changing) else { return None };
        Some((container, Reservation { deliveries: self, key: key.clone(), filled: false }))
    }
}

/// Keeps `made` for the poststop hook of a container that has ended.
pub(super) fn remember(held: &mut HashMap<Key, Held>, key: Key, made: Vec<MadePoint>) {
    let most = if key.uid == 0 { MAX_ENDED } else { MAX_ENDED_OF_USER };
    let order_of = |other: &Key, held: &Held| match held {
        Held::Ended { order, .. } if other.uid == key.uid => Some(*order),
        _ => None,
    };
    let ended: Vec<u64> = held.iter().filter_map(|(other, held)| order_of(other, held)).collect();
    let order = ended.iter().max().map_or(0, |last| last + 1);
    if ended.len() >= most
        && let Some(oldest) = ended.iter().min()
    {
        held.retain(|other, held| order_of(other, held) != Some(*oldest));
    }
    held.insert(key, Held::Ended { made, order });
}

impl Reservation<'_> {
    /// Puts the container in its place. What is to be on record of it must be by now ([`Deliveries::note`]): whoever has a
    /// container in hand is the only one who writes its record, and nobody can say who has it next.
    pub(super) fn fill(mut self, container: Container) {
        self.deliveries.held().insert(self.key.clone(), Held::Holding(Box::new(container)));
        self.filled = true;
        // It may be this one that a command waits for.
        self.deliveries.commands.notify_one();
        self.deliveries.changed.notify_all();
    }

    /// The container holds nothing any more: what is left of it is `made`, for its poststop hook.
    pub(super) fn end(mut self, made: Vec<MadePoint>) {
        remember(&mut self.deliveries.held(), self.key.clone(), made);
        self.filled = true;
        self.deliveries.changed.notify_all();
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.deliveries.held().remove(&self.key);
            self.deliveries.changed.notify_all();
        }
    }
}
