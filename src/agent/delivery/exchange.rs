//! One hook connection. The order of the steps is the policy: nothing is opened before the container is identified and
//! the claim is judged, nothing is sent before it is on record, and what does not reach its end is scrubbed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::agent::catalog::Catalog;
use crate::agent::clock;
use crate::agent::events::Kind;
use crate::deliver::DeliverError;
use crate::deliver::linux::{Empty, FillPlan, Filled, IdMaps, Request, Room, Writable, owner_names, plan};
use crate::model::{Claim, ContainerId, Grants, Service, escaped};
use crate::policy::{Authorized, Peer, authorize};
use crate::seal::token_matches;
use crate::sys::linux::peer;
use crate::sys::linux::pidfd::Process;
use crate::wire::{AgentReply, Channel, ChannelError, Deliver, HookRequest, MadePoint, Mount, PROTOCOL, Surroundings};

use super::held::{Container, Held, Key, Reserved};
use super::identity;
use super::record::Record;
use super::{Delivered, Deliveries, Delivery, DeliveryError};

impl Deliveries {
    /// Serves one hook connection to its end; blocks, for as long as the time-outs of `connection` allow.
    pub fn serve(&self, connection: UnixStream) {
        let peer = peer::credentials(&connection);
        let channel = Channel::new(connection);
        let served = peer.map_err(DeliveryError::Peer).and_then(|peer| {
            let peer = Peer { uid: peer.uid, gid: peer.gid, pid: peer.pid };
            self.converse(&channel, &peer)
        });
        if let Err(error) = served {
            let reason = error.to_string();
            tracing::warn!("{reason}");
            // The hook may be gone: then nobody is left to be told.
            let _ = channel.send(&AgentReply::Refused { reason }, &[]);
        }
    }

