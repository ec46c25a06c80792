//! The writable side of a file system that an earlier agent made, taken anew from the container that shows it.
//!
//! The container may have covered or unmounted it meanwhile: what is found is ours only if it is on the file system that
//! was recorded. Nothing of the container is changed.

use std::io;
use std::os::fd::OwnedFd;

use crate::sys::linux::mount::{clone_tree, make_writable};
use crate::sys::linux::path::{Dir, Kind};
use crate::sys::linux::pidfd::Process;
use crate::wire::{Mount, MountKind};

use super::attach::walk;
use super::inside::inside;
use super::scrub::{Scrubbed, overwrite, scrub};
use super::writable::open_alone;

/// The writable sides of one container's mounts.
#[derive(Debug, Default)]
pub struct Adopted {
    places: Vec<(Mount, Dir)>,
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

/// Takes those of `mounts` that `process`'s mount namespace still shows and that are on one of the file systems `devices`.
///
/// # Errors
/// The namespace cannot be entered: the process is gone, or the caller lacks CAP_SYS_ADMIN or CAP_SYS_CHROOT.
pub fn adopt(process: &Process, mounts: &[Mount], devices: &[u64]) -> io::Result<Adopted> {
    inside(process, |root| {
        let taken = |mount: &Mount| Some((mount.clone(), Dir::from(take(root, mount, devices)?)));
        Adopted { places: mounts.iter().filter_map(taken).collect() }
    })
}

fn take(root: &Dir, mount: &Mount, devices: &[u64]) -> Option<OwnedFd> {
    let place = walk(root, &mount.at).ok()?;
    if !devices.contains(&place.device().ok()?) {
        return None;
    }
    let clone = clone_tree(&place, c"").ok()?;
    make_writable(&clone).ok()?;
    Some(clone)
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
