//! Changes to containers that run: new versions, and by `regrant` new grants and revocations. Each file changes whole, at once,
//! while the container reads; what could not be changed is said, and the rest goes on.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use crate::agent::catalog::{Catalog, CatalogError};
use crate::agent::clock;
use crate::deliver::linux::Running;
use crate::failpoint::{Point, reach};
use crate::model::{Grant, Id, SecretName, Service, Target};
use crate::policy::{Authorized, renew};

use super::held::{Container, Held, Key};
use super::{Announced, Delivered, Deliveries, DeliveryError, Notified, Outcome, Scope};

/// How many containers are changed at one time.
const AT_ONCE: usize = 8;

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
        // One that has its place after this is filled with what the catalog says now.
        let some_start = self.held().values().any(|held| matches!(held, Held::UnderWay(_)));
        let services = if some_start { scope.services(catalog) } else { Vec::new() };
        let is_starting = |held: &Held| matches!(held, Held::UnderWay(service) if services.contains(service));
        let concerned = |held: &Held| is_starting(held) || held.delivery().is_some_and(|it| scope.concerns(it));
        let mut keys: Vec<(bool, Key)> = {
            let held = self.held();
            held.iter().filter(|(_, it)| concerned(it)).map(|(key, it)| (is_starting(it), key.clone())).collect()
        };
        // Those that are being started last: what runs does not wait for a hook.
        keys.sort_by_key(|(is_starting, _)| *is_starting);
        let keys: Vec<Key> = keys.into_iter().map(|(_, key)| key).collect();
        let outcomes = self.change_all(catalog, &keys, scope);
        reach(Point::ChangeDone);
        self.announcements.forget(announced);
        reach(Point::ChangeForgotten);
        outcomes
    }

    /// Changes the containers `keys`, a few at one time: each waits for the kernel more than it computes. One that keeps its
    /// thread waiting does not keep the others.
    fn change_all(&self, catalog: &Catalog, keys: &[Key], scope: &Scope) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut outcomes = Vec::new();
            while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                outcomes.extend(self.change_container(catalog, key, scope));
            }
            outcomes
        };
        std::thread::scope(|threads| {
            let start = || Builder::new().name("change".to_owned()).spawn_scoped(threads, work).ok();
            // This one works as well; where no other can be started, alone.
            let others: Vec<_> = (1..keys.len().min(AT_ONCE)).map_while(|_| start()).collect();
            let mut outcomes = work();
            for other in others {
                outcomes.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            outcomes
        })
    }

    /// Finishes what an earlier agent had announced and not done, and what it had taken out of sight.
    pub fn finish_announced(&self, catalog: &Catalog) {
        for announced in self.announcements.left() {
            reach(Point::FinishBegun);
            tracing::info!("finishing a change that an earlier agent had begun");
            self.change(catalog, &announced);
        }
        self.reveal_all();
    }

    /// Gives a container that has just been delivered to what has changed meanwhile: versions, and its service since `index`.
    /// A change waits for the end of a delivery only so long, and one that came before it had a place found nothing.
    pub(super) fn catch_up(&self, catalog: &Catalog, key: &Key, index: u64) {
        let Some(delivery) = self.held().get(key).and_then(Held::delivery).cloned() else { return };
        let stale = |secret: &Delivered| {
            let known = catalog.secret(secret.id.as_str());
            !known.is_ok_and(|info| info.current().is_some_and(|current| current.number == secret.version))
        };
        let service = catalog.service(delivery.service_id.as_str());
        let is_as_it_was = service.is_ok_and(|it| it.id == delivery.service_id && it.index == index);
        if !is_as_it_was || delivery.secrets.iter().any(stale) {
            self.change_container(catalog, key, &Scope::Service(delivery.service_id));
        }
    }

    pub(super) fn change_container(&self, catalog: &Catalog, key: &Key, scope: &Scope) -> Vec<Outcome> {
        let Some((mut container, place)) = self.take_to_change(key) else { return Vec::new() };
        if let Some(hidden) = &mut container.hidden {
            // It is brought up to date when its checkpoint is over.
            hidden.missed |= scope.concerns(&container.delivery);
            place.fill(*container);
            return Vec::new();
        }
        reach(Point::ChangeTaken);
        let mut outcomes = match scope {
            _ if !scope.concerns(&container.delivery) => Vec::new(),
            Scope::Secrets(ids) => self.rotate(catalog, &mut container, ids),
            Scope::Service(_) => {
                let outcomes = self.regrant(catalog, &mut container);
                // What was granted or revoked is in the current generation, and is in it no more. An earlier agent may
                // not have come so far.
                let is_behind = container.is_adopted || outcomes.iter().any(|it| it.action != "rotate");
                if container.generations
                    && is_behind
                    && let Err(error) = self.flip(&mut container, &[])
                {
                    tracing::error!(container = %container.delivery.id, "{error}");
                }
                outcomes
            }
        };
        let unseen = self.watch_reads_or_end(key, &mut container);
        let told = outcomes.iter().any(|outcome| outcome.failure.is_none()) && self.notify(catalog, &mut container);
        outcomes.extend(unseen);
        reach(Point::ChangeMade);
        let (pid, started) = (container.process.pid(), container.started);
        let some_leave = container.delivery.some_leave();
        // What succeeded is on record already, step by step; but for how long secrets stay.
        let by_service = matches!(scope, Scope::Service(_));
        if told || by_service || outcomes.iter().any(|outcome| outcome.failure.is_some()) {
            self.note(&container);
        }
        place.fill(*container);
        if some_leave {
            self.leaving.wake();
        }
        reach(Point::ChangePlaced);
        self.reap_if_ended(key, pid, started);
        outcomes.iter().for_each(|outcome| self.tell(key, outcome));
        outcomes
    }

    /// Tells the log and those who watch what became of a secret.
    pub(super) fn tell(&self, key: &Key, Outcome { container, target, action, failure }: &Outcome) {
        match failure {
            None => {
                tracing::info!(%container, %target, "{action}");
                self.emit(action, container, key.uid, &[("target", target.as_str())]);
            }
            Some(failure) => {
                tracing::error!(%container, %target, "{action} failed: {failure}");
                self.emit("change-failed", container, key.uid, &[("target", target.as_str()), ("reason", failure)]);
            }
        }
    }

    /// Tells the container that its secrets have changed, as its service asks for it: its first process by a signal, and
    /// whoever runs commands. Whether there was somebody to tell.
    fn notify(&self, catalog: &Catalog, container: &mut Container) -> bool {
        let Ok(service) = catalog.service(container.delivery.service_id.as_str()) else { return false };
        container.command(&service);
        let Some(signal) = service.notify else { return service.notify_command.is_some() };
        let number: nix::Result<nix::sys::signal::Signal> = signal.name().parse();
        let sent = number.map_err(std::io::Error::from).and_then(|number| container.process.send(number));
        let failure = sent.err().map(|error| error.to_string());
        let id = &container.delivery.id;
        match &failure {
            None => tracing::info!(container = %id, %signal, "notified"),
            Some(failure) => tracing::error!(container = %id, %signal, "cannot notify: {failure}"),
        }
        let outcome = failure.as_deref().unwrap_or("sent");
        self.emit("notify", id, container.delivery.uid, &[("signal", signal.name()), ("outcome", outcome)]);
        container.delivery.notified = Some(Notified { signal, at: clock::now(), failure });
        true
    }

    /// Gives `container` the current versions of the secrets `ids`, wherever it has them and is still granted them.
    fn rotate(&self, catalog: &Catalog, container: &mut Container, ids: &[Id]) -> Vec<Outcome> {
        // The service is gone: what the container has stays as it is.
        let Ok(authorized) = self.renewed(catalog, container) else { return Vec::new() };
        let mut wanted = Vec::new();
        for (index, held) in container.delivery.secrets.iter().enumerate() {
            let granted = |grant: &&Grant| grant.source == held.name && grant.target == held.target;
            if let Some(grant) = authorized.grants().as_slice().iter().find(granted)
                && ids.contains(&held.id)
            {
                wanted.push((index, grant, container.files[index].clone()));
            }
        }
        self.put_all(catalog, &authorized, container, wanted)
    }

    /// What the container's service is now.
    pub(super) fn renewed(&self, catalog: &Catalog, container: &Container) -> Result<Authorized, DeliveryError> {
        let held = &container.delivery;
        // By its id: what else the catalog would take for one (a name, a prefix) is another service.
        let known = catalog.service(held.service_id.as_str()).ok().filter(|service| service.id == held.service_id);
        let service = known.ok_or_else(|| CatalogError::NotFound {
            sort: crate::agent::catalog::Sort::Service,
            reference: held.service.to_string(),
        })?;
        Ok(renew(held.uid, &held.id, (&held.service_id, &held.service), &service)?)
    }
}

