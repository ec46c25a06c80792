//! Read-only clones of a file system that no path leads to.
//!
//! Since Linux 6.15 a detached mount can be cloned as it is. Older kernels clone only what is attached in the caller's
//! mount namespace: there one thread of the agent keeps a private mount namespace, in which each file system is attached
//! for the moment of cloning. Nobody else is in that namespace. A mount that was attached once is none that can be attached
//! again: its clone takes its place.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};

use crate::deliver::DeliverError;
use crate::failpoint::{Lack, lacks};
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

/// What a container is to see, and what that took.
#[derive(Debug)]
pub(super) struct Clones {
    /// The read-only clones, in the order of the paths.
    pub(super) mounts: Vec<OwnedFd>,
    /// The root, writable, for the next time: none where the one that was given is still good for it.
    pub(super) root: Option<Dir>,
}

impl Stage {
    /// Finds out, with a small file system of `medium`; `directory` is an empty directory of ours for the older way.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`] when neither way works.
    pub fn probe(medium: Medium, directory: &Path) -> Result<Self, DeliverError> {
        let mut refusals = Vec::new();
        for stage in [Self::Detached, Self::Private(directory.to_owned())] {
            if stage.clones_detached() && lacks(Lack::DetachedClones) {
                continue;
            }
            let root = Dir::from(medium.make(SMALLEST, None).map_err(|e| failed("make a file system in RAM", &e))?);
            match stage.clones(&root, &[String::new()]) {
                Ok(_) => return Ok(stage),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        Err(DeliverError::FileSystem { step: "clone a mount", cause: refusals.join("; ") })
    }

    /// Whether that is without a mount namespace of our own.
    pub fn clones_detached(&self) -> bool {
        matches!(self, Self::Detached)
    }

    /// A read-only, inert, private clone for each of `paths` below the detached mount `root`.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`].
    pub(super) fn clones(&self, root: &Dir, paths: &[String]) -> Result<Clones, DeliverError> {
        let made = match self {
            Self::Detached => clones_of(root.as_fd(), paths).map(|mounts| Clones { mounts, root: None }),
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
fn clones_in_private(root: BorrowedFd<'_>, directory: &Path, paths: &[String]) -> io::Result<Clones> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    make_private()?;
    attach(root, Dir::root(directory)?)?;
    let clones = clones_and_root(&Dir::root(directory)?, paths);
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name().and_then(|name| name.to_str())) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    detach(Dir::root(parent)?, name)?;
    clones
}

fn clones_and_root(attached: &Dir, paths: &[String]) -> io::Result<Clones> {
    let mounts = clones_of(attached.as_fd(), paths)?;
    Ok(Clones { mounts, root: Some(Dir::from(clone_tree(attached, c"")?)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::linux::Protection;

    #[test]
    fn a_file_system_can_be_cloned_again_where_a_mount_is_used_up() {
        let directory = tempfile::tempdir().unwrap();
        let stage = Stage::Private(directory.path().to_owned());
        let medium = Medium::probe(&[Protection::Ramfs]).unwrap();
        let mut root = Dir::from(medium.make(SMALLEST, None).unwrap());
        root.make_file("key", 0o600).unwrap();
        for _ in 0..3 {
            let clones = stage.clones(&root, &["key".to_owned()]).unwrap();
            assert_eq!(clones.mounts.len(), 1);
            root = clones.root.unwrap();
            root.entry("key").unwrap();
        }
    }
}
