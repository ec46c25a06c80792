//! One request of a hook's or the wrapper's. The order of the steps is the policy: every refusal comes before a file is made,
//! no value is opened before the claim is judged and the volume looked at, and what does not reach its end is undone.

use std::path::{Path, PathBuf};

use crate::agent::catalog::Catalog;
use crate::agent::clock;
use crate::deliver::windows::{
    FillPlace, Filled, Layer, LayerRecord, Layout, Plan, Request, VolumeState, WindowsError, admits, check_mounts, plan,
};
use crate::model::{Claim, ContainerId, Id, Service};
use crate::policy::{Authorized, Peer, authorize};
use crate::seal::token_matches;
use crate::sys::windows::lifetime;
use crate::wire::PROTOCOL;
use crate::wire::windows::{PipeAnswer, PipeDeliver, PipeRequest};

use super::ledger::{Process, Record};
use super::{Delivered, Deliveries, Delivery, DeliveryError, Turn, key, selectors};

impl Deliveries {
    /// Answers one request of the process `pid`, which is SYSTEM's or an administrator's; blocks.
    pub fn answer(&self, request: PipeRequest, pid: u32) -> PipeAnswer {
        let answered = match request {
            PipeRequest::Deliver(request) => {
                let id = request.container.clone();
                let service = request.claim.as_ref().map_or_else(String::new, |claim| claim.service.to_string());
                self.deliver(request, pid).inspect_err(|error| {
                    let reason = error.to_string();
                    self.emit("refuse", &id, &[("service", service.as_str()), ("reason", reason.as_str())]);
                })
            }
            PipeRequest::Withdraw { container, bundle } => {
                self.withdraw(&container, Path::new(&bundle));
                Ok(PipeAnswer::Withdrawn)
            }
        };
        answered.unwrap_or_else(|error| {
            let reason = error.to_string();
            tracing::warn!(pid, "{reason}");
            PipeAnswer::Refused { reason }
        })
    }

    fn deliver(&self, request: PipeDeliver, pid: u32) -> Result<PipeAnswer, DeliveryError> {
        if request.protocol != PROTOCOL {
            return Err(DeliveryError::Protocol(request.protocol));
        }
        let mut turn = self.turn();
        if turn.stopping {
            return Err(DeliveryError::Stopping);
        }
        let catalog = self.lock.catalog()?;
        let Some(claim) = claim(&catalog, &request)? else { return Ok(PipeAnswer::Nothing) };
        let service = service(&catalog, &claim)?;
        // Whoever the pipe has let in may do everything, as root may on Linux.
        let peer = Peer { uid: 0, gid: 0, pid: i32::try_from(pid).unwrap_or(0) };
        let authorized = authorize(&peer, None, &request.container, &claim, &service, token_matches)?;
        if authorized.grants().as_slice().iter().any(|grant| grant.until.is_some()) {
            return Err(DeliveryError::Until);
        }
        let process = request.pid.map(process).transpose()?;
        if let Some(answer) = self.held_already(&mut turn, &request, &service, process)? {
            return Ok(answer);
        }

        let layout = if request.layer.is_some() { Layout::Links } else { Layout::Directory };
        let ids = ids(&catalog, &authorized)?;
        let plan = plan(&Request { grants: authorized.grants(), ids: &ids, layout })?;
        if plan.files.is_empty() {
            return Ok(PipeAnswer::Nothing);
        }
        let layer = request.layer.as_ref().map(|root| Layer::at(PathBuf::from(root))).transpose()?;
        if let Some(layer) = &layer {
            check_mounts(&plan.links, &request.mounts)?;
            layer.check(&*self.seams.links, &plan.links)?;
        }
        let state = self.seams.volume.state_of(&self.containers);
        if !admits(self.demand, &state) {
            return Err(WindowsError::Volume { directory: self.containers.clone(), state }.into());
        }

        let place = self.free_place(&request.container)?;
        let (filled, secrets) = self.fill(&catalog, &authorized, place.clone(), &plan)?;
        let delivery = Delivery {
            id: request.container.clone(),
            service: service.name.clone(),
            service_id: service.id.clone(),
            pid: process.map_or(0, |process| i32::try_from(process.pid).unwrap_or(0)),
            since: clock::now(),
            secrets,
            protection: state.protection(),
            bundle: PathBuf::from(&request.bundle),
            uid: 0,
            notified: None,
            ended: Vec::new(),
            commanded: None,
        };
        let links = LayerRecord { links: plan.links.clone(), ..LayerRecord::default() };
        let mut record = Record::new(delivery, &plan, layer, links, process);
        // Before the links are made: an agent that is killed meanwhile leaves none that the next one does not know of.
        record.write(&place)?;
        let made = match &record.layer {
            Some(layer) => Some(layer.link(&*self.seams.links, &plan.links)?),
            None => None,
        };
        if let Some(made) = &made {
            record.links = made.made().clone();
            record.write(&place)?;
        }
        // From here on nothing can fail.
        made.map(crate::deliver::windows::MadeLinks::keep);
        filled.keep();
        Ok(self.delivered(record, &place, &plan, &state))
    }

