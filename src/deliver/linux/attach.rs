//! Mount points and mounts in a container's tree, made from the hook in the container's mount namespace.
//!
//! The tree may have been prepared to mislead us. It is walked one component at a time from a directory held open;
//! a symbolic link is refused, never followed; what is missing is made with O_EXCL; a mount goes onto the descriptor
//! that was walked to, not onto a path. Source: CVE-2021-30465, CVE-2024-45310, CVE-2025-23359.

use std::io;
use std::os::fd::OwnedFd;

use crate::deliver::DeliverError;
use crate::failpoint::{Point, reach};
use crate::sys::linux::mount::{attach, clone_tree_recursive, detach};
use crate::sys::linux::path::Dir;
use crate::sys::linux::place::Kind;
use crate::wire::{Kept, MadePoint, Mount, MountKind};

/// Permission bits of directories that are made on the way to a target.
const DIRECTORY_MODE: u32 = 0o755;
/// Permission bits of the empty files under single mounts.
const FILE_MODE: u32 = 0o444;

/// What has been changed in a container so far; undone when dropped, unless kept.
#[derive(Debug)]
pub struct Attached<'r> {
    rootfs: &'r Dir,
    root: (u32, u32),
    made: Vec<MadePoint>,
    mounted: Vec<(Dir, String)>,
}

impl<'r> Attached<'r> {
    /// Attaches each of `mounts` with the descriptor of the same index, and puts back what they would cover (`keep`).
    ///
    /// # Errors
    /// Any; whatever was done is undone then.
    pub fn attach(
        rootfs: &'r Dir,
        root: (u32, u32),
        mounts: &[Mount],
        fds: &[OwnedFd],
        keep: &[Kept],
    ) -> Result<Self, DeliverError> {
        let mut attached = Self { rootfs, root, made: Vec::new(), mounted: Vec::new() };
        for (mount, fd) in mounts.iter().zip(fds) {
            let kept = match mount.kind {
                MountKind::Directory => hold(rootfs, keep)?,
                MountKind::File => Vec::new(),
            };
            attached.mount(mount, fd)?;
            for (kept, tree) in kept {
                attached.mount(&Mount { at: kept.target.as_str().to_owned(), kind: kept.kind }, &tree)?;
            }
        }
        Ok(attached)
    }

    /// The mount points that had to be made, in order.
    pub fn made(&self) -> &[MadePoint] {
        &self.made
    }

    /// Leaves everything as it is.
    pub fn keep(mut self) {
        self.made.clear();
        self.mounted.clear();
    }

    fn mount(&mut self, mount: &Mount, fd: &OwnedFd) -> Result<(), DeliverError> {
        let (parent, name, point) = self.mount_point(&mount.at, mount.kind)?;
        attach(fd, &point).map_err(|cause| DeliverError::Attach { path: mount.at.clone(), cause })?;
        self.mounted.push((parent, name));
        reach(Point::AttachMounted);
        Ok(())
    }

    /// Walks to `target` and makes what is missing: directories, and at the end what `kind` says.
    fn mount_point(&mut self, target: &str, kind: MountKind) -> Result<(Dir, String, Dir), DeliverError> {
        let mut parent = reopen(self.rootfs, target)?;
        let mut path = String::new();
        let mut components = target.split('/').filter(|component| !component.is_empty()).peekable();
        while let Some(name) = components.next() {
            path = format!("{path}/{name}");
            let wanted = if components.peek().is_some() { MountKind::Directory } else { kind };
            let entry = match open_entry(&parent, name, target, &path) {
                Err(DeliverError::MountPoint { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                    self.make(&parent, name, &path, wanted)?;
                    open_entry(&parent, name, target, &path)?
                }
                other => other?,
            };
            expect(&entry, wanted, target, &path)?;
            if components.peek().is_none() {
                return Ok((parent, name.to_owned(), entry));
            }
            parent = entry;
        }
        Err(DeliverError::MountPoint { path: target.to_owned(), cause: io::Error::from(io::ErrorKind::InvalidInput) })
    }

    /// Modes are exact under the hook's umask of 022; owners are set only where they are not the maker's.
    fn make(&mut self, parent: &Dir, name: &str, path: &str, kind: MountKind) -> Result<(), DeliverError> {
        let failed = |cause| DeliverError::MountPoint { path: path.to_owned(), cause };
        match kind {
            MountKind::Directory => parent.make_dir(name, DIRECTORY_MODE),
            MountKind::File => parent.make_file(name, FILE_MODE).map(drop),
        }
        .map_err(failed)?;
        self.made.push(MadePoint { at: path.to_owned(), kind });
        reach(Point::AttachMade);
        if self.root == (0, 0) {
            return Ok(());
        }
        parent.entry(name).and_then(|made| made.set_owner(self.root.0, self.root.1)).map_err(failed)
    }
}

impl Drop for Attached<'_> {
    /// Undoes in reverse; what cannot be undone goes with the container, whose creation fails.
    fn drop(&mut self) {
        for (parent, name) in self.mounted.drain(..).rev() {
            let _ = detach(&parent, &name);
        }
        remove_mount_points(self.rootfs, &self.made);
    }
}

