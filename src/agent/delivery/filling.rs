//! A container that is being delivered to, until the hook has attached its mounts: whatever goes wrong, nothing is left.

use std::sync::Arc;

use crate::model::is_within;
use crate::sys::linux::pidfd::Process;
use crate::wire::{MadePoint, Mount};

use super::held::{Container, Key};
use super::record::Record;
use super::{Deliveries, DeliveryError};

/// A container whose delivery is not finished: scrubbed and taken off the record when dropped.
pub(super) struct Filling<'d> {
    pub(super) deliveries: &'d Deliveries,
    pub(super) container: Option<Container>,
}

impl Filling<'_> {
    pub(super) fn mounts(&self) -> Vec<Mount> {
        self.container.as_ref().map(|container| container.mounts.clone()).unwrap_or_default()
    }

    pub(super) fn record(&self) -> Result<(), DeliveryError> {
        match &self.container {
            Some(container) => self.deliveries.records.write(&Record::of(container)),
            None => Ok(()),
        }
    }

    pub(super) fn watch_reads(&mut self, key: &Key) -> Result<(), DeliveryError> {
        match &mut self.container {
            Some(container) => self.deliveries.watch_reads(key, container),
            None => Ok(()),
        }
    }

    pub(super) fn process(&self) -> Result<&Arc<Process>, DeliveryError> {
        self.container.as_ref().map(|container| &container.process).ok_or(DeliveryError::OutOfTurn)
    }

    pub(super) fn finish(mut self, made: Vec<MadePoint>) -> Result<Container, DeliveryError> {
        let mut container = self.container.take().ok_or(DeliveryError::OutOfTurn)?;
        // Only what leads to a mount of ours can have been made for it: the list is kept, and comes from the hook.
        let mounts = &container.mounts;
        container.made = made;
        container.made.retain(|point| mounts.iter().any(|mount| is_within(&mount.at, &point.at)));
        Ok(container)
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            self.deliveries.scrub_container(container, "not attached");
        }
    }
}