    fn delivered(&self, record: Record, place: &FillPlace, plan: &Plan, state: &VolumeState) -> PipeAnswer {
        let mut warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
        if *state != VolumeState::On {
            warnings
                .push(format!("the volume of '{}' is not known to be encrypted: {state}", self.containers.display()));
        }
        let (id, service) = (record.delivery.id.clone(), record.delivery.service.clone());
        for warning in &warnings {
            tracing::warn!(container = %id, %service, "{warning}");
        }
        let protection = record.delivery.protection.to_string();
        let ignored = plan.warnings.len().to_string();
        self.emit(
            "deliver",
            &id,
            &[("service", service.as_str()), ("protection", &protection), ("ignored-owners-and-modes", &ignored)],
        );
        tracing::info!(container = %id, %service, %protection, "delivered");
        let answer = mount(place, plan.layout, warnings);
        self.held().insert(key(&id), record);
        answer
    }

    /// What is answered where the container has its secrets: `prepare` was there before the hook, or is called twice.
    fn held_already(
        &self,
        turn: &mut Turn,
        request: &PipeDeliver,
        service: &Service,
        process: Option<Process>,
    ) -> Result<Option<PipeAnswer>, DeliveryError> {
        let name = key(&request.container);
        let Some(mut record) = self.held().get(&name).cloned() else { return Ok(None) };
        let same = record.delivery.id == request.container && record.is_of_bundle(Path::new(&request.bundle));
        let another = record.process.is_some() && process.is_some() && record.process != process;
        if !record.lives() || (same && another) {
            self.remove(turn, &name, "replaced");
            return Ok(None);
        }
        if !same {
            return Err(DeliveryError::Occupied(request.container.to_string()));
        }
        if record.delivery.service_id != service.id {
            let (has, claims) = (record.delivery.service.to_string(), service.name.to_string());
            return Err(DeliveryError::TwoServices { has, claims });
        }
        let place = FillPlace::of(&self.containers, &request.container)?;
        if let Some(layer) = &record.layer {
            check_mounts(&record.links.links, &request.mounts)?;
            layer.verify(&*self.seams.links, &record.links)?;
        }
        if process.is_some() && record.process != process {
            record.process = process;
            record.delivery.pid = process.map_or(0, |process| i32::try_from(process.pid).unwrap_or(0));
            record.write(&place)?;
        }
        let answer = mount(&place, record.layout, Vec::new());
        self.held().insert(name, record);
        Ok(Some(answer))
    }

    /// The container's place, from which what an earlier one has left is removed.
    fn free_place(&self, id: &ContainerId) -> Result<FillPlace, DeliveryError> {
        let place = FillPlace::of(&self.containers, id)?;
        if place.is_taken() {
            let scrubbed = place.scrub(&*self.seams.acl);
            tracing::warn!(container = %id, files = scrubbed.files, "removed what an earlier container of this id had left");
        }
        Ok(place)
    }

    fn fill(
        &self,
        catalog: &Catalog,
        authorized: &Authorized,
        place: FillPlace,
        plan: &Plan,
    ) -> Result<(Filled<'_>, Vec<Delivered>), DeliveryError> {
        let grants = authorized.grants().as_slice();
        let mut opened: Vec<(Id, u64)> = Vec::new();
        let filled = Filled::make(&self.seams, place, plan, |index| {
            let (info, version, value) = catalog.open_value(authorized, &grants[index])?;
            opened.push((info.id, version));
            Ok::<_, DeliveryError>(value)
        })?;
        let mut secrets = Vec::with_capacity(grants.len());
        for grant in grants {
            let info = catalog.secret(grant.source.as_str())?;
            // Two grants of one secret have one file, or two of one version.
            let version = opened.iter().find(|(id, _)| *id == info.id).map_or(0, |(_, version)| *version);
            secrets.push(Delivered::of(info, version, grant, None));
        }
        Ok((filled, secrets))
    }

    /// Removes the secrets of a stopped container, if it is the one that has them.
    fn withdraw(&self, id: &ContainerId, bundle: &Path) {
        let (mut turn, name) = (self.turn(), key(id));
        let is_it =
            self.held().get(&name).is_some_and(|record| record.delivery.id == *id && record.is_of_bundle(bundle));
        if is_it {
            self.remove(&mut turn, &name, "stopped");
        }
    }
}

fn mount(place: &FillPlace, layout: Layout, warnings: Vec<String>) -> PipeAnswer {
    let source = place.values().to_string_lossy().into_owned();
    PipeAnswer::Mount { source, at: layout.mount_point().to_owned(), warnings }
}

fn process(pid: u32) -> Result<Process, DeliveryError> {
    let started = lifetime::started(pid).map_err(|cause| DeliveryError::Process { pid, cause })?;
    Ok(Process { pid, started })
}

/// The claim of the container; none: it is no service, and gets nothing.
fn claim(catalog: &Catalog, request: &PipeDeliver) -> Result<Option<Claim>, DeliveryError> {
    match &request.claim {
        Some(claim) => Ok(Some(claim.clone())),
        None => selectors::claim(catalog, &request.annotations),
    }
}

/// The claimed service, by its whole name: what else the catalog would take for it (an id, a prefix) is no claim.
fn service(catalog: &Catalog, claim: &Claim) -> Result<Service, DeliveryError> {
    let name = &claim.service;
    let found = catalog.service(name.as_str()).ok().filter(|service| service.name.folded() == name.folded());
    found.ok_or_else(|| DeliveryError::NoService(name.to_string()))
}

fn ids(catalog: &Catalog, authorized: &Authorized) -> Result<Vec<Id>, DeliveryError> {
    let grants = authorized.grants().as_slice();
    grants.iter().map(|grant| Ok(catalog.secret(grant.source.as_str())?.id)).collect()
}
