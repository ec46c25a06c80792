//! One hook connection. The order of the steps is the policy: nothing is opened before the container is identified and
//! the claim is judged, nothing is sent before it is on record, and what does not reach its end is scrubbed.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::catalog::Catalog;
use crate::agent::clock;
use crate::agent::events::Kind;
use crate::deliver::DeliverError;
use crate::deliver::linux::{Empty, FillPlan, Filled, IdMaps, Request, Room, Writable, plan};
use crate::failpoint::{Point, reach};
use crate::model::{Claim, ContainerId, Service, escaped};
use crate::policy::{Authorized, Peer, Refusal, authorize, may_label, may_speak_for};
use crate::seal::token_matches;
use crate::sys::linux::pidfd::Process;
use crate::wire::{AgentReply, Channel, ChannelError, Deliver, HookRequest, MadePoint, PROTOCOL};

use super::conversation::{ask_for_owners, attach, surroundings};
use super::filling::Filling;
use super::held::{Container, Held, Key, Reserved};
use super::identity;
use super::record::Record;
use super::users::Asker;
use super::{Delivered, Deliveries, Delivery, DeliveryError};

impl Deliveries {
    /// Serves one hook connection to its end; blocks, for as long as the time-outs of `connection` allow.
    ///
    /// # Errors
    /// There is nothing left to do about it: the hook has been told, and it is in the log.
    pub fn serve(&self, connection: UnixStream) -> Result<(), DeliveryError> {
        let asker = Asker::of(&connection);
        let channel = Channel::taking_one(connection);
        let uid = asker.as_ref().map(|asker| asker.peer.uid).ok();
        let served = asker.and_then(|asker| self.converse(&channel, &asker));
        served.inspect_err(|error| {
            let reason = error.to_string();
            match uid {
                None | Some(0) => tracing::warn!("{reason}"),
                Some(uid) => tracing::warn!(uid, "{reason}"),
            }
            // The hook may be gone: then nobody is left to be told.
            let _ = channel.send(&AgentReply::Refused { reason }, &[]);
        })
    }