/// Removes the mount points that we made, last one first, as far as they are empty. Returns how many are gone.
pub fn remove_mount_points(rootfs: &Dir, made: &[MadePoint]) -> usize {
    made.iter().rev().filter(|point| remove(rootfs, point).is_ok()).count()
}

fn remove(rootfs: &Dir, point: &MadePoint) -> Result<(), DeliverError> {
    let gone = |cause| DeliverError::MountPoint { path: point.at.clone(), cause };
    let (parent, name) = point.at.rsplit_once('/').unwrap_or(("", &point.at));
    let parent = walk(rootfs, parent)?;
    let (kind, size) = parent.entry(name).and_then(|entry| entry.kind()).map_err(gone)?;
    match (point.kind, kind, size) {
        (MountKind::Directory, Kind::Directory, _) => parent.remove_dir(name).map_err(gone),
        (MountKind::File, Kind::File, 0) => parent.remove_file(name).map_err(gone),
        _ => Err(gone(io::Error::from(io::ErrorKind::DirectoryNotEmpty))),
    }
}

/// Copies of the mounts to be kept, taken before they are covered.
fn hold<'k>(rootfs: &Dir, keep: &'k [Kept]) -> Result<Vec<(&'k Kept, OwnedFd)>, DeliverError> {
    keep.iter()
        .map(|kept| {
            let path = kept.target.as_str();
            let tree = clone_tree_recursive(walk(rootfs, path)?)
                .map_err(|cause| DeliverError::Attach { path: path.to_owned(), cause })?;
            Ok((kept, tree))
        })
        .collect()
}

/// Walks to `path`, making nothing.
///
/// # Errors
/// [`DeliverError::SymbolicLink`]; [`DeliverError::MountPoint`], with `NotFound` when it is not there.
pub(super) fn walk(rootfs: &Dir, path: &str) -> Result<Dir, DeliverError> {
    let mut place = reopen(rootfs, path)?;
    let mut walked = String::new();
    for name in path.split('/').filter(|component| !component.is_empty()) {
        walked = format!("{walked}/{name}");
        place = open_entry(&place, name, path, &walked)?;
    }
    Ok(place)
}

fn reopen(rootfs: &Dir, path: &str) -> Result<Dir, DeliverError> {
    rootfs.again().map_err(|cause| DeliverError::MountPoint { path: path.to_owned(), cause })
}

fn open_entry(parent: &Dir, name: &str, target: &str, path: &str) -> Result<Dir, DeliverError> {
    parent.entry(name).map_err(|cause| match cause.raw_os_error() {
        Some(libc::ELOOP) => DeliverError::SymbolicLink { target: target.to_owned(), link: path.to_owned() },
        Some(libc::ENOTDIR) => DeliverError::WrongKind {
            target: target.to_owned(),
            path: path.rsplit_once('/').map_or(path, |(parent, _)| parent).to_owned(),
            expected: "a directory",
        },
        _ => DeliverError::MountPoint { path: path.to_owned(), cause },
    })
}

fn expect(entry: &Dir, wanted: MountKind, target: &str, path: &str) -> Result<(), DeliverError> {
    let look = |cause| DeliverError::MountPoint { path: path.to_owned(), cause };
    if let Some(kind) = entry.kernel_file_system().map_err(look)? {
        return Err(DeliverError::KernelFileSystem { target: target.to_owned(), kind });
    }
    let expected = match (entry.kind().map_err(look)?.0, wanted) {
        (Kind::Directory, MountKind::Directory) | (Kind::File, MountKind::File) => return Ok(()),
        (_, MountKind::Directory) => "a directory",
        (_, MountKind::File) => "a regular file",
    };
    Err(DeliverError::WrongKind { target: target.to_owned(), path: path.to_owned(), expected })
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
