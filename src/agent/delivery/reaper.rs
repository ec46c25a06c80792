//! A container's first process ends: its secrets are scrubbed, whether its poststop hook comes or not.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::linux::pidfd::Process;

use super::held::{Container, Held, Key};
use super::record::Record;
use super::{Deliveries, DeliveryError};

/// A watch that is ready to start: nothing can fail any more once the container is in its place.
pub(super) struct Watch {
    deliveries: Arc<Deliveries>,
    key: Key,
    process: AsyncFd<OwnedFd>,
    pid: i32,
    started: u64,
}

impl Watch {
    /// Waits, in a task of its own, for the end of the process, and then scrubs.
    pub(super) fn start(self) {
        tokio::spawn(async move {
            // An error would mean that the reactor is gone, and with it the agent.
            let _ = self.process.readable().await;
            let reap = move || {
                if let Some(container) = self.deliveries.take_ended(&self.key, self.pid, self.started) {
                    self.deliveries.scrub_container(&container, "process ended");
                }
            };
            let _ = tokio::task::spawn_blocking(reap).await;
        });
    }
}

impl Deliveries {
    /// Makes ready to watch the container of `key`, whose first process is `process`.
    pub(super) fn prepare_watch(
        self: &Arc<Self>,
        key: &Key,
        process: &Process,
        started: u64,
    ) -> Result<Watch, DeliveryError> {
        let watched = process.as_fd().try_clone_to_owned();
        let registered = watched
            .and_then(|watched| AsyncFd::register_with_interest(watched, Interest::READABLE).map_err(io::Error::from));
        Ok(Watch {
            deliveries: Arc::clone(self),
            key: key.clone(),
            process: registered.map_err(DeliveryError::Init)?,
            pid: process.pid(),
            started,
        })
    }

    /// Empties the container's file system and takes it off the record. Not promised: that the mounts are gone from a
    /// container that still runs; they are empty.
    pub(super) fn scrub_container(&self, container: &Container, reason: &'static str) {
        let delivery = &container.delivery;
        let scrubbed = container.writable.scrub();
        for failure in &scrubbed.failures {
            tracing::error!(container = %delivery.id, "cannot scrub: {failure}");
        }
        if let Err(error) = self.records.remove(&Record::of(container)) {
            tracing::error!("{error}");
        }
        self.emit("scrub", &delivery.id, &[("service", delivery.service.as_str()), ("reason", reason)]);
        tracing::info!(container = %delivery.id, files = scrubbed.files, reason, "scrubbed");
    }

    /// Takes up the containers that an earlier agent has on record and whose process is still there.
    pub(super) fn resume(self: &Arc<Self>) {
        for record in self.records.read_all() {
            let Some(container) = record.resume() else { continue };
            let key = Key { id: container.delivery.id.clone(), bundle: container.delivery.bundle.clone() };
            match self.prepare_watch(&key, &container.process, container.started) {
                Ok(watch) => {
                    tracing::info!(container = %key.id, service = %container.delivery.service, "taken over from an earlier agent");
                    self.held().insert(key, Held::Holding(Box::new(container)));
                    watch.start();
                }
                Err(error) => tracing::error!(container = %key.id, "{error}"),
            }
        }
    }
}
