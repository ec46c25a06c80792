//! Secrets that leave when they have been read: the kernel says of which files that is so, as long as they are watched.

use std::io::ErrorKind;

use crate::deliver::linux::PlannedFile;
use crate::model::{Target, Until};
use crate::sys::linux::reads::Reads;

use super::held::{Container, Held, Key};
use super::{Delivered, Deliveries, DeliveryError, Outcome};

/// How many old versions of files are known in one container by which a secret leaves when they are read: each has been
/// replaced by a new value, and is emptied some seconds after that.
const MAX_OLD: usize = 256;

impl Deliveries {
    /// Whether the kernel tells who reads.
    ///
    /// # Errors
    /// [`DeliveryError::ReadsUnseen`]: no secret can be there until it is read.
    pub fn sees_reads(&self) -> Result<(), DeliveryError> {
        self.reads().map(drop)
    }

    fn reads(&self) -> Result<&Reads, DeliveryError> {
        let unseen = |error: &std::io::Error| DeliveryError::ReadsUnseen(error.kind().into());
        self.leaving.reads.as_ref().map_err(unseen)
    }

    /// Watches the files of `container` that leave when they are read.
    pub(super) fn watch_reads(&self, key: &Key, container: &mut Container) -> Result<(), DeliveryError> {
        self.forget_old_files(container);
        let mut current = Vec::new();
        for (held, file) in container.delivery.secrets.iter().zip(&container.files) {
            if held.until != Some(Until::Read) {
                continue;
            }
            let reads = self.reads()?;
            let Some(file) =
                container.writable.file(&file.path, held.target.as_str()).map_err(DeliveryError::ReadsUnseen)?
            else {
                continue;
            };
            let device = file.device().map_err(DeliveryError::ReadsUnseen)?;
            let number = file.number().map_err(DeliveryError::ReadsUnseen)?;
            reads.watch(&file).map_err(DeliveryError::ReadsUnseen)?;
            self.leaving.watched().insert(device, key.clone());
            let watched = (device, number, held.target.clone());
            current.push((device, number));
            if !container.watched.contains(&watched) {
                container.watched.push(watched);
            }
        }
        let is_old = |it: &(u64, u64, Target)| !current.contains(&(it.0, it.1));
        while container.watched.iter().filter(|it| is_old(it)).count() > MAX_OLD
            && let Some(oldest) = container.watched.iter().position(is_old)
        {
            container.watched.remove(oldest);
        }
        Ok(())
    }

    /// The same for a container that runs: what cannot be watched may not stay.
    pub(super) fn watch_reads_or_end(&self, key: &Key, container: &mut Container) -> Vec<Outcome> {
        let Err(error) = self.watch_reads(key, container) else { return Vec::new() };
        tracing::error!(container = %key.id, "{error}");
        self.end_in(container, &|held| held.until == Some(Until::Read))
    }

    /// The same for a container that an earlier agent has delivered to. What was read meanwhile nobody knows: it stays until
    /// it is read again.
    pub(super) fn watch_again(&self, key: &Key, container: &mut Container) {
        let is_gone = |(held, file): (&Delivered, _)| {
            let file: &PlannedFile = file;
            let found = container.writable.file(&file.path, held.target.as_str());
            held.until.is_some() && found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        let gone: Vec<Target> = container
            .delivery
            .secrets
            .iter()
            .zip(&container.files)
            .filter(|both| is_gone(*both))
            .map(|(held, _)| held.target.clone())
            .collect();
        // An agent that was killed had taken these away, and not come to write it down.
        let mut outcomes = self.end_in(container, &|held| gone.contains(&held.target));
        outcomes.extend(self.watch_reads_or_end(key, container));
        outcomes.iter().for_each(|outcome| self.tell(key, outcome));
        if !container.watched.is_empty() {
            tracing::warn!(container = %key.id, "what was read while no agent was there stays until it is read again");
        }
    }

    /// The file of this number has been read; false where that has to be said again, because its container is not settled.
    pub(super) fn was_read(&self, device: u64, number: u64) -> bool {
        let Some(key) = self.leaving.watched().get(&device).cloned() else { return true };
        let target = match self.settled(&key).get(&key) {
            Some(Held::Holding(container)) => container.watched_as(device, number),
            Some(Held::UnderWay(_) | Held::Changing(..)) => return false,
            Some(Held::Ended { .. }) | None => return true,
        };
        let Some(target) = target else { return true };
        self.end(&key, &|held| held.target == target && held.until == Some(Until::Read)).is_some()
    }

    /// Old versions of a secret's file are known as long as the secret is there: who reads one has read it.
    pub(super) fn forget_old_files(&self, container: &mut Container) {
        let secrets = &container.delivery.secrets;
        let waits =
            |target: &Target| secrets.iter().any(|held| held.target == *target && held.until == Some(Until::Read));
        if !container.watched.iter().any(|(_, _, target)| waits(target)) {
            self.leaving.forget(container);
        }
        container.watched.retain(|(_, _, target)| waits(target));
    }
}

impl Container {
    /// Which of its secrets the file is or was.
    fn watched_as(&self, device: u64, number: u64) -> Option<Target> {
        let is_it = |watched: &&(u64, u64, Target)| (watched.0, watched.1) == (device, number);
        self.watched.iter().find(is_it).map(|(_, _, target)| target.clone())
    }
}
