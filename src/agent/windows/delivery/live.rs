//! Changes to containers that run. A new value takes the place of the old one in the directory that the container sees; a
//! revoked one is overwritten there. A new target comes with the container's next start: the host writes to no layer of a
//! container that runs.

use std::path::PathBuf;

use crate::agent::catalog::{Catalog, CatalogError, Sort};
use crate::agent::clock;
use crate::deliver::windows::{FillPlace, remove_value, replace_value};
use crate::model::{Grant, Id, Target};
use crate::policy::{Authorized, renew};

use super::ledger::Record;
use super::{Announced, Delivered, Deliveries, DeliveryError, Outcome, Scope, Turn, key};

/// What a new target is told.
const NEXT_START: &str = "a container on Windows gets a new target with its next start; restart it";

impl Scope {
    /// Whether new versions of the secret `id` are part of it.
    fn is_about(&self, id: &Id) -> bool {
        match self {
            Self::Secrets(ids) => ids.contains(id),
            Self::Service(_) => true,
        }
    }
}

impl Deliveries {
    /// Notes that containers are about to be changed, before the catalog is: an agent that is killed meanwhile leaves it to
    /// the next one. [`Deliveries::change`] takes the note back.
    ///
    /// # Errors
    /// [`DeliveryError::Record`]; nothing may be changed then.
    pub fn announce(&self, scope: Scope) -> Result<Announced, DeliveryError> {
        self.announcements.make(scope)
    }

    /// Brings every container that the announced change is about up to what the catalog says; returns when each has been, or
    /// has failed.
    pub fn change(&self, catalog: &Catalog, announced: &Announced) -> Vec<Outcome> {
        let scope = &announced.scope;
        let mut turn = self.turn();
        let records: Vec<(String, Record)> = {
            let held = self.held();
            held.iter()
                .filter(|(_, record)| scope.concerns(&record.delivery))
                .map(|(name, record)| (name.clone(), record.clone()))
                .collect()
        };
        let mut outcomes = Vec::new();
        for (name, mut record) in records {
            let before = outcomes.len();
            self.change_container(&mut turn, catalog, scope, &mut record, &mut outcomes);
            if outcomes.len() > before {
                let place = FillPlace::of(&self.containers, &record.delivery.id).map_err(DeliveryError::from);
                if let Err(error) = place.and_then(|place| record.write(&place)) {
                    tracing::error!("{error}");
                }
                self.held().insert(name, record);
            }
        }
        self.announcements.forget(announced);
        drop(turn);
        outcomes.iter().for_each(|outcome| self.tell(outcome));
        outcomes
    }

    /// Finishes what an earlier agent had announced and not done.
    pub fn finish_announced(&self, catalog: &Catalog) {
        for announced in self.announcements.left() {
            tracing::info!("finishing a change that an earlier agent had begun");
            self.change(catalog, &announced);
        }
    }

