//! A new version of a secret, in the containers that run: each gets it whole, file by file, while it reads.

use serde::Serialize;

use crate::agent::catalog::Catalog;
use crate::deliver::linux::Replacing;
use crate::model::{ContainerId, Grant, Id, SecretName, Target};
use crate::policy::{Authorized, renew};

use super::held::{Container, Held, Key};
use super::record::Record;
use super::{Deliveries, DeliveryError};

/// What became of one secret in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rotated {
    /// The container.
    pub container: ContainerId,
    /// Where it has the secret.
    pub target: Target,
    /// Why it still has the old version; none: it has the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Deliveries {
    /// Brings every container that holds the secret `id` up to date; returns when each has the new value or has failed to.
    pub fn rotate(&self, catalog: &Catalog, id: &Id) -> Vec<Rotated> {
        let holds = |held: &Held| held.delivery().is_some_and(|it| it.secrets.iter().any(|secret| secret.id == *id));
        let holders = |(key, held): (&Key, &Held)| (holds(held) || matches!(held, Held::UnderWay)).then(|| key.clone());
        let keys: Vec<Key> = self.held().iter().filter_map(holders).collect();
        keys.iter().flat_map(|key| self.bring_up_to_date(catalog, key)).collect()
    }

    /// Brings all containers up to date: after a start, when an earlier agent may have been stopped half-way.
    pub fn bring_all_up_to_date(&self, catalog: &Catalog) {
        let keys: Vec<Key> = self.held().keys().cloned().collect();
        for key in keys {
            self.bring_up_to_date(catalog, &key);
        }
    }

    /// Gives the container of `key` the current version of each secret that it holds and is still granted.
    pub(super) fn bring_up_to_date(&self, catalog: &Catalog, key: &Key) -> Vec<Rotated> {
        let _turn = self.replacing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stale = |held: &Held| {
            let old = |name: &SecretName, version| {
                let secret = catalog.secret(name.as_str());
                secret.is_ok_and(|secret| secret.current().is_some_and(|current| current.number != version))
            };
            held.delivery().is_none_or(|it| it.secrets.iter().any(|secret| old(&secret.name, secret.version)))
        };
        if !self.held().get(key).is_some_and(stale) {
            return Vec::new();
        }
        let Some((mut container, place)) = self.take_to_change(key) else { return Vec::new() };
        let rotated = self.replace_stale(catalog, &mut container);
        let (pid, started) = (container.process.pid(), container.started);
        let record = place.fill(*container);
        self.note(key, &record);
        self.reap_if_ended(key, pid, started);
        for Rotated { container, target, failure } in &rotated {
            match failure {
                None => {
                    tracing::info!(%container, %target, "rotated");
                    self.emit("rotate", container, &[("target", target.as_str())]);
                }
                Some(failure) => {
                    tracing::error!(%container, %target, "not rotated: {failure}");
                    self.emit("rotate-failed", container, &[("target", target.as_str()), ("reason", failure)]);
                }
            }
        }
        rotated
    }

    fn replace_stale(&self, catalog: &Catalog, container: &mut Container) -> Vec<Rotated> {
        let authorized = match self.renewed(catalog, container) {
            Ok(authorized) => authorized,
            // The service is gone: what the container has stays until it stops.
            Err(error) => {
                tracing::info!(container = %container.delivery.id, "nothing is rotated: {error}");
                return Vec::new();
            }
        };
        let mut rotated = Vec::new();
        for index in 0..container.delivery.secrets.len().min(container.files.len()) {
            let (name, target) = {
                let held = &container.delivery.secrets[index];
                (held.name.clone(), held.target.clone())
            };
            let fits = |grant: &&Grant| grant.source.folded() == name.folded() && grant.target == target;
            let Some(grant) = authorized.grants().as_slice().iter().find(fits) else { continue };
            let outcome = self.replace_one(catalog, &authorized, grant, container, index);
            if let Some(outcome) = outcome.transpose() {
                let failure = outcome.err().map(|error| error.to_string());
                rotated.push(Rotated { container: container.delivery.id.clone(), target, failure });
            }
        }
        rotated
    }

    fn renewed(&self, catalog: &Catalog, container: &Container) -> Result<Authorized, DeliveryError> {
        let held = &container.delivery;
        let service = catalog.service(held.service_id.as_str())?;
        Ok(renew(&held.id, (&held.service_id, &held.service), &service)?)
    }

    /// Replaces the secret `index` of `container` if it is not the current version.
    fn replace_one(
        &self,
        catalog: &Catalog,
        authorized: &Authorized,
        grant: &Grant,
        container: &mut Container,
        index: usize,
    ) -> Result<Option<()>, DeliveryError> {
        let held = &mut container.delivery.secrets[index];
        let current = catalog.secret(grant.source.as_str())?;
        if current.id == held.id && current.current().is_some_and(|version| version.number == held.version) {
            return Ok(None);
        }
        let (info, version, value) = catalog.open_value(authorized, grant)?;
        let mut replacing = Replacing {
            process: &container.process,
            writable: &mut container.writable,
            devices: &mut container.devices,
            medium: self.medium,
            stage: &self.stage,
            size_limit: self.size_limit,
        };
        let old = replacing.replace(&container.files[index], grant.target.as_str(), &value)?;
        drop(value);
        self.superseded.put(container.process.pid(), container.started, old);
        held.id = info.id;
        held.version = version;
        // On record before the next one: an agent that is killed here leaves a record that is true, or one version behind.
        self.records.write(&Record::of(container))?;
        Ok(Some(()))
    }
}