    fn converse(&self, channel: &Channel, peer: &Peer) -> Result<(), DeliveryError> {
        let received = match channel.receive() {
            // Nothing is asked: `runsecrets doctor` knocks, to see who is here.
            Err(ChannelError::Socket(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            received => received?,
        };
        match received {
            (HookRequest::Deliver(request), fds) => {
                let id = request.container.clone();
                let service = request.claim.as_ref().map_or_else(String::new, |claim| claim.service.to_string());
                self.deliver(channel, peer, request, fds).inspect_err(|error| {
                    let reason = error.to_string();
                    let attributes = [("service", service.as_str()), ("reason", reason.as_str())];
                    self.emit("refuse", &id, &attributes);
                })
            }
            (HookRequest::Environment(request), _) => Ok(channel.send(&self.environment(peer, &request)?, &[])?),
            (HookRequest::Withdraw { container, bundle }, _) => {
                let made = self.withdraw(&Key { id: container, bundle: PathBuf::from(bundle) });
                Ok(channel.send(&AgentReply::Withdrawn { made }, &[])?)
            }
            _ => Err(DeliveryError::OutOfTurn),
        }
    }

    fn deliver(
        &self,
        channel: &Channel,
        peer: &Peer,
        request: Deliver,
        fds: Vec<OwnedFd>,
    ) -> Result<(), DeliveryError> {
        if request.protocol != PROTOCOL {
            return Err(DeliveryError::Protocol(request.protocol));
        }
        let (process, started) = self.identify(fds)?;
        let pid = process.pid();
        let catalog = self.lock.catalog()?;
        let Some(claim) = identity::claim(&catalog, &request, peer, &self.docker)? else {
            return Ok(channel.send(&AgentReply::Nothing, &[])?);
        };
        let service = service(&catalog, &claim)?;
        let authorized = authorize(peer, &request.container, &claim, &service, token_matches)?;
        let key = Key { id: request.container.clone(), bundle: PathBuf::from(&request.bundle) };
        let place = match self.reserve(&key, &process, started, &service)? {
            Reserved::Place(place) => place,
            Reserved::HasThem => return Ok(channel.send(&AgentReply::Nothing, &[])?),
        };

        let maps = IdMaps::of(&process)?;
        let empty = self.make_room(&catalog, &authorized, request.mount_label.as_deref())?;

        let surroundings = surroundings(channel)?;
        let (users, groups) = ask_for_owners(channel, authorized.grants())?;
        let plan = plan(&Request {
            grants: authorized.grants(),
            users: &users,
            groups: &groups,
            maps: &maps,
            layout: &surroundings.layout,
            mounts: &surroundings.mounts,
        })?;
        if plan.mounts.is_empty() {
            return Ok(channel.send(&AgentReply::Nothing, &[])?);
        }
        let (filled, secrets) = self.fill(&catalog, empty, &authorized, &plan)?;
        let delivery = Delivery {
            id: key.id.clone(),
            service: service.name.clone(),
            service_id: service.id.clone(),
            pid,
            since: clock::now(),
            secrets,
            protection: filled.protection,
            bundle: key.bundle.clone(),
        };
        let container = Container {
            delivery,
            process,
            started,
            devices: vec![filled.device],
            files: plan.files,
            writable: Writable::root(filled.root),
            mounts: plan.mounts.iter().map(|(mount, _)| mount.clone()).collect(),
            made: Vec::new(),
        };
        let container = Filling { deliveries: self, container: Some(container) };
        container.record()?;
        self.reaper.watch(&key, container.process()?, started)?;
        let made = attach(channel, plan.root, container.mounts(), &filled.clones)?;
        // From here on nothing can fail, and the container's start does not wait for us.
        let record = place.fill(container.finish(made)?);
        self.reap_if_ended(&key, pid, started);
        self.note(&key, &record);
        // A version that came meanwhile found this container not there yet.
        self.catch_up(&catalog, &key);
        let protection = filled.protection.to_string();
        self.emit("deliver", &key.id, &[("service", service.name.as_str()), ("protection", &protection)]);
        tracing::info!(container = %key.id, service = %service.name, %protection, "delivered");
        Ok(())
    }

    /// The container's first process, by what the kernel says of the descriptor that came with the request.
    fn identify(&self, fds: Vec<OwnedFd>) -> Result<(Process, u64), DeliveryError> {
        let missing = || DeliveryError::Init(std::io::Error::from(std::io::ErrorKind::NotFound));
        let fd = fds.into_iter().next().ok_or_else(missing)?;
        let process = Process::from_fd(fd).map_err(DeliveryError::Init)?;
        let started = process.start_time().map_err(DeliveryError::Init)?;
        if process.mount_namespace().map_err(DeliveryError::Init)? == self.own_namespace {
            return Err(DeliveryError::HostMountNamespace);
        }
        Ok((process, started))
    }

    /// The file system for what is granted, made while the hook looks at the container.
    fn make_room(
        &self,
        catalog: &Catalog,
        authorized: &Authorized,
        label: Option<&str>,
    ) -> Result<Empty, DeliveryError> {
        let grants = authorized.grants();
        let mut sizes = Vec::with_capacity(grants.as_slice().len());
        for grant in grants.as_slice() {
            let info = catalog.secret(grant.source.as_str())?;
            sizes.push(info.current().map_or(0, |version| version.size));
        }
        let room = Room::of(grants, &sizes);
        match self.size_limit {
            Some(allowed) if room.bytes > allowed => Err(DeliverError::TooLarge { needed: room.bytes, allowed }.into()),
            _ => Ok(Empty::make(self.medium, room, label)?),
        }
    }

    fn fill(
        &self,
        catalog: &Catalog,
        empty: Empty,
        authorized: &Authorized,
        plan: &FillPlan,
    ) -> Result<(Filled, Vec<Delivered>), DeliveryError> {
        let grants = authorized.grants().as_slice();
        let mut secrets = Vec::with_capacity(grants.len());
        let filled = empty.fill(plan, &self.stage, |index| {
            let grant = grants.get(index).ok_or(DeliveryError::OutOfTurn)?;
            let (info, version, value) = catalog.open_value(authorized, grant)?;
            let (target, since) = (grant.target.clone(), clock::now());
            secrets.push(Delivered { id: info.id, name: info.name, version, target, since });
            Ok::<_, DeliveryError>(value)
        })?;
        Ok((filled, secrets))
    }

    /// Completes the record with the mount points that were made. Without them a later agent only leaves empty mount
    /// points behind, so a failure is logged and no more.
    pub(super) fn note(&self, key: &Key, record: &Record) {
        if let Err(error) = self.records.write(record) {
            tracing::error!("{error}");
        }
        // It may have ended meanwhile, and its record been removed before this one was written.
        if !self.holds(key, record)
            && let Err(error) = self.records.remove(record)
        {
            tracing::error!("{error}");
        }
    }

    /// Scrubs the secrets of a stopped container; answers with the mount points that are to be removed.
    fn withdraw(&self, key: &Key) -> Vec<MadePoint> {
        match self.take(key) {
            Some(Held::Holding(container)) => {
                self.scrub_container(&container, "stopped");
                container.made
            }
            Some(Held::Ended { made, .. }) => made,
            Some(Held::UnderWay | Held::Changing(_)) | None => Vec::new(),
        }
    }

    pub(super) fn emit(&self, action: &'static str, id: &ContainerId, attributes: &[(&'static str, &str)]) {
        self.events.emit(clock::now(), Kind::Container, action, id.as_str(), &escaped(id.as_str()), attributes);
    }
}

