//! Changes to containers that run: new versions, new grants, revocations. Each file changes whole, at once, while the
//! container reads; what could not be changed is said, and the rest goes on.

use std::sync::PoisonError;

use serde::Serialize;

use crate::agent::catalog::{Catalog, CatalogError, Status};
use crate::agent::clock;
use crate::deliver::linux::{PlannedFile, Running};
use crate::model::{ContainerId, Grant, Id, Target};
use crate::policy::{Authorized, renew};

use super::held::{Container, Held, Key};
use super::record::{Record, Scope};
use super::{Delivered, Deliveries, DeliveryError};

/// What became of one secret in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    /// The container.
    pub container: ContainerId,
    /// Where it has, had or gets the secret.
    pub target: Target,
    /// `rotate`, `grant` or `revoke`.
    pub action: &'static str,
    /// Why that could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Deliveries {
    /// Notes that containers are about to be changed, before the catalog is: an agent that is killed meanwhile leaves it to
    /// the next one. [`Deliveries::change`] takes the note back.
    ///
    /// # Errors
    /// [`DeliveryError::Record`]; nothing may be changed then.
    pub fn announce(&self, scope: &Scope) -> Result<(), DeliveryError> {
        self.records.announce(scope)
    }

    /// Brings every container that `scope` is about up to what the catalog says; returns when each has been, or has failed.
    pub fn change(&self, catalog: &Catalog, scope: &Scope) -> Vec<Outcome> {
        let concerned = |held: &Held| match held.delivery() {
            Some(delivery) => scope.concerns(delivery),
            None => matches!(held, Held::UnderWay),
        };
        let keys: Vec<Key> =
            self.held().iter().filter(|(_, held)| concerned(held)).map(|(key, _)| key.clone()).collect();
        let outcomes = keys.iter().flat_map(|key| self.change_container(catalog, key, scope)).collect();
        self.records.forget_announcement();
        outcomes
    }

    /// Finishes what an earlier agent had announced and not done.
    pub fn finish_announced(&self, catalog: &Catalog) {
        if let Some(scope) = self.records.announced() {
            tracing::info!("finishing a change that an earlier agent had begun");
            self.change(catalog, &scope);
        }
    }

    /// Gives a container that has just been delivered to what has changed meanwhile.
    pub(super) fn catch_up(&self, catalog: &Catalog, key: &Key) {
        let stale = |secret: &Delivered| {
            let known = catalog.secret(secret.id.as_str());
            !known.is_ok_and(|info| info.current().is_some_and(|current| current.number == secret.version))
        };
        let service = match self.held().get(key).and_then(Held::delivery) {
            Some(delivery) if delivery.secrets.iter().any(stale) => delivery.service_id.clone(),
            _ => return,
        };
        self.change_container(catalog, key, &Scope::Service(service));
    }

    fn change_container(&self, catalog: &Catalog, key: &Key, scope: &Scope) -> Vec<Outcome> {
        let _turn = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((mut container, place)) = self.take_to_change(key) else { return Vec::new() };
        let outcomes = match scope {
            _ if !scope.concerns(&container.delivery) => Vec::new(),
            Scope::Secret(id) => self.rotate(catalog, &mut container, id),
            Scope::Service(_) => self.regrant(catalog, &mut container),
        };
        let (pid, started) = (container.process.pid(), container.started);
        let record = place.fill(*container);
        self.note(key, &record);
        self.reap_if_ended(key, pid, started);
        for Outcome { container, target, action, failure } in &outcomes {
            match failure {
                None => {
                    tracing::info!(%container, %target, "{action}");
                    self.emit(action, container, &[("target", target.as_str())]);
                }
                Some(failure) => {
                    tracing::error!(%container, %target, "{action} failed: {failure}");
                    self.emit("change-failed", container, &[("target", target.as_str()), ("reason", failure)]);
                }
            }
        }
        outcomes
    }

    /// Gives `container` the current version of the secret `id`, wherever it has it and is still granted it.
    fn rotate(&self, catalog: &Catalog, container: &mut Container, id: &Id) -> Vec<Outcome> {
        // The service is gone: what the container has stays as it is.
        let Ok(authorized) = self.renewed(catalog, container) else { return Vec::new() };
        let mut outcomes = Vec::new();
        for index in 0..container.delivery.secrets.len() {
            let held = &container.delivery.secrets[index];
            if held.id != *id {
                continue;
            }
            let granted = |grant: &&Grant| grant.source == held.name && grant.target == held.target;
            let Some(grant) = authorized.grants().as_slice().iter().find(granted) else { continue };
            let file = container.files[index].clone();
            if let Some(done) = self.put(catalog, &authorized, grant, container, index, file).transpose() {
                outcomes.push(outcome(container, &grant.target, "rotate", done));
            }
        }
        outcomes
    }

    /// Gives `container` what its service grants now, and takes what it does not.
    fn regrant(&self, catalog: &Catalog, container: &mut Container) -> Vec<Outcome> {
        let renewed = match self.renewed(catalog, container) {
            Ok(renewed) => Some(renewed),
            Err(DeliveryError::Catalog(error)) if error.status() == Status::NotFound => None,
            Err(error) => {
                tracing::error!(container = %container.delivery.id, "nothing is changed: {error}");
                return Vec::new();
            }
        };
        let granted = renewed.as_ref().map_or(&[][..], |authorized| authorized.grants().as_slice());
        let mut outcomes = self.revoke_all_but(granted, container);
        let Some(authorized) = &renewed else { return outcomes };
        let planned = {
            let files = container.files.clone();
            container.running(self).plan(authorized.grants(), &files)
        };
        let change = match planned {
            Ok(change) => change,
            Err(error) => {
                // One target that cannot be had is named in the error; none of the others is touched.
                let reason = DeliveryError::from(error).to_string();
                outcomes.extend(granted.iter().map(|grant| Outcome {
                    container: container.delivery.id.clone(),
                    target: grant.target.clone(),
                    action: "grant",
                    failure: Some(reason.clone()),
                }));
                return outcomes;
            }
        };
        for file in &change.plan.files {
            let Some(grant) = granted.get(file.grant) else { continue };
            match container.index_of(&grant.target) {
                Some(index) => {
                    let file = PlannedFile { path: container.files[index].path.clone(), ..file.clone() };
                    if let Some(done) = self.put(catalog, authorized, grant, container, index, file).transpose() {
                        outcomes.push(outcome(container, &grant.target, "rotate", done));
                    }
                }
                None => {
                    let done = catalog.open_value(authorized, grant).map_err(DeliveryError::from).and_then(
                        |(info, version, value)| {
                            container.running(self).add(&change, file, grant.target.as_str(), &value)?;
                            let (id, name, target) = (info.id, info.name, grant.target.clone());
                            container.delivery.secrets.push(Delivered {
                                id,
                                name,
                                version,
                                target,
                                since: clock::now(),
                            });
                            container.files.push(file.clone());
                            self.records.write(&Record::of(container))
                        },
                    );
                    outcomes.push(outcome(container, &grant.target, "grant", done));
                }
            }
        }
        outcomes
    }

    fn revoke_all_but(&self, granted: &[Grant], container: &mut Container) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut index = 0;
        while index < container.delivery.secrets.len() {
            let target = container.delivery.secrets[index].target.clone();
            if granted.iter().any(|grant| grant.target == target) {
                index += 1;
                continue;
            }
            let others: Vec<Target> = container.delivery.secrets.iter().map(|held| held.target.clone()).collect();
            let others: Vec<&str> = others.iter().filter(|other| **other != target).map(Target::as_str).collect();
            let file = container.files.remove(index);
            container.delivery.secrets.remove(index);
            let removed = container.running(self).remove(&file, target.as_str(), &others).map_err(DeliveryError::from);
            let done = removed.and_then(|()| self.records.write(&Record::of(container)));
            outcomes.push(outcome(container, &target, "revoke", done));
        }
        outcomes
    }

    /// What the container's service is now.
    fn renewed(&self, catalog: &Catalog, container: &Container) -> Result<Authorized, DeliveryError> {
        let held = &container.delivery;
        let known = catalog.services().into_iter().find(|service| service.id == held.service_id);
        let service = known.ok_or_else(|| CatalogError::NotFound {
            sort: crate::agent::catalog::Sort::Service,
            reference: held.service.to_string(),
        })?;
        Ok(renew(&held.id, (&held.service_id, &held.service), &service)?)
    }

    /// Puts the current version of `grant`'s secret in place of the container's `index`, as `file` says, unless it is there.
    fn put(
        &self,
        catalog: &Catalog,
        authorized: &Authorized,
        grant: &Grant,
        container: &mut Container,
        index: usize,
        file: PlannedFile,
    ) -> Result<Option<()>, DeliveryError> {
        let current = catalog.secret(grant.source.as_str())?;
        let (held, stands) = (&container.delivery.secrets[index], &container.files[index]);
        let same_version = current.current().is_some_and(|version| version.number == held.version);
        let same_owner = (stands.uid, stands.gid, stands.mode) == (file.uid, file.gid, file.mode);
        if current.id == held.id && same_version && same_owner {
            return Ok(None);
        }
        let (info, version, value) = catalog.open_value(authorized, grant)?;
        let old = container.running(self).replace(&file, grant.target.as_str(), &value)?;
        drop(value);
        self.superseded.put(container.process.pid(), container.started, old);
        let (id, name, target) = (info.id, info.name, grant.target.clone());
        container.delivery.secrets[index] = Delivered { id, name, version, target, since: clock::now() };
        container.files[index] = file;
        // On record before the next one: an agent that is killed here leaves a record that is true, or one file behind.
        self.records.write(&Record::of(container))?;
        Ok(Some(()))
    }
}

fn outcome(container: &Container, target: &Target, action: &'static str, done: Result<(), DeliveryError>) -> Outcome {
    let failure = done.err().map(|error| error.to_string());
    Outcome { container: container.delivery.id.clone(), target: target.clone(), action, failure }
}

impl Container {
    fn index_of(&self, target: &Target) -> Option<usize> {
        self.delivery.secrets.iter().position(|held| held.target == *target)
    }

    fn running<'c>(&'c mut self, deliveries: &'c Deliveries) -> Running<'c> {
        Running {
            process: &self.process,
            writable: &mut self.writable,
            devices: &mut self.devices,
            mounts: &mut self.mounts,
            made: &mut self.made,
            medium: deliveries.medium,
            stage: &deliveries.stage,
            size_limit: deliveries.size_limit,
        }
    }
}
