//! A container's secrets out of its sight for a while, and back: what a checkpoint needs, which must not find them. The
//! files stay as they are, in a file system that no path leads to meanwhile.

use std::os::fd::OwnedFd;

use crate::deliver::DeliverError;
use crate::sys::linux::mount::{clone_tree_recursive, detach};
use crate::sys::linux::path::Dir;
use crate::wire::Mount;

use super::adopt::is_on_one_of;
use super::attach::{Attached, walk};
use super::owners::IdMaps;
use super::running::Running;

/// The most mounts of ours on one place: kernels before 6.5 put a new value on top of the old one.
const MAX_STACKED: usize = 1024;

/// What was taken off: each mount, and with it what the container has mounted below.
#[derive(Debug, Default)]
pub struct Hidden {
    mounts: Vec<(Mount, OwnedFd)>,
}

impl Running<'_> {
    /// Takes all mounts of ours off the container. Whoever has a file of them open has it still: CRIU refuses such a process.
    ///
    /// # Errors
    /// [`DeliverError::Covered`] where a mount of ours is not where it was attached; any other. All are back then.
    pub fn hide(&mut self) -> Result<Hidden, DeliverError> {
        let mut hidden = Hidden { mounts: Vec::new() };
        let taken = self.inside(|rootfs| {
            for mount in self.mounts.iter() {
                let tree = self.take(rootfs, mount)?;
                hidden.mounts.push((mount.clone(), tree));
            }
            Ok::<_, DeliverError>(())
        });
        if let Err(error) = taken.and_then(|taken| taken) {
            self.reveal(hidden)?;
            return Err(error);
        }
        Ok(hidden)
    }

    /// Puts back what [`Running::hide`] has taken.
    ///
    /// # Errors
    /// The first one, after each mount has been tried.
    pub fn reveal(&mut self, hidden: Hidden) -> Result<(), DeliverError> {
        let maps = IdMaps::of(self.process)?;
        let root = (maps.host_uid(0)?, maps.host_gid(0)?);
        let (made, failure) = self.inside(|rootfs| {
            let (mut made, mut failure) = (Vec::new(), None);
            for (mount, tree) in hidden.mounts {
                match Attached::attach(rootfs, root, &[mount], &[tree], &[]) {
                    Ok(attached) => {
                        made.extend_from_slice(attached.made());
                        attached.keep();
                    }
                    Err(error) => drop(failure.get_or_insert(error)),
                }
            }
            (made, failure)
        })?;
        self.made.extend(made);
        failure.map_or(Ok(()), Err)
    }

    /// Takes one mount off, with those of ours that it covers.
    fn take(&self, rootfs: &Dir, mount: &Mount) -> Result<OwnedFd, DeliverError> {
        let failed = |cause| DeliverError::Attach { path: mount.at.clone(), cause };
        let covered = || DeliverError::Covered { path: mount.at.clone() };
        let place = walk(rootfs, &mount.at)?;
        if !is_on_one_of(self.devices, &place).map_err(failed)? {
            return Err(covered());
        }
        let tree = clone_tree_recursive(&place).map_err(failed)?;
        let (parent, name) = mount.at.rsplit_once('/').unwrap_or(("", &mount.at));
        for _ in 0..MAX_STACKED {
            detach(walk(rootfs, parent)?, name).map_err(failed)?;
            let below = walk(rootfs, &mount.at)?;
            if !is_on_one_of(self.devices, &below).map_err(failed)? {
                return Ok(tree);
            }
        }
        Err(covered())
    }
}
