//! What an agent that was killed in the middle of a change has left in a container that runs: a mount that is not on
//! record, two mounts where one is to be, a generation that nobody waits for. The next agent puts it in order first of all;
//! the change itself is done anew.

use std::io;

use crate::sys::linux::mount::{clone_tree, detach, make_writable};
use crate::sys::linux::path::Dir;
use crate::wire::{Mount, MountKind};

use super::adopt::{FileSystem, is_on_one_of, walk_at_hand};
use super::existing::Existing;
use super::replace::Swap;

/// What is on record of it.
#[derive(Debug)]
pub struct Unfinished<'r> {
    /// Mounts that were about to be attached.
    pub begun: &'r [Mount],
    /// How new single files take the place of old ones.
    pub swap: Swap,
}

/// Takes off each mount that was begun, and where two of ours stand at one place the upper, which is the older one. What
/// they showed is returned, for whoever has it open.
///
/// In the container's mount namespace, whose /proc does not know us: nothing can be opened for writing there.
pub(super) fn put_in_order(
    root: &Dir,
    existing: &Existing,
    mounts: &[Mount],
    file_systems: &[FileSystem],
    unfinished: &Unfinished<'_>,
) -> Vec<Dir> {
    let mut old = Vec::new();
    // One that is not ours, or not there, stays as it is.
    let mut take_off = |mount: &Mount| old.extend(take_off(root, mount, file_systems).ok().flatten());
    let count = |mount: &Mount| existing.places().iter().filter(|at| **at == mount.at).count();
    for begun in unfinished.begun {
        for _ in 0..count(begun) {
            take_off(begun);
        }
    }
    for mount in mounts.iter().filter(|mount| mount.kind == MountKind::File && unfinished.swap == Swap::Beneath) {
        // A container's own mount at a place of ours is on top, and stops this at once.
        for _ in 1..count(mount) {
            take_off(mount);
        }
    }
    old
}

/// Takes the mount at `mount.at` off, if it is on one of `file_systems`; the single file that it showed.
pub(super) fn take_off(root: &Dir, mount: &Mount, file_systems: &[FileSystem]) -> io::Result<Option<Dir>> {
    let place = walk_at_hand(root, &mount.at)?;
    if !is_on_one_of(file_systems, &place)? {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    let file = match mount.kind {
        MountKind::Directory => None,
        MountKind::File => {
            let clone = clone_tree(&place, c"")?;
            make_writable(&clone)?;
            Some(Dir::from(clone))
        }
    };
    let (parent, name) = mount.at.rsplit_once('/').unwrap_or(("", &mount.at));
    detach(walk_at_hand(root, parent)?, name)?;
    Ok(file)
}
