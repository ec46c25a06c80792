//! Containers of other users than root: whose a container is by what the kernel says, what one user may take of the
//! agent's room, and how ids look from where a user's hook is. What that means for a delivery is for `policy` to say.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::deliver::linux::IdMaps;
use crate::policy::{Peer, Whose, may_speak_for};
use crate::sys::linux::owner::{Namespaces, Ownership};
use crate::sys::linux::peer;
use crate::sys::linux::pidfd::Process;

use super::DeliveryError;

/// The process at the other end of a connection.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) peer: Peer,
    /// A user's hook itself; not looked at for root, who needs no more than to be root.
    process: Option<Process>,
}

impl Asker {
    /// Who made `connection`, as the kernel noted it then.
    pub(super) fn of(connection: &UnixStream) -> Result<Self, DeliveryError> {
        let found = peer::credentials(connection).map_err(DeliveryError::Peer)?;
        let peer = Peer { uid: found.uid, gid: found.gid, pid: found.pid };
        let process = match peer.uid {
            0 => None,
            _ => Some(process(connection, &peer).map_err(DeliveryError::Peer)?),
        };
        Ok(Self { peer, process })
    }

    /// Whose the container of `process` with these `maps` is; nobody needs to know that for root.
    pub(super) fn whose(&self, process: &Process, maps: &IdMaps) -> Result<Option<Whose>, DeliveryError> {
        if self.peer.uid == 0 {
            return Ok(None);
        }
        let found = Ownership::of(process).map_err(DeliveryError::Init)?;
        Ok(Some(whose(&found, maps)))
    }

    /// The namespaces of the container of `process`, for a hook that may not look at it: what the kernel lets a user do
    /// with them is what it would let it do with its own anyway.
    pub(super) fn namespaces(&self, process: &Process, maps: &IdMaps) -> Result<Namespaces, DeliveryError> {
        let (found, namespaces) = Ownership::with_namespaces(process).map_err(DeliveryError::Init)?;
        match self.peer.uid {
            0 => Err(DeliveryError::OutOfTurn),
            _ => Ok(may_speak_for(&self.peer, Some(&whose(&found, maps))).map(|()| namespaces)?),
        }
    }

    /// The host's ids as the hook has to write them where it is now: in a user namespace, they are others.
    pub(super) fn sees(&self, ids: (u32, u32)) -> Result<(u32, u32), DeliveryError> {
        match &self.process {
            None => Ok(ids),
            Some(hook) => IdMaps::of(hook)?.inside(ids).ok_or(DeliveryError::HookElsewhere { uid: self.peer.uid }),
        }
    }
}

fn whose(found: &Ownership, maps: &IdMaps) -> Whose {
    Whose {
        user_namespace: found.user_namespace,
        mount_namespace: found.mount_namespace,
        at_home: found.uids.iter().all(|uid| maps.has_user(*uid)),
    }
}

/// The hook by pidfd; on kernels before 6.5 by its number, which may be another's by now: it only tells a user's hook
/// which ids to use.
fn process(connection: &UnixStream, peer: &Peer) -> io::Result<Process> {
    match peer::pidfd(connection)? {
        Some(fd) => Process::from_fd(fd),
        None => Process::open(peer.pid),
    }
}

/// How much of the agent's room one user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserLimits {
    /// Containers that hold secrets at one time.
    pub containers: usize,
    /// Bytes of RAM for them.
    pub bytes: u64,
}

/// What users have of it.
#[derive(Debug)]
pub(super) struct Shares {
    limits: UserLimits,
    taken: Mutex<HashMap<u32, UserLimits>>,
}

/// One container's part; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    uid: u32,
    pub(super) bytes: u64,
}

impl Shares {
    pub(super) fn new(limits: UserLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// Room of `bytes` for a container of `uid`; root has no limit but the machine's.
    pub(super) fn take(self: &Arc<Self>, uid: u32, bytes: u64) -> Result<Option<Arc<Share>>, DeliveryError> {
        if uid == 0 {
            return Ok(None);
        }
        let mut all = self.lock();
        let taken = all.get(&uid).copied().unwrap_or(UserLimits { containers: 0, bytes: 0 });
        if taken.containers >= self.limits.containers || bytes > self.limits.bytes.saturating_sub(taken.bytes) {
            return Err(DeliveryError::TooMuch { uid, limits: self.limits });
        }
        all.insert(uid, UserLimits { containers: taken.containers + 1, bytes: taken.bytes + bytes });
        Ok(Some(Arc::new(Share { shares: Arc::clone(self), uid, bytes })))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, UserLimits>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.shares.lock();
        if let Some(taken) = all.get_mut(&self.uid) {
            taken.containers = taken.containers.saturating_sub(1);
            taken.bytes = taken.bytes.saturating_sub(self.bytes);
            if taken.containers == 0 {
                all.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_gets_no_more_than_its_part_and_others_do_not_notice() {
        let shares = Shares::new(UserLimits { containers: 2, bytes: 100 });
        let first = shares.take(1000, 60).unwrap().unwrap();
        assert!(matches!(shares.take(1000, 41), Err(DeliveryError::TooMuch { uid: 1000, .. })));
        let _second = shares.take(1000, 40).unwrap().unwrap();
        assert!(shares.take(1000, 0).is_err());
        assert!(shares.take(1001, 100).is_ok());
        drop(first);
        assert!(shares.take(1000, 60).is_ok());
        assert!(shares.take(0, u64::MAX).unwrap().is_none());
    }

    #[test]
    fn who_holds_nothing_is_forgotten() {
        let shares = Shares::new(UserLimits { containers: 1, bytes: 1 });
        drop(shares.take(1000, 1).unwrap());
        assert!(shares.lock().is_empty());
    }
}