    fn converse(&self, channel: &Channel, asker: &Asker) -> Result<(), DeliveryError> {
        let received = match channel.receive() {
            // Nothing is asked: `runsecrets doctor` knocks, to see who is here.
            Err(ChannelError::Socket(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            received => received?,
        };
        match received {
            (HookRequest::Deliver(request), fds) => {
                let id = request.container.clone();
                let service = request.claim.as_ref().map_or_else(String::new, |claim| claim.service.to_string());
                self.deliver(channel, asker, request, fds).inspect_err(|error| {
                    let reason = error.to_string();
                    let attributes = [("service", service.as_str()), ("reason", reason.as_str())];
                    self.emit("refuse", &id, asker.peer.uid, &attributes);
                })
            }
            (HookRequest::Environment(request), _) => Ok(channel.send(&self.environment(&asker.peer, &request)?, &[])?),
            (HookRequest::Withdraw { container, bundle }, _) => {
                let made = self.withdraw(&Key { uid: asker.peer.uid, id: container, bundle: PathBuf::from(bundle) });
                Ok(channel.send(&AgentReply::Withdrawn { made }, &[])?)
            }
            (HookRequest::Checkpoint { container }, _) => self.lend(channel, asker.peer.uid, &container),
            (HookRequest::Restore { container, bundle }, _) => {
                self.restoring(channel, Key { uid: asker.peer.uid, id: container, bundle: PathBuf::from(bundle) })
            }
            _ => Err(DeliveryError::OutOfTurn),
        }
    }

    fn deliver(
        &self,
        channel: &Channel,
        asker: &Asker,
        request: Deliver,
        fds: Vec<OwnedFd>,
    ) -> Result<(), DeliveryError> {
        if request.protocol != PROTOCOL {
            return Err(DeliveryError::Protocol(request.protocol));
        }
        let (process, started) = self.identify(fds)?;
        self.descriptors.check(&process)?;
        let (pid, peer) = (process.pid(), &asker.peer);
        let maps = IdMaps::of(&process)?;
        let whose = asker.whose(&process, &maps)?;
        may_speak_for(peer, whose.as_ref())?;
        may_label(peer, request.mount_label.as_deref())?;
        let catalog = self.lock.catalog()?;
        let Some(claim) = identity::claim(&catalog, &request, peer, &self.docker)? else {
            return Ok(channel.send(&AgentReply::Nothing, &[])?);
        };
        let service = service(&catalog, &claim, peer)?;
        let authorized = authorize(peer, whose.as_ref(), &request.container, &claim, &service, token_matches)?;
        let key = Key { uid: peer.uid, id: request.container.clone(), bundle: PathBuf::from(&request.bundle) };
        if self.comes_later(&key, &process)? {
            return Ok(channel.send(&AgentReply::Nothing, &[])?);
        }
        let place = match self.reserve(&key, &process, started, &service)? {
            Reserved::Place(place) => place,
            Reserved::HasThem => return Ok(channel.send(&AgentReply::Nothing, &[])?),
        };
        reach(Point::DeliverReserved);

        let room = self.room(&catalog, &authorized)?;
        let share = self.shares.take(peer.uid, room.bytes)?;
        let empty = Empty::make(self.medium, room, request.mount_label.as_deref())?;
        reach(Point::DeliverMade);

        let surroundings = surroundings(channel, || asker.namespaces(&process, &maps))?;
        let (users, groups) = ask_for_owners(channel, authorized.grants())?;
        let plan = plan(&Request {
            grants: authorized.grants(),
            users: &users,
            groups: &groups,
            maps: &maps,
            layout: &surroundings.layout,
            mounts: &surroundings.mounts,
            generations: self.generations,
        })?;
        reach(Point::DeliverPlanned);
        if plan.mounts.is_empty() {
            return Ok(channel.send(&AgentReply::Nothing, &[])?);
        }
        let (filled, secrets) = self.fill(&catalog, empty, &authorized, &plan)?;
        reach(Point::DeliverFilled);
        let delivery = Delivery {
            id: key.id.clone(),
            service: service.name.clone(),
            service_id: service.id.clone(),
            pid,
            since: clock::now(),
            secrets,
            ended: Vec::new(),
            protection: filled.protection,
            bundle: key.bundle.clone(),
            uid: peer.uid,
            notified: None,
            commanded: None,
        };
        let container = Container {
            delivery,
            process: Arc::new(process),
            started,
            devices: vec![filled.file_system],
            files: plan.files,
            share,
            writable: Writable::root(filled.root),
            mounts: plan.mounts.iter().map(|(mount, _)| mount.clone()).collect(),
            made: Vec::new(),
            begun: None,
            generations: self.generations,
            watched: Vec::new(),
            is_adopted: false,
            hidden: None,
        };
        let mut container = Filling { deliveries: self, container: Some(container) };
        // Before anybody can read it.
        container.watch_reads(&key)?;
        container.record()?;
        reach(Point::DeliverRecorded);
        self.reaper.watch(&key, container.process()?, started)?;
        reach(Point::DeliverWatched);
        let made = attach(channel, asker.sees(plan.root)?, container.mounts(), &filled.clones)?;
        reach(Point::DeliverAcknowledged);
        // From here on nothing can fail, and the container's start does not wait for us.
        let container = container.finish(made)?;
        let some_leave = container.delivery.some_leave();
        // With the mount points that were made.
        self.note(&container);
        reach(Point::DeliverNoted);
        place.fill(container);
        reach(Point::DeliverPlaced);
        self.reap_if_ended(&key, pid, started);
        if some_leave {
            self.leaving.wake();
        }
        // A change that came meanwhile found this container not there yet, or did not wait for it.
        self.catch_up(&catalog, &key, service.index);
        let protection = filled.protection.to_string();
        self.emit("deliver", &key.id, key.uid, &[("service", service.name.as_str()), ("protection", &protection)]);
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

    /// The room for what is granted; the file system is made while the hook looks at the container.
    fn room(&self, catalog: &Catalog, authorized: &Authorized) -> Result<Room, DeliveryError> {
        let grants = authorized.grants();
        let mut sizes = Vec::with_capacity(grants.as_slice().len());
        for grant in grants.as_slice() {
            let info = catalog.secret(grant.source.as_str())?;
            sizes.push(info.current().map_or(0, |version| version.size));
        }
        let room = Room::of(grants, &sizes, self.generations);
        match self.size_limit {
            Some(allowed) if room.bytes > allowed => Err(DeliverError::TooLarge { needed: room.bytes, allowed }.into()),
            _ => Ok(room),
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
            secrets.push(Delivered::of(info, version, grant, None));
            Ok::<_, DeliveryError>(value)
        })?;
        Ok((filled, secrets))
    }

    /// Writes down again what is known of `container`, which the caller has in hand. What a later agent cannot do without is
    /// on record before it is done, so a failure is logged and no more.
    pub(super) fn note(&self, container: &Container) {
        if let Err(error) = self.records.write(&Record::of(container)) {
            tracing::error!("{error}");
        }
    }

    /// Scrubs the secrets of a stopped container; answers with the mount points that are to be removed.
    fn withdraw(&self, key: &Key) -> Vec<MadePoint> {
        match self.take(key) {
            Some(Held::Holding(container)) => {
                reach(Point::WithdrawTaken);
                self.scrub_container(&container, "stopped");
                container.made
            }
            Some(Held::Ended { made, .. }) => made,
            Some(Held::UnderWay(_) | Held::Changing(..)) | None => Vec::new(),
        }
    }

    /// Says what happened to the container `id` of `uid`: what users call theirs may also be what root calls one.
    pub(super) fn emit(&self, action: &'static str, id: &ContainerId, uid: u32, attributes: &[(&'static str, &str)]) {
        let user = uid.to_string();
        let mut attributes = attributes.to_vec();
        if uid != 0 {
            attributes.push(("user", &user));
        }
        self.events.emit(clock::now(), Kind::Container, action, id.as_str(), &escaped(id.as_str()), &attributes);
    }
}

/// The claimed service, by its whole name: what else the catalog would take for it (an id, a prefix) is no claim. To a user,
/// one that is not there is as one that is closed.
pub(super) fn service(catalog: &Catalog, claim: &Claim, peer: &Peer) -> Result<Service, DeliveryError> {
    let name = &claim.service;
    let found = catalog.service(name.as_str()).ok().filter(|service| service.name.folded() == name.folded());
    match (found, peer.uid) {
        (None, 0) => Err(DeliveryError::NoService(name.to_string())),
        (Some(service), uid) if uid == 0 || service.users.contain(uid) => Ok(service),
        (_, uid) => Err(Refusal::NotOpen { service: name.clone(), uid }.into()),
    }
}
