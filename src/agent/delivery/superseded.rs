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
/// Bytes that wait at one time: beyond that, or beyond so many files, the oldest goes before its time.
const MAX_WAITING: u64 = 64 * 1024 * 1024;

/// Files that wait.
#[derive(Debug)]
pub(super) struct Superseded {
    shared: Arc<Shared>,
    /// How many may wait: each has a descriptor.
    most: usize,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// What they have, together.
    bytes: u64,
    /// Whether one is being scrubbed that waited here.
    at_work: bool,
}

#[derive(Debug)]
struct Waiting {
    /// The container's first process and when that started.
    process: (i32, u64),
    due: Instant,
    old: Old,
}

impl Queue {
    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.old.size();
        self.waiting.push_back(waiting);
    }

    fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.old.size();
        Some(first)
    }

    fn take_of(&mut self, process: (i32, u64)) -> VecDeque<Waiting> {
        if self.waiting.iter().all(|waiting| waiting.process != process) {
            return VecDeque::new();
        }
        let (its, others): (VecDeque<_>, _) = self.waiting.drain(..).partition(|waiting| waiting.process == process);
        self.waiting = others;
        self.bytes -= its.iter().map(|waiting| waiting.old.size()).sum::<u64>();
        its
    }
}

impl Superseded {
    /// Starts the thread, which ends with the agent; at most `most` files wait at one time.
    pub(super) fn start(most: usize) -> Result<Self, DeliveryError> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("superseded".to_owned())
            .spawn(move || own.keep_scrubbing())
            .map_err(DeliveryError::Init)?;
        Ok(Self { shared, most })
    }

    /// Scrubs `old`, which the container of `pid` and `started` had, when its time is over.
    pub(super) fn put(&self, pid: i32, started: u64, old: Old) {
        let mut queue = self.shared.lock();
        queue.push(Waiting { process: (pid, started), due: Instant::now() + GRACE, old });
        let mut early = Vec::new();
        while (queue.bytes > MAX_WAITING || queue.waiting.len() > self.most)
            && let Some(first) = queue.pop()
        {
            early.push(first);
        }
        drop(queue);
        self.shared.changed.notify_one();
        early.into_iter().for_each(scrub);
    }

    /// Scrubs at once what the container of `pid` and `started` had.
    pub(super) fn scrub_of(&self, pid: i32, started: u64) {
        let its = self.shared.lock().take_of((pid, started));
        its.into_iter().for_each(scrub);
    }

    /// Waits until all that wait have had their time, but not longer than `patience`; what is left then goes before its
    /// time: an agent that ends leaves no old version to be read.
    pub(super) fn finish(&self, patience: Duration) {
        let is_busy = |queue: &mut Queue| queue.at_work || !queue.waiting.is_empty();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), patience.min(GRACE), is_busy);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        let left = std::mem::take(&mut queue.waiting);
        queue.bytes = 0;
        drop(queue);
        left.into_iter().for_each(scrub);
        drop(self.shared.changed.wait_while(self.shared.lock(), |queue| queue.at_work));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_scrubbing(&self) {
        loop {
            let mut queue = self.lock();
            let now = Instant::now();
            let due = match queue.waiting.front() {
                Some(first) if first.due <= now => {
                    queue.at_work = true;
                    queue.pop()
                }
                Some(first) => {
                    let patience = first.due - now;
                    drop(self.changed.wait_timeout(queue, patience));
                    continue;
                }
                None => {
                    drop(self.changed.wait(queue));
                    continue;
                }
            };
            drop(queue);
            reach(Point::SupersededDue);
            due.into_iter().for_each(scrub);
            self.lock().at_work = false;
            self.changed.notify_all();
        }
    }
}

fn scrub(waiting: Waiting) {
    if let Err(error) = waiting.old.scrub() {
        tracing::error!(%error, "cannot scrub an old version");
    }
}
