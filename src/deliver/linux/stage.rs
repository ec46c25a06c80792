//! Read-only clones of a file system that no path leads to.
//!
//! Since Linux 6.15 a detached mount can be cloned as it is. Older kernels clone only what is attached in the caller's
//! mount namespace: there one thread of the agent keeps a private mount namespace, in which each file system is attached
//! for the moment of cloning. Nobody else is in that namespace.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};

use crate::deliver::DeliverError;
use crate::sys::linux::mount::{attach, clone_tree, detach, make_private, restrict};
use crate::sys::linux::path::Dir;

use super::medium::{Medium, SMALLEST};

/// How clones are made on this kernel.
#[derive(Debug, Clone)]
pub enum Stage {
    /// From the detached mount (Linux 6.15 and later).
    Detached,
    /// In a private mount namespace, at this directory.
    Private(PathBuf),
}

impl Stage {
    /// Finds out, with a small file system of `medium`; `directory` is an empty directory of ours for the older way.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`] when neither way works.
    pub fn probe(medium: Medium, directory: &Path) -> Result<Self, DeliverError> {
        let mut refusals = Vec::new();
        for stage in [Self::Detached, Self::Private(directory.to_owned())] {
            let root = Dir::from(medium.make(SMALLEST, None).map_err(|e| failed("make a file system in RAM", &e))?);
            match stage.clones(&root, &[String::new()]) {
                Ok(_) => return Ok(stage),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        Err(DeliverError::FileSystem { step: "clone a mount", cause: refusals.join("; ") })
    }

    /// A read-only, inert, private clone for each of `paths` below the detached mount `root`.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`].
    pub(super) fn clones(&self, root: &Dir, paths: &[String]) -> Result<Vec<OwnedFd>, DeliverError> {
        let made = match self {
            Self::Detached => clones_of(root.as_fd(), paths),
            Self::Private(directory) => std::thread::scope(|scope| {
                let staged = scope.spawn(|| clones_in_private(root.as_fd(), directory, paths));
                staged.join().unwrap_or_else(|_| Err(io::Error::other("the staging thread failed")))
            }),
        };
        made.map_err(|error| failed("clone a mount", &error))
    }
}

fn failed(step: &'static str, cause: &dyn std::fmt::Display) -> DeliverError {
    DeliverError::FileSystem { step, cause: cause.to_string() }
}

fn clones_of(root: BorrowedFd<'_>, paths: &[String]) -> io::Result<Vec<OwnedFd>> {
    paths
        .iter()
        .map(|path| {
            let clone = clone_tree(root, &CString::new(path.as_str())?)?;
            restrict(&clone)?;
            Ok(clone)
        })
        .collect()
}

/// On a thread of its own: what is unshared here ends with it, and so does the attached mount.
fn clones_in_private(root: BorrowedFd<'_>, directory: &Path, paths: &[String]) -> io::Result<Vec<OwnedFd>> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    make_private()?;
    attach(root, Dir::root(directory)?)?;
    let clones = clones_of(Dir::root(directory)?.as_fd(), paths);
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name().and_then(|name| name.to_str())) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    detach(Dir::root(parent)?, name)?;
    clones
}
