//! Descriptors: the agent keeps two for each container (the writable side, the first process) and one for each old version
//! that somebody may still be reading. A container is refused, in words, before the kernel refuses in the middle of work.

use std::os::fd::{AsFd, AsRawFd};

use crate::sys::linux::pidfd::Process;
use crate::sys::linux::process::open_files_limit;

use super::DeliveryError;

/// What is left for things of a moment: exchanges with hooks, requests, the threads of a change.
const FOR_A_MOMENT: u64 = 64;

/// How many descriptors this process may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptors {
    limit: u64,
}

impl Descriptors {
    /// Those of this process, as it is now.
    pub(super) fn of_this_process() -> Result<Self, DeliveryError> {
        Ok(Self { limit: open_files_limit().map_err(DeliveryError::Init)? })
    }

    /// How many old versions may wait at one time.
    pub(super) fn for_superseded(self) -> usize {
        usize::try_from(self.limit / 8).unwrap_or(usize::MAX)
    }

    /// Makes sure that enough are left for one more container, of which `process` has just been received: beside it those
    /// of a moment, and a quarter of all for old versions and for what an earlier agent's containers take more.
    pub(super) fn check(self, process: &Process) -> Result<(), DeliveryError> {
        // The kernel gives the lowest number that is free: all below it are taken.
        let taken = u64::try_from(process.as_fd().as_raw_fd()).unwrap_or(0);
        match taken + self.limit / 4 + FOR_A_MOMENT < self.limit {
            true => Ok(()),
            false => Err(DeliveryError::Descriptors { limit: self.limit }),
        }
    }
}