    fn change_container(
        &self,
        turn: &mut Turn,
        catalog: &Catalog,
        scope: &Scope,
        record: &mut Record,
        outcomes: &mut Vec<Outcome>,
    ) {
        let authorized = match (renewed(catalog, record), scope) {
            (Ok(authorized), _) => Some(authorized),
            // The service is gone: with it goes what it granted, and a new version changes nothing.
            (Err(_), Scope::Service(_)) => None,
            (Err(_), Scope::Secrets(_)) => return,
        };
        let granted: &[Grant] = authorized.as_ref().map_or(&[], |authorized| authorized.grants().as_slice());
        // A grant that ends before its container is none here: nobody would see its end.
        let grant_of = |held: &Delivered| {
            let same = |grant: &&Grant| grant.target == held.target && grant.source.folded() == held.name.folded();
            granted.iter().find(|grant| same(grant) && grant.until.is_none())
        };
        let id = record.delivery.id.clone();
        let mut say = |target: &Target, action, failure: Option<String>| {
            outcomes.push(Outcome { container: id.clone(), target: target.clone(), action, failure });
        };
        let all = std::mem::take(&mut record.delivery.secrets);
        let mut left = Vec::with_capacity(all.len());
        for mut held in all.iter().cloned() {
            match (grant_of(&held), &authorized, scope) {
                (Some(grant), Some(authorized), scope) if scope.is_about(&held.id) => {
                    match self.rotate(turn, catalog, authorized, record, grant, &mut held) {
                        Ok(false) => {}
                        Ok(true) => say(&held.target, "rotate", None),
                        Err(error) => say(&held.target, "rotate", Some(error.to_string())),
                    }
                    left.push(held);
                }
                (None, _, Scope::Service(_)) => {
                    // A file that a granted target leads to as well stays.
                    let shared = record.layer.is_some()
                        && all.iter().any(|other| other.id == held.id && grant_of(other).is_some());
                    let done = if shared { Ok(()) } else { self.empty(record, &held) };
                    let failure = done.err().map(|error| error.to_string());
                    say(&held.target, "revoke", failure.clone());
                    if failure.is_some() {
                        left.push(held);
                    }
                }
                _ => left.push(held),
            }
        }
        if matches!(scope, Scope::Service(_)) {
            for grant in granted.iter().filter(|grant| all.iter().all(|held| held.target != grant.target)) {
                say(&grant.target, "grant", Some(NEXT_START.to_owned()));
            }
        }
        record.delivery.secrets = left;
    }

    /// Gives `held` its current version; returns whether it was another one.
    fn rotate(
        &self,
        turn: &mut Turn,
        catalog: &Catalog,
        authorized: &Authorized,
        record: &Record,
        grant: &Grant,
        held: &mut Delivered,
    ) -> Result<bool, DeliveryError> {
        let info = catalog.secret(held.id.as_str())?;
        if info.current().is_none_or(|current| current.number == held.version) {
            return Ok(false);
        }
        let (_, version, value) = catalog.open_value(authorized, grant)?;
        let place = FillPlace::of(&self.containers, &record.delivery.id)?;
        if let Some(left) = replace_value(&*self.seams.acl, &place, &path(record, held)?, &value)? {
            tracing::warn!(container = %record.delivery.id, "an old value is left for now: {left}");
            turn.past.insert(key(&record.delivery.id));
        }
        (held.version, held.since) = (version, clock::now());
        Ok(true)
    }

    fn empty(&self, record: &Record, held: &Delivered) -> Result<(), DeliveryError> {
        let place = FillPlace::of(&self.containers, &record.delivery.id)?;
        Ok(remove_value(&*self.seams.acl, &place, &path(record, held)?)?)
    }

    fn tell(&self, Outcome { container, target, action, failure }: &Outcome) {
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
}

/// The path of a secret's file in the container's directory: by its id, or by its name where there are no links.
fn path(record: &Record, held: &Delivered) -> Result<Vec<String>, DeliveryError> {
    use crate::deliver::windows::WindowsTarget;
    let by_name = || WindowsTarget::of(&held.target).ok()?.below_secrets_dir().map(<[String]>::to_vec);
    let path = match record.layer {
        Some(_) => Some(vec![held.id.to_string()]),
        None => by_name(),
    };
    let known = path.filter(|path| record.files.iter().any(|file| file.path == *path));
    known.ok_or_else(|| DeliveryError::Record {
        path: PathBuf::from(record.delivery.id.as_str()),
        cause: std::io::Error::from(std::io::ErrorKind::NotFound),
    })
}

fn renewed(catalog: &Catalog, record: &Record) -> Result<Authorized, DeliveryError> {
    let held = &record.delivery;
    let known = catalog.services().into_iter().find(|service| service.id == held.service_id);
    let service = known.ok_or_else(|| {
        DeliveryError::Catalog(CatalogError::NotFound { sort: Sort::Service, reference: held.service.to_string() })
    })?;
    Ok(renew(0, &held.id, (&held.service_id, &held.service), &service)?)
}
