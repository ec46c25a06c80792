//! Old versions of files, out of every directory: whoever opened one before it was replaced reads it to its end, and then
//! it is overwritten. A thread waits for that.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::deliver::linux::Old;

use crate::failpoint::{Point, reach};

use super::DeliveryError;

/// How long a file that has been replaced can still be read by whoever has it open.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes that wait at one time: beyond that the oldest goes before its time.
const MAX_WAITING: u64 = 64 * 1024 * 1024;

/// Files that wait.
#[derive(Debug)]
pub(super) struct Superseded(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<VecDeque<Waiting>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting {
    /// The container's first process and when that started.
    process: (i32, u64),
    due: Instant,
    old: Old,
}

impl Superseded {
    /// Starts the thread; it ends with the agent.
    pub(super) fn start() -> Result<Self, DeliveryError> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("superseded".to_owned())
            .spawn(move || own.keep_scrubbing())
            .map_err(DeliveryError::Init)?;
        Ok(Self(shared))
    }

    /// Scrubs `old`, which the container of `pid` and `started` had, when its time is over.
    pub(super) fn put(&self, pid: i32, started: u64, old: Old) {
        let mut waiting = self.0.lock();
        waiting.push_back(Waiting { process: (pid, started), due: Instant::now() + GRACE, old });
        let mut bytes: u64 = waiting.iter().map(|waiting| waiting.old.size()).sum();
        let mut early = Vec::new();
        while bytes > MAX_WAITING
            && let Some(first) = waiting.pop_front()
        {
            bytes -= first.old.size();
            early.push(first);
        }
        drop(waiting);
        self.0.changed.notify_one();
        early.into_iter().for_each(scrub);
    }

    /// Scrubs at once what the container of `pid` and `started` had.
    pub(super) fn scrub_of(&self, pid: i32, started: u64) {
        let mut waiting = self.0.lock();
        let (its, others): (VecDeque<_>, _) = waiting.drain(..).partition(|file| file.process == (pid, started));
        *waiting = others;
        drop(waiting);
        its.into_iter().for_each(scrub);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_scrubbing(&self) {
        loop {
            let mut waiting = self.lock();
            let now = Instant::now();
            let due = match waiting.front() {
                Some(first) if first.due <= now => waiting.pop_front(),
                Some(first) => {
                    let patience = first.due - now;
                    drop(self.changed.wait_timeout(waiting, patience));
                    continue;
                }
                None => {
                    drop(self.changed.wait(waiting));
                    continue;
                }
            };
            drop(waiting);
            reach(Point::SupersededDue);
            due.into_iter().for_each(scrub);
        }
    }
}

fn scrub(waiting: Waiting) {
    if let Err(error) = waiting.old.scrub() {
        tracing::error!(%error, "cannot scrub an old version");
    }
}
