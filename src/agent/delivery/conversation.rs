//! What agent and hook say to each other in the course of a delivery, after the request: each message in its turn.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::deliver::linux::owner_names;
use crate::failpoint::{Point, reach};
use crate::model::Grants;
use crate::sys::linux::owner::Namespaces;
use crate::wire::{AgentReply, Channel, HookRequest, MadePoint, Mount, Surroundings};

use super::DeliveryError;

/// What the hook sees in the container, into which it may need to be let.
pub(super) fn surroundings(
    channel: &Channel,
    namespaces: impl FnOnce() -> Result<Namespaces, DeliveryError>,
) -> Result<Surroundings, DeliveryError> {
    let (mut message, _) = channel.receive()?;
    if matches!(message, HookRequest::Namespaces) {
        let found = namespaces()?;
        channel.send(&AgentReply::Namespaces, &[found.user.as_fd(), found.mount.as_fd()])?;
        (message, _) = channel.receive()?;
    }
    match message {
        HookRequest::Surroundings(surroundings) => Ok(surroundings),
        other => Err(unexpected(other)),
    }
}

/// Names in grants are looked up by the hook, in the container: the agent does not read what an image brings.
pub(super) fn ask_for_owners(channel: &Channel, grants: &Grants) -> Result<(Vec<u32>, Vec<u32>), DeliveryError> {
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
pub(super) fn attach(
    channel: &Channel,
    root: (u32, u32),
    mounts: Vec<Mount>,
    clones: &[OwnedFd],
) -> Result<Vec<MadePoint>, DeliveryError> {
    let fds: Vec<BorrowedFd<'_>> = clones.iter().map(AsFd::as_fd).collect();
    channel.send(&AgentReply::Mounts { mounts, root }, &fds)?;
    reach(Point::DeliverSent);
    match channel.receive()? {
        (HookRequest::Attached { made }, _) => Ok(made),
        (other, _) => Err(unexpected(other)),
    }
}

/// Why a message does not fit: the hook says that it has failed, or it is out of turn.
fn unexpected(message: HookRequest) -> DeliveryError {
    match message {
        HookRequest::Failed { reason } => DeliveryError::HookFailed(reason),
        _ => DeliveryError::OutOfTurn,
    }
}
