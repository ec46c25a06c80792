//! The writable side of a file system that an earlier agent made, taken anew from the container that shows it.
//!
//! The container may have covered or unmounted it meanwhile: what is found is ours only if it is on the file system that
//! was recorded. Nothing of the container is changed but what an agent that was killed has left there.

use std::io;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::sys::linux::mount::{clone_tree, make_writable};
use crate::sys::linux::path::Dir;
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::place::Kind;
use crate::wire::{Mount, MountKind};

use super::existing::Existing;
use super::generation::forget_leftovers;
use super::inside::inside;
use super::scrub::{Scrubbed, overwrite, scrub};
use super::unfinished::{Unfinished, put_in_order};
use super::writable::{OldFile, open_alone};

/// A file system, by what the kernel made up for it: a number that is free again when it is gone, and a random one that
/// nobody can choose for a tmpfs of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// `st_dev`.
    pub device: u64,
    /// `f_fsid`.
    pub serial: u64,
}

impl FileSystem {
    /// The one that `place` is on.
    ///
    /// # Errors
    /// Those of statx(2) and fstatfs(2).
    pub fn of(place: &Dir) -> io::Result<Self> {
        Ok(Self { device: place.device()?, serial: place.file_system_serial()? })
    }
}

/// Whether `place` is on one of `file_systems`. The device is looked at first: it is known without asking the file system,
/// which may be one that a container made to keep us waiting.
pub(super) fn is_on_one_of(file_systems: &[FileSystem], place: &Dir) -> io::Result<bool> {
    let device = place.device()?;
    let mut candidates = file_systems.iter().filter(|known| known.device == device).peekable();
    if candidates.peek().is_none() {
        return Ok(false);
    }
    let serial = place.file_system_serial()?;
    Ok(candidates.any(|known| known.serial == serial))
}

/// The writable sides of one container's mounts.
#[derive(Debug, Default)]
pub struct Adopted {
    places: Vec<(Mount, Dir)>,
    old: Vec<OldFile>,
}

impl Adopted {
    /// How many mounts could be taken.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none could.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What an earlier agent has left in the place of something newer.
    pub fn take_old(&mut self) -> Vec<OldFile> {
        std::mem::take(&mut self.old)
    }

    /// One of them.
    pub(super) fn any_place(&self) -> Option<&Dir> {
        self.places.first().map(|(_, place)| place)
    }

    /// The directory that shows at /run/secrets.
    pub(super) fn directory(&self) -> Option<&Dir> {
        self.places.iter().find(|(mount, _)| mount.kind == MountKind::Directory).map(|(_, place)| place)
    }

    /// The single file that shows at `target`.
    pub(super) fn file(&self, target: &str) -> Option<&Dir> {
        let single = |mount: &Mount| mount.kind == MountKind::File && mount.at == target;
        self.places.iter().find(|(mount, _)| single(mount)).map(|(_, place)| place)
    }

    /// Empties every file that these reach.
    pub fn scrub(&self) -> Scrubbed {
        let mut all = Scrubbed::default();
        for (_, place) in &self.places {
            match place.kind() {
                Ok((Kind::Directory, _)) => {
                    let part = scrub(place);
                    all.files += part.files;
                    all.failures.extend(part.failures);
                }
                Ok((Kind::File, size)) => match open_alone(place).and_then(|file| overwrite(file, size)) {
                    Ok(()) => all.files += 1,
                    Err(cause) => all.failures.push(format!("overwrite a file: {cause}")),
                },
                Ok((Kind::Other, _)) => {}
                Err(cause) => all.failures.push(format!("look at a mount: {cause}")),
            }
        }
        all
    }
}

/// Which of `file_systems` may be mounted where `process` is, by the numbers of their devices.
pub fn shown(process: &Process, file_systems: &[FileSystem]) -> Vec<FileSystem> {
    let Ok(list) = process.mountinfo() else { return Vec::new() };
    // Source: proc_pid_mountinfo(5).
    let lines = io::BufRead::lines(io::BufReader::new(list)).map_while(Result::ok);
    let mut numbers: Vec<String> = lines.filter_map(|line| Some(line.split(' ').nth(2)?.to_owned())).collect();
    numbers.dedup();
    let number = |it: &FileSystem| format!("{}:{}", libc::major(it.device), libc::minor(it.device));
    file_systems.iter().filter(|it| numbers.contains(&number(it))).copied().collect()
}

/// Takes those of `mounts` that `process`'s mount namespace still shows and that are on one of `file_systems`, when what is
/// `unfinished` has been put in order; none: the namespace is not ours to change.
///
/// # Errors
/// The namespace cannot be entered: the process is gone, or the caller lacks CAP_SYS_ADMIN or CAP_SYS_CHROOT.
pub fn adopt(
    process: &Process,
    mounts: &[Mount],
    file_systems: &[FileSystem],
    unfinished: Option<&Unfinished<'_>>,
) -> io::Result<Adopted> {
    let existing = Existing::of(process).ok();
    let adopted = inside(process, |root| {
        let old = match (unfinished, &existing) {
            (Some(unfinished), Some(existing)) => put_in_order(root, existing, mounts, file_systems, unfinished),
            _ => Vec::new(),
        };
        let places = existing.as_ref().map_or_else(Vec::new, Existing::places);
        let taken = |mount: &Mount| Some((mount.clone(), Dir::from(take(root, &places, mount, file_systems)?)));
        (Adopted { places: mounts.iter().filter_map(taken).collect(), old: Vec::new() }, old)
    });
    let (mut adopted, old) = adopted?;
    adopted.old = old.iter().filter_map(|place| open_alone(place).and_then(OldFile::new).ok()).collect();
    if let Some(directory) = adopted.directory() {
        // What cannot be removed now is tried again with the next generation.
        let _ = forget_leftovers(directory, None);
    }
    Ok(adopted)
}

/// Walks to `path` without asking any file system: the kernel has every place at hand on the way to a mount.
pub(super) fn walk_at_hand(root: &Dir, path: &str) -> io::Result<Dir> {
    let mut place = root.again()?;
    for name in path.split('/').filter(|component| !component.is_empty()) {
        place = place.entry_at_hand(name)?;
    }
    Ok(place)
}

/// The writable side of `mount`. The runtime may have come as far as its hooks and no further: then the container's root file
/// system is not its root yet, and the mount is one of `places`, which has that one's path before its own.
fn take(root: &Dir, places: &[String], mount: &Mount, file_systems: &[FileSystem]) -> Option<OwnedFd> {
    let ours = |at: &str| {
        let place = walk_at_hand(root, at).ok()?;
        is_on_one_of(file_systems, &place).ok()?.then_some(place)
    };
    let elsewhere = || places.iter().filter(|at| at.ends_with(&mount.at)).find_map(|at| ours(at));
    let clone = clone_tree(ours(&mount.at).or_else(elsewhere)?, c"").ok()?;
    make_writable(&clone).ok()?;
    Some(clone)
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
