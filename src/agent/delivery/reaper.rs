//! A container's first process ends: its secrets are scrubbed, whether its poststop hook comes or not. One thread waits
//! for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::deliver::linux::Old;
use crate::failpoint::{Point, reach};
use crate::sys::linux::pidfd::Process;

use super::held::{Container, Held, Key, remember};
use super::record::{Record, Survivor, survivors};
use super::{Deliveries, DeliveryError};

/// How many ends are taken at one time.
const BATCH: usize = 1024;
/// How long after a process's end its secrets are scrubbed. What it has sent with sendfile(2) or splice(2) (as the `cat` of
/// busybox does) is still in a pipe by reference to our pages: overwritten at once, its reader would find zeroes.
const GRACE: Duration = Duration::from_millis(250);

/// The processes whose end is waited for.
#[derive(Debug)]
pub(super) struct Reaper {
    epoll: Epoll,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    last: u64,
    processes: HashMap<u64, (Key, Arc<Process>, u64)>,
}

impl Reaper {
    pub(super) fn new() -> Result<Self, DeliveryError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|error| DeliveryError::Init(error.into()))?;
        Ok(Self { epoll, watched: Mutex::default() })
    }

    /// Waits for the end of `process`, the first of the container `key`.
    pub(super) fn watch(&self, key: &Key, process: &Arc<Process>, started: u64) -> Result<(), DeliveryError> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.last += 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, watched.last);
        self.epoll.add(process, event).map_err(|error| DeliveryError::Init(error.into()))?;
        let number = watched.last;
        watched.processes.insert(number, (key.clone(), Arc::clone(process), started));
        Ok(())
    }

    /// The containers whose process has ended; blocks until there is one.
    fn ended(&self) -> Vec<(Key, i32, u64)> {
        let mut events = [EpollEvent::empty(); BATCH];
        let count = loop {
            match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                // The set is ours and open: nothing else can go wrong with it.
                Err(_) => return Vec::new(),
                Ok(count) => break count,
            }
        };
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let take = |event: &EpollEvent| {
            let (key, process, started) = watched.processes.remove(&event.data())?;
            // Closing a descriptor does not take it out of the set while a copy of it is open.
            let _ = self.epoll.delete(&process);
            Some((key, process.pid(), started))
        };
        events[..count].iter().filter_map(take).collect()
    }
}

impl Deliveries {
    /// Starts the thread that waits; it ends with the agent.
    pub(super) fn start_reaper(self: &Arc<Self>) -> Result<(), DeliveryError> {
        let deliveries: Weak<Self> = Arc::downgrade(self);
        let wait = move || {
            while let Some(deliveries) = deliveries.upgrade() {
                let ended = deliveries.reaper.ended();
                reach(Point::ReapSeen);
                std::thread::sleep(GRACE);
                for (key, pid, started) in ended {
                    deliveries.reap(&key, pid, started);
                }
            }
        };
        std::thread::Builder::new().name("reaper".to_owned()).spawn(wait).map_err(DeliveryError::Init)?;
        Ok(())
    }

    /// Scrubs the container, if it is this process's still.
    fn reap(&self, key: &Key, pid: i32, started: u64) {
        if let Some((container, place)) = self.take_ended(key, pid, started) {
            reach(Point::ReapTaken);
            self.scrub_container(&container, "process ended");
            place.end(container.made);
        }
    }

    /// Scrubs a container that has just been put in its place and whose end may have been seen before it was there.
    pub(super) fn reap_if_ended(&self, key: &Key, pid: i32, started: u64) {
        let ended = match self.held().get(key) {
            Some(Held::Holding(container)) => !container.process.is_alive().unwrap_or(true),
            _ => false,
        };
        if ended {
            self.reap(key, pid, started);
        }
    }

    /// Empties the container's file system and takes it off the record. Not promised: that the mounts are gone from a
    /// container that still runs; they are empty.
    pub(super) fn scrub_container(&self, container: &Container, reason: &'static str) {
        let delivery = &container.delivery;
        if let (Some(share), Some(place)) = (&container.share, container.writable.any_place()) {
            self.lingering.keep(share, place);
        }
        self.superseded.scrub_of(delivery.pid, container.started);
        self.leaving.forget(container);
        let mut scrubbed = container.writable.scrub();
        let record = Record::of(container);
        if container.writable.any_place().is_none() {
            // Nothing of it could be reached when this agent took it over.
            scrubbed.files += record.scrub_survivors(&survivors(std::slice::from_ref(&record)));
        }
        reach(Point::ScrubEmptied);
        for failure in &scrubbed.failures {
            tracing::error!(container = %delivery.id, "cannot scrub: {failure}");
        }
        if let Err(error) = self.records.remove(&record) {
            tracing::error!("{error}");
        }
        reach(Point::RecordRemoved);
        self.emit("scrub", &delivery.id, delivery.uid, &[("service", delivery.service.as_str()), ("reason", reason)]);
        tracing::info!(container = %delivery.id, files = scrubbed.files, reason, "scrubbed");
    }

    /// Takes up the containers that an earlier agent has on record and whose process is still there. Of the others the
    /// poststop hook may still come.
    pub(super) fn resume(&self) {
        let records = self.records.read_all();
        reach(Point::ResumeRead);
        let (alive, ended): (Vec<_>, Vec<_>) = records.into_iter().partition(Record::is_alive);
        let survivors = survivors(&ended);
        ended.iter().for_each(|record| self.forget(record, &survivors));
        for record in &alive {
            let Some((mut container, old)) = record.resume(&self.shares, self.clones_detached()) else {
                if record.is_alive() {
                    tracing::error!(container = %record.key().id, "cannot be taken over from an earlier agent");
                } else {
                    self.forget(record, &survivors);
                }
                continue;
            };
            if container.writable.any_place().is_none() && container.hidden.is_none() {
                tracing::error!(container = %record.key().id, "what an earlier agent has given it cannot be reached: it ends, or has left its namespaces");
            }
            reach(Point::ResumeAdopted);
            let (key, pid, started) = (record.key(), container.process.pid(), container.started);
            old.into_iter().for_each(|file| self.superseded.put(pid, started, Old::File(file)));
            match self.reaper.watch(&key, &container.process, started) {
                Ok(()) => {
                    tracing::info!(container = %key.id, service = %container.delivery.service, "taken over from an earlier agent");
                    self.watch_again(&key, &mut container);
                    self.held().insert(key.clone(), Held::Holding(Box::new(container)));
                    reach(Point::ResumeWatched);
                    self.reap_if_ended(&key, pid, started);
                }
                Err(error) => tracing::error!(container = %key.id, "{error}"),
            }
        }
    }

    /// Takes a container off the record that has ended while no agent was there.
    fn forget(&self, record: &Record, survivors: &[Survivor]) {
        let files = record.scrub_survivors(survivors);
        tracing::info!(container = %record.key().id, files, "ended while no agent was there");
        remember(&mut self.held(), record.key(), record.made().to_vec());
        if let Err(error) = self.records.remove(record) {
            tracing::error!("{error}");
        }
    }
}