/// Why a message does not fit: the hook says that it has failed, or it is out of turn.
fn unexpected(message: HookRequest) -> DeliveryError {
    match message {
        HookRequest::Failed { reason } => DeliveryError::HookFailed(reason),
        _ => DeliveryError::OutOfTurn,
    }
}

/// The claimed service, by its whole name: what else the catalog would take for it (an id, a prefix) is no claim.
pub(super) fn service(catalog: &Catalog, claim: &Claim) -> Result<Service, DeliveryError> {
    let name = &claim.service;
    let found = catalog.service(name.as_str()).ok().filter(|service| service.name.folded() == name.folded());
    found.ok_or_else(|| DeliveryError::NoService(name.to_string()))
}

fn surroundings(channel: &Channel) -> Result<Surroundings, DeliveryError> {
    match channel.receive()? {
        (HookRequest::Surroundings(surroundings), _) => Ok(surroundings),
        (other, _) => Err(unexpected(other)),
    }
}

/// Names in grants are looked up by the hook, in the container: the agent does not read what an image brings.
fn ask_for_owners(channel: &Channel, grants: &Grants) -> Result<(Vec<u32>, Vec<u32>), DeliveryError> {
    let (users, groups) = owner_names(grants);
    if users.is_empty() && groups.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    channel.send(&AgentReply::Lookup { users, groups }, &[])?;
    match channel.receive()? {
        (HookRequest::Owners { users, groups }, _) => Ok((users, groups)),
        (other, _) => Err(unexpected(other)),
    }
}

/// Sends the mounts, and waits until the hook has attached them.
fn attach(
    channel: &Channel,
    root: (u32, u32),
    mounts: Vec<Mount>,
    clones: &[OwnedFd],
) -> Result<Vec<MadePoint>, DeliveryError> {
    let fds: Vec<BorrowedFd<'_>> = clones.iter().map(AsFd::as_fd).collect();
    channel.send(&AgentReply::Mounts { mounts, root }, &fds)?;
    match channel.receive()? {
        (HookRequest::Attached { made }, _) => Ok(made),
        (other, _) => Err(unexpected(other)),
    }
}

/// A container whose delivery is not finished: scrubbed and taken off the record when dropped.
struct Filling<'d> {
    deliveries: &'d Deliveries,
    container: Option<Container>,
}

impl Filling<'_> {
    fn mounts(&self) -> Vec<Mount> {
        self.container.as_ref().map(|container| container.mounts.clone()).unwrap_or_default()
    }

    fn record(&self) -> Result<(), DeliveryError> {
        match &self.container {
            Some(container) => self.deliveries.records.write(&Record::of(container)),
            None => Ok(()),
        }
    }

    fn process(&self) -> Result<&Process, DeliveryError> {
        self.container.as_ref().map(|container| &container.process).ok_or(DeliveryError::OutOfTurn)
    }

    fn finish(mut self, made: Vec<MadePoint>) -> Result<Container, DeliveryError> {
        let mut container = self.container.take().ok_or(DeliveryError::OutOfTurn)?;
        container.made = made;
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
