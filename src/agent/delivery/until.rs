//! Secrets that leave before their container ends: after a time, when it is healthy, when they have been read (see `read`). One
//! thread waits for what the clock and the kernel say; that a container is healthy the administrator says, or Docker, where the
//! configuration names it.
//!
//! A secret that has left is on record as such, and is not put there again as long as it is granted: a container that is
//! started anew gets it anew. Not promised: that nobody has kept a copy.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::agent::clock;
use crate::deliver::linux::Old;
use crate::model::{ContainerId, Grant, Grants, Id, Target, Until};
use crate::sys::linux::clock::{Timer, since_boot};
use crate::sys::linux::reads::Reads;

use super::held::{Container, Held, Key};
use super::live::outcome;
use super::record::Record;
use super::{Delivered, Deliveries, Delivery, DeliveryError, Ended, Outcome};

/// When a container is tried again whose secrets should have left and that something else was at work on.
const RETRY: Duration = Duration::from_secs(1);

/// How often Docker is asked whether a container is healthy that has a secret until then.
const HEALTH_PERIOD: Duration = Duration::from_secs(2);

/// What is waited for.
pub(super) struct Leaving {
    timer: Timer,
    /// The kernel's word on who reads, where it gives it.
    pub(super) reads: Result<Reads, std::io::Error>,
    /// Whose file systems are watched, by device.
    watched: Mutex<HashMap<u64, Key>>,
}

/// Whose secrets leave because it is healthy.
#[derive(Debug, Clone)]
pub enum Healthy {
    /// Containers of this id.
    Container(ContainerId),
    /// Every container of the service.
    Service(Id),
}

impl Leaving {
    pub(super) fn new() -> Result<Self, DeliveryError> {
        let reads =
            Reads::new().inspect_err(|error| tracing::info!(%error, "nobody can be given a secret until it is read"));
        Ok(Self { timer: Timer::new().map_err(DeliveryError::Init)?, reads, watched: Mutex::default() })
    }

    /// Has the thread look at the clock again: there may be an earlier time than it knows.
    pub(super) fn wake(&self) {
        self.set(Some(Duration::ZERO));
    }

    /// A container of which nothing is waited for any more.
    pub(super) fn forget(&self, container: &Container) {
        let mut watched = self.watched();
        for (device, _, _) in &container.watched {
            watched.remove(device);
        }
        if let (false, Ok(reads), Some(place)) =
            (container.watched.is_empty(), &self.reads, container.writable.any_place())
        {
            // A process may hold it for longer, and what it reads there is nobody's business.
            let _ = reads.forget(place);
        }
    }

    fn set(&self, at: Option<Duration>) {
        if let Err(error) = self.timer.set(at) {
            tracing::error!(%error, "cannot set the timer of secrets that leave");
        }
    }

