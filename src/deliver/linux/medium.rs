//! Which file system in RAM this kernel offers, found by trying, never by comparing versions.

use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::deliver::DeliverError;
use crate::sys::linux::file_system::{FsContext, MountError};

use super::plan::Room;

/// How well the values are kept from a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// tmpfs with `noswap` (Linux 6.4): never swapped, bounded by the kernel.
    Noswap,
    /// ramfs: never swapped, bounded by our own count when it is filled.
    Ramfs,
    /// tmpfs that may be swapped: only where swap is off or the configuration allows it.
    Swappable,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noswap => "noswap",
            Self::Ramfs => "ramfs",
            Self::Swappable => "swappable",
        })
    }
}

/// Enough to find out whether a file system can be made.
pub(super) const SMALLEST: Room = Room { bytes: 4096, inodes: 2 };

/// The file system to make for each container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium(Protection);

impl Medium {
    /// The first of `candidates` that this kernel can make.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`] when it can make none.
    pub fn probe(candidates: &[Protection]) -> Result<Self, DeliverError> {
        let mut refusals = Vec::new();
        for protection in candidates {
            match Self(*protection).make(SMALLEST, None) {
                Ok(_) => return Ok(Self(*protection)),
                Err(refusal) => refusals.push(format!("{protection}: {refusal}")),
            }
        }
        let step = "make a file system in RAM of the kind that the configuration allows";
        Err(DeliverError::FileSystem { step, cause: refusals.join("; ") })
    }

    /// What it protects from.
    pub fn protection(self) -> Protection {
        self.0
    }

    /// Makes an empty one, detached; `room` bounds a tmpfs, a ramfs has no bounds of its own.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn make(self, room: Room, label: Option<&str>) -> Result<OwnedFd, MountError> {
        let number = |number: u64| CString::new(number.to_string()).unwrap_or_default();
        let context = match self.0 {
            Protection::Ramfs => FsContext::open(c"ramfs")?,
            Protection::Noswap | Protection::Swappable => FsContext::open(c"tmpfs")?,
        };
        context.set(c"source", c"runsecrets")?;
        context.set(c"mode", c"0700")?;
        if self.0 != Protection::Ramfs {
            context.set(c"size", &number(room.bytes))?;
            context.set(c"nr_inodes", &number(room.inodes))?;
        }
        if self.0 == Protection::Noswap {
            context.flag(c"noswap")?;
        }
        // A label with a NUL cannot come from JSON that a kernel would take; it is left out, and SELinux then denies.
        if let Some(label) = label.and_then(|label| CString::new(label).ok()) {
            context.set(c"context", &label)?;
        }
        context.mount()
    }
}