impl Scope {
    /// The services whose containers it may be about, though they hold nothing yet.
    fn services(&self, catalog: &Catalog) -> Vec<Id> {
        let ids = match self {
            Self::Secrets(ids) => ids,
            Self::Service(id) => return vec![id.clone()],
        };
        let names: Vec<SecretName> =
            ids.iter().filter_map(|id| catalog.secret(id.as_str()).ok()).map(|secret| secret.name).collect();
        let grants = |service: &Service| service.grants.as_slice().iter().any(|grant| names.contains(&grant.source));
        catalog.services().into_iter().filter(grants).map(|service| service.id).collect()
    }
}

/// What became of several secrets that had one fate.
pub(super) fn outcomes<'t>(
    container: &Container,
    targets: impl Iterator<Item = &'t Target>,
    action: &'static str,
    done: Result<(), DeliveryError>,
) -> Vec<Outcome> {
    let failure = done.err().map(|error| error.to_string());
    let one = |target: &Target| Outcome {
        container: container.delivery.id.clone(),
        target: target.clone(),
        action,
        failure: failure.clone(),
    };
    targets.map(one).collect()
}

pub(super) fn outcome(
    container: &Container,
    target: &Target,
    action: &'static str,
    done: Result<(), DeliveryError>,
) -> Outcome {
    let failure = done.err().map(|error| error.to_string());
    Outcome { container: container.delivery.id.clone(), target: target.clone(), action, failure }
}

impl Container {
    pub(super) fn index_of(&self, target: &Target) -> Option<usize> {
        self.delivery.secrets.iter().position(|held| held.target == *target)
    }

    pub(super) fn running<'c>(&'c mut self, deliveries: &'c Deliveries) -> Running<'c> {
        Running {
            process: &self.process,
            writable: &mut self.writable,
            devices: &mut self.devices,
            mounts: &mut self.mounts,
            made: &mut self.made,
            medium: deliveries.medium,
            stage: &deliveries.stage,
            swap: deliveries.swap,
            size_limit: deliveries.size_limit,
            may_enter: self.delivery.uid == 0,
            generations: self.generations,
        }
    }
}
