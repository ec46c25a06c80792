//! Which file system in RAM this kernel offers, found by trying, never by comparing versions.

use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::deliver::DeliverError;
use crate::sys::linux::mount::{FsContext, MountError};

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

/// The file system to make for each container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium(Protection);

impl Medium {
    /// The best that the kernel has: tmpfs with `noswap`, else ramfs, else tmpfs if `allow_swap`.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`] when none can be made.
    pub fn probe(allow_swap: bool) -> Result<Self, DeliverError> {
        let mut candidates = vec![Protection::Noswap, Protection::Ramfs];
        if allow_swap {
            candidates.push(Protection::Swappable);
        }
        let mut refusals = Vec::new();
        for protection in candidates {
            match Self(protection).make(4096, 2, None) {
                Ok(_) => return Ok(Self(protection)),
                Err(refusal) => refusals.push(format!("{protection}: {refusal}")),
            }
        }
        Err(DeliverError::FileSystem {
            step: "make a file system in RAM that is never swapped",
            cause: refusals.join("; "),
        })
    }

    /// The one that is asked for, whether the kernel has a better one or not.
    pub fn forced(protection: Protection) -> Self {
        Self(protection)
    }

    /// What it protects from.
    pub fn protection(self) -> Protection {
        self.0
    }

    /// Makes an empty one, detached; `bytes` and `inodes` bound a tmpfs, a ramfs has no bounds of its own.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn make(self, bytes: u64, inodes: u64, label: Option<&str>) -> Result<OwnedFd, MountError> {
        let number = |number: u64| CString::new(number.to_string()).unwrap_or_default();
        let context = match self.0 {
            Protection::Ramfs => FsContext::open(c"ramfs")?,
            Protection::Noswap | Protection::Swappable => FsContext::open(c"tmpfs")?,
        };
        context.set(c"source", c"runsecrets")?;
        context.set(c"mode", c"0700")?;
        if self.0 != Protection::Ramfs {
            context.set(c"size", &number(bytes))?;
            context.set(c"nr_inodes", &number(inodes))?;
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
