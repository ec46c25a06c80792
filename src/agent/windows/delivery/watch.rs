//! Removal: of a container's secrets when it has ended, whether anybody says so or not, and again and again of what could
//! not be removed because somebody had it open.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::deliver::windows::{FillPlace, folded, forget_past, scrub, sweep};
use crate::model::escaped;

use super::ledger::{self, Record};
use super::{Deliveries, DeliveryError, Turn};

/// How often it is looked which containers have ended: no container waits for this, only its secrets do.
const GLANCE: Duration = Duration::from_secs(2);

impl Deliveries {
    /// Starts the thread that watches; it ends with the agent.
    pub(super) fn start_watch(self: &Arc<Self>) -> Result<(), DeliveryError> {
        let deliveries: Weak<Self> = Arc::downgrade(self);
        let watch = move || {
            loop {
                std::thread::sleep(GLANCE);
                let Some(deliveries) = deliveries.upgrade() else { return };
                deliveries.remove_ended();
                deliveries.sweep();
                deliveries.forget_past();
            }
        };
        std::thread::Builder::new().name("watch".to_owned()).spawn(watch).map_err(DeliveryError::Thread)?;
        Ok(())
    }

    fn remove_ended(&self) {
        let mut turn = self.turn();
        let ended: Vec<String> =
            self.held().iter().filter(|(_, record)| !record.lives()).map(|(name, _)| name.clone()).collect();
        for name in ended {
            self.remove(&mut turn, &name, "ended");
        }
    }

    /// Overwrites old values of containers that run, which somebody had open when they were replaced.
    fn forget_past(&self) {
        let mut turn = self.turn();
        let held = self.held();
        turn.past.retain(|name| {
            let Some(record) = held.get(name) else { return false };
            FillPlace::of(&self.containers, &record.delivery.id)
                .is_ok_and(|place| !forget_past(&*self.seams.acl, &place))
        });
    }

    /// Removes every directory that no container holds.
    pub(super) fn sweep(&self) {
        let mut turn = self.turn();
        let lives = |name: &str| self.held().contains_key(&folded(name));
        let unlink = |directory: &Path| {
            if let Some(record) = ledger::read_in(directory) {
                self.unlink(&record);
            }
        };
        let swept = match sweep(&*self.seams.acl, &self.containers, lives, unlink) {
            Ok(swept) => swept,
            Err(error) => return tracing::error!(%error, "cannot read '{}'", self.containers.display()),
        };
        for (name, scrubbed) in swept {
            if scrubbed.failures.is_empty() {
                turn.left.remove(&name);
                tracing::info!(files = scrubbed.files, "swept '{}': no container holds it", escaped(&name));
            } else if turn.left.insert(name.clone()) {
                let failures = scrubbed.failures.join("; ");
                tracing::error!("cannot remove '{}', which no container holds: {failures}", escaped(&name));
            }
        }
    }

    /// Removes a container's links and values, and forgets it. What cannot be removed now is swept later.
    pub(super) fn remove(&self, turn: &mut Turn, name: &str, reason: &'static str) {
        let Some(record) = self.held().remove(name) else { return };
        self.unlink(&record);
        let delivery = &record.delivery;
        let directory = self.containers.join(delivery.id.as_str());
        let scrubbed = scrub(&*self.seams.acl, &directory);
        if !scrubbed.failures.is_empty() {
            turn.left.insert(delivery.id.to_string());
            let failures = scrubbed.failures.join("; ");
            tracing::error!(container = %delivery.id, "cannot remove everything, which is tried again: {failures}");
        }
        self.emit("scrub", &delivery.id, &[("service", delivery.service.as_str()), ("reason", reason)]);
        tracing::info!(container = %delivery.id, files = scrubbed.files, reason, "scrubbed");
    }

    /// A link that is left leads nowhere.
    fn unlink(&self, record: &Record) {
        let Some(layer) = &record.layer else { return };
        for failure in layer.unlink(&*self.seams.links, &record.links) {
            tracing::warn!(container = %record.delivery.id, "{failure}");
        }
    }
}