    /// Waits; returns the files that have been read.
    fn wait(&self) -> BTreeSet<(u64, u64)> {
        let mut waited: Vec<PollFd<'_>> = vec![PollFd::new(self.timer.as_fd(), PollFlags::POLLIN)];
        waited.extend(self.reads.as_ref().ok().map(|reads| PollFd::new(reads.as_fd(), PollFlags::POLLIN)));
        // An interruption is as good as an event: everything is looked at each time.
        let _ = poll(&mut waited, PollTimeout::NONE);
        let taken = self.reads.as_ref().ok().map(Reads::take);
        taken.unwrap_or_else(|| Ok(BTreeSet::new())).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot take what the kernel says of readers");
            BTreeSet::new()
        })
    }

    pub(super) fn watched(&self) -> MutexGuard<'_, HashMap<u64, Key>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deliveries {
    /// Starts the thread that waits; it ends with the agent.
    pub(super) fn start_leaving(self: &Arc<Self>) -> Result<(), DeliveryError> {
        let deliveries: Weak<Self> = Arc::downgrade(self);
        let wait = move || {
            // Read in containers that something else was at work on.
            let mut unsettled = BTreeSet::new();
            while let Some(deliveries) = deliveries.upgrade() {
                unsettled.append(&mut deliveries.leaving.wait());
                unsettled.retain(|(device, number)| !deliveries.was_read(*device, *number));
                deliveries.end_what_is_due(!unsettled.is_empty());
            }
        };
        self.leaving.wake();
        Builder::new().name("leaving".to_owned()).spawn(wait).map_err(DeliveryError::Init)?;
        if !self.docker.is_asked() {
            return Ok(());
        }
        // Of its own: a daemon that does not answer keeps no other secret where it should have left.
        let deliveries: Weak<Self> = Arc::downgrade(self);
        let ask = move || {
            let mut complaint = None;
            while let Some(deliveries) = deliveries.upgrade() {
                let found = deliveries.end_where_docker_says_healthy();
                // A daemon may be away for long: that is said once.
                if let Some(error) = found.as_ref().filter(|_| found != complaint) {
                    tracing::warn!("nobody knows which containers are healthy: {error}");
                }
                complaint = found;
                std::thread::sleep(HEALTH_PERIOD);
            }
        };
        Builder::new().name("health".to_owned()).spawn(ask).map(drop).map_err(DeliveryError::Init)
    }

    /// Takes the secrets from root's containers that are to have them until they are healthy, where Docker says that they are;
    /// why it does not say so of one of them.
    fn end_where_docker_says_healthy(&self) -> Option<String> {
        let waits = |held: &Delivered| held.until == Some(Until::Healthy);
        let mut complaint = None;
        for key in self.keys_where(|delivery| delivery.uid == 0 && delivery.secrets.iter().any(waits)) {
            match self.docker.is_healthy(&key.id, &key.bundle) {
                Ok(true) => drop(self.end(&key, &waits)),
                Ok(false) => {}
                Err(error) => complaint = complaint.or(Some(error.to_string())),
            }
        }
        complaint
    }

    /// Takes the secrets from containers that are to have them until they are healthy.
    pub fn healthy(&self, which: &Healthy) -> Vec<Outcome> {
        let is_meant = |delivery: &Delivery| match which {
            Healthy::Container(id) => delivery.id == *id,
            Healthy::Service(id) => delivery.service_id == *id,
        };
        let keys = self.keys_where(is_meant);
        let waits = |held: &Delivered| held.until == Some(Until::Healthy);
        keys.iter().flat_map(|key| self.end_patiently(key, &waits)).collect()
    }

    /// The containers that hold secrets and whose id begins with `id`.
    pub fn beginning_with(&self, id: &str) -> BTreeSet<ContainerId> {
        self.list().into_iter().map(|delivery| delivery.id).filter(|known| known.as_str().starts_with(id)).collect()
    }

    fn keys_where(&self, is_meant: impl Fn(&Delivery) -> bool) -> Vec<Key> {
        let is_meant = |held: &Held| held.delivery().is_some_and(&is_meant);
        self.held().iter().filter(|(_, held)| is_meant(held)).map(|(key, _)| key.clone()).collect()
    }

    /// Takes away what has been there for its time, and sets the timer to the next.
    fn end_what_is_due(&self, again: bool) {
        let now = since_boot();
        let due = |held: &Delivered| held.deadline().is_some_and(|deadline| deadline <= now);
        for key in self.keys_where(|delivery| delivery.secrets.iter().any(due)) {
            self.end(&key, &due);
        }
        let first = |held: &Held| held.delivery()?.secrets.iter().filter_map(Delivered::deadline).min();
        // Under the lock: whoever comes after this has yet to wake us.
        let held = self.held();
        let next = held.values().filter_map(first).min();
        let next = next.map(|next| if next <= now { now + RETRY } else { next });
        self.leaving.set(if again { Some(next.map_or(now + RETRY, |next| next.min(now + RETRY))) } else { next });
    }

    /// Takes those secrets of the container that `has_ended` holds for away from it. None where something else is at work on
    /// it for longer than usual: one container does not keep the others waiting.
    pub(super) fn end(&self, key: &Key, has_ended: &dyn Fn(&Delivered) -> bool) -> Option<Vec<Outcome>> {
        if let Some(Held::UnderWay(_) | Held::Changing(..)) = self.settled(key).get(key) {
            return None;
        }
        let Some((mut container, place)) = self.take_to_change(key) else { return Some(Vec::new()) };
        if container.hidden.is_some() {
            // Its mounts come back when its checkpoint is over.
            place.fill(*container);
            return None;
        }
        let outcomes = self.end_in(&mut container, has_ended);
        let (pid, started) = (container.process.pid(), container.started);
        self.note(&container);
        place.fill(*container);
        self.reap_if_ended(key, pid, started);
        outcomes.iter().for_each(|outcome| self.tell(key, outcome));
        Some(outcomes)
    }

    /// The same, however long it takes: somebody asks for it.
    fn end_patiently(&self, key: &Key, has_ended: &dyn Fn(&Delivered) -> bool) -> Vec<Outcome> {
        loop {
            if let Some(outcomes) = self.end(key, has_ended) {
                return outcomes;
            }
            std::thread::sleep(RETRY);
        }
    }

    pub(super) fn end_in(&self, container: &mut Container, has_ended: &dyn Fn(&Delivered) -> bool) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(index) = container.delivery.secrets.iter().position(has_ended) {
            let file = container.files.remove(index);
            let held = container.delivery.secrets.remove(index);
            let others: Vec<Target> = container.delivery.secrets.iter().map(|other| other.target.clone()).collect();
            let others: Vec<&str> = others.iter().map(Target::as_str).collect();
            let (pid, started, target) = (container.process.pid(), container.started, held.target.clone());
            let taken = match held.until {
                // Who has read it may still be handing it on: cat(1) of busybox leaves our own pages in a pipe.
                Some(Until::Read) => {
                    let (old, taken) = container.running(self).take_away(&file, target.as_str(), &others);
                    old.into_iter().for_each(|old| self.superseded.put(pid, started, Old::File(old)));
                    taken
                }
                _ => container.running(self).remove(&file, target.as_str(), &others),
            };
            container.delivery.note_end(held);
            // The record follows: an agent that is killed before it leaves one that takes away what is not there any more.
            let done = taken.map_err(DeliveryError::from).and_then(|()| self.records.write(&Record::of(container)));
            outcomes.push(outcome(container, &target, "expire", done));
        }
        if container.generations
            && !outcomes.is_empty()
            && let Err(error) = self.flip(container, &[])
        {
            tracing::error!(container = %container.delivery.id, "{error}");
        }
        self.forget_old_files(container);
        outcomes
    }
}

