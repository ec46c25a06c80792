//! The writable side of a file system that an earlier agent made, taken anew from the container that shows it.
//!
//! The container may have covered or unmounted it meanwhile: what is found is ours only if it is on the file system that
//! was recorded. Nothing of the container is changed.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};

use crate::sys::linux::mount::{clone_tree, make_writable};
use crate::sys::linux::path::{Dir, Kind};
use crate::sys::linux::pidfd::Process;
use crate::wire::Mount;

use super::scrub::{Scrubbed, overwrite, scrub};

/// A file system, by what the kernel made up for it: a number that is free again when it is gone, and a random one that
/// nobody can choose for a tmpfs of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// `st_dev`.
    pub device: u64,
    /// `f_fsid`; 0 where it was not recorded.
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

    /// Whether `place` is on it. The device is looked at first: it is known without asking the file system, which may be
    /// one that a container made to keep us waiting.
    fn has(self, place: &Dir) -> io::Result<bool> {
        Ok(place.device()? == self.device && (self.serial == 0 || place.file_system_serial()? == self.serial))
    }
}

/// The writable sides of one container's mounts.
#[derive(Debug, Default)]
pub struct Adopted {
    places: Vec<Dir>,
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

    /// One of them.
    pub fn place(&self) -> Option<&Dir> {
        self.places.first()
    }

    /// Empties every file that these reach.
    pub fn scrub(&self) -> Scrubbed {
        let mut all = Scrubbed::default();
        for place in &self.places {
            match place.kind() {
                Ok((Kind::Directory, _)) => {
                    let part = scrub(place);
                    all.files += part.files;
                    all.failures.extend(part.failures);
                }
                Ok((Kind::File, size)) => {
                    // The root of a mount of a single file has no parent to open it from.
                    let path = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
                    match OpenOptions::new().write(true).open(path).and_then(|file| overwrite(file, size)) {
                        Ok(()) => all.files += 1,
                        Err(cause) => all.failures.push(format!("overwrite a file: {cause}")),
                    }
                }
                Ok((Kind::Other, _)) => {}
                Err(cause) => all.failures.push(format!("look at a mount: {cause}")),
            }
        }
        all
    }
}

/// Takes those of `mounts` that `process`'s mount namespace still shows and that are on `file_system`.
///
/// # Errors
/// The namespace cannot be entered: the process is gone, or the caller lacks CAP_SYS_ADMIN or CAP_SYS_CHROOT.
pub fn adopt(process: &Process, mounts: &[Mount], file_system: FileSystem) -> io::Result<Adopted> {
    // A thread of its own: entering a namespace cannot be undone, and ends with the thread.
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS)?;
            process.enter_mount_namespace()?;
            let root = Dir::root(Path::new("/"))?;
            let places = mounts.iter().filter_map(|mount| take(&root, mount, file_system)).map(Dir::from).collect();
            Ok(Adopted { places })
        });
        inside.join().unwrap_or_else(|_| Err(io::Error::other("the adopting thread failed")))
    })
}

fn take(root: &Dir, mount: &Mount, file_system: FileSystem) -> Option<OwnedFd> {
    let mut place = root.again().ok()?;
    for name in mount.at.split('/').filter(|component| !component.is_empty()) {
        place = place.entry_at_hand(name).ok()?;
    }
    if !file_system.has(&place).ok()? {
        return None;
    }
    let clone = clone_tree(&place, c"").ok()?;
    make_writable(&clone).ok()?;
    Some(clone)
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