impl Delivered {
    /// When it leaves, as time since the machine started.
    fn deadline(&self) -> Option<Duration> {
        match self.until {
            Some(Until::After(time)) => Some(self.there_since.saturating_add(time)),
            Some(Until::Healthy | Until::Read) | None => None,
        }
    }
}

impl Ended {
    /// Whether it is what `grant` gives.
    pub(super) fn is_by(&self, grant: &Grant) -> bool {
        self.target == grant.target && self.name.folded() == grant.source.folded()
    }
}

impl Delivery {
    /// Whether it has secrets that leave before it ends.
    pub(super) fn some_leave(&self) -> bool {
        self.secrets.iter().any(|held| held.until.is_some())
    }

    /// Those of `granted` that have not left.
    pub(super) fn still_there(&self, granted: &[Grant]) -> Grants {
        let there = granted.iter().filter(|grant| !self.ended.iter().any(|ended| ended.is_by(grant)));
        // Of grants that do not conflict, some do not either.
        Grants::try_from(there.cloned().collect::<Vec<_>>()).unwrap_or_default()
    }

    fn note_end(&mut self, Delivered { id, name, version, target, until, .. }: Delivered) {
        // What is taken away without a word of it is not: see the callers.
        let Some(until) = until else { return };
        self.ended.retain(|ended| ended.target != target);
        self.ended.push(Ended { id, name, version, target, until, at: clock::now() });
    }
}
