//! A new value for a file that a running container has: old or new, whole, at every moment, for whoever opens it by path.
//!
//! In a directory of ours the new file is made where the container does not look, and renamed over the old one. A single
//! file is a mount of its own, which no rename reaches: the new one is mounted beneath it and the old one then taken off
//! (MOVE_MOUNT_BENEATH, Linux 6.5), or, on older kernels, mounted on top of it. There the old file keeps a name, for with its
//! last one the kernel takes off what is mounted on it, in every namespace.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::deliver::DeliverError;
use crate::failpoint::{Lack, Point, lacks, reach};
use crate::secret::SecretBytes;
use crate::sys::linux::file_system::grow;
use crate::sys::linux::mount::{attach, attach_beneath, detach, knows_beneath};
use crate::sys::linux::path::{Dir, set_owner_and_mode};

use super::adopt::FileSystem;
use super::attach::walk;
use super::plan::{FILES, PlannedFile};
use super::running::{Running, failed, ours, step_failed};
use super::writable::{OldFile, Place, open_alone};

/// The name of a file in the making.
pub(super) const FRESH: &str = "..runsecrets-new";
/// The beginning of the names of old files on which new ones are mounted.
const BELOW: &str = "..runsecrets-below-";
/// Room beyond the new file's own bytes: what the kernel keeps for itself.
const MARGIN: u64 = 4 * 4096;
/// Inodes that are added when they run out.
const MORE_INODES: u64 = 64;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// How a new single file takes the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It is mounted beneath, and the old one is taken off.
    Beneath,
    /// It is mounted on top, and the old one stays below for good: kernels before 6.5.
    OnTop,
}

impl Swap {
    /// Finds out.
    pub fn probe() -> Self {
        if !lacks(Lack::Beneath) && knows_beneath().unwrap_or(false) { Self::Beneath } else { Self::OnTop }
    }
}

impl Running<'_> {
    /// Gives `file`, which the container has at `target`, the bytes `value`. The old one is returned, for whoever has it
    /// open still. [`Running::make_room_to_replace`] comes before it.
    ///
    /// # Errors
    /// Any: then the container has the old value, whole.
    pub fn replace(&mut self, file: &PlannedFile, target: &str, value: &SecretBytes) -> Result<OldFile, DeliverError> {
        let mut root = None;
        let replaced = self.put(file, target, value, &mut root);
        if let Some(root) = root {
            self.writable.renew(root);
        }
        replaced
    }

    /// The same; `root` is what [`Stage::clones`](super::Stage) leaves for the next time.
    fn put(
        &self,
        file: &PlannedFile,
        target: &str,
        value: &SecretBytes,
        root: &mut Option<Dir>,
    ) -> Result<OldFile, DeliverError> {
        match self.writable.place(&file.path, target).map_err(failed("find a file in RAM"))? {
            Place::Nowhere => Err(DeliverError::Covered { path: target.to_owned() }),
            Place::In(parent, name, top) => {
                self.make_space(top, value)?;
                let old = parent.write_file(&name).and_then(OldFile::new).map_err(failed("open a file in RAM"))?;
                write(top, file, value).map_err(failed("write a value to RAM"))?;
                if file.is_single() {
                    self.remount(top, target, root)?;
                }
                let renamed = match self.swap {
                    Swap::OnTop if file.is_single() => take_its_name(top, &parent, &name),
                    _ => top.rename(FRESH, &parent, &name),
                };
                renamed.map_err(failed("put a file into its place"))?;
                reach(Point::ReplaceRenamed);
                Ok(old)
            }
            Place::Alone(place) => {
                let old = open_alone(place).and_then(OldFile::new).map_err(failed("open a file in RAM"))?;
                let top = self.writable.second().ok_or(DeliverError::Covered { path: target.to_owned() })?;
                self.make_space(top, value)?;
                write(top, file, value).map_err(failed("write a value to RAM"))?;
                self.remount(top, target, root)?;
                let files = top.entry(FILES).map_err(failed("find a directory in RAM"))?;
                let name = file.path.rsplit('/').next().unwrap_or_default();
                top.rename(FRESH, &files, name).map_err(failed("put a file into its place"))?;
                reach(Point::ReplaceAlone);
                Ok(old)
            }
        }
    }

    /// Makes the file system of `top` larger where `value` would not fit beside what is there.
    pub(super) fn make_space(&self, top: &Dir, value: &SecretBytes) -> Result<(), DeliverError> {
        let needed = u64::try_from(value.len()).unwrap_or(u64::MAX).saturating_add(MARGIN);
        let space = top.space().map_err(failed("make room in RAM"))?;
        // ramfs has no bounds, and says zero.
        if space.total == 0 || (space.free >= needed && space.free_inodes > 1) {
            return Ok(());
        }
        let (bytes, inodes) = (space.total + needed, space.inodes + MORE_INODES);
        match self.size_limit {
            Some(allowed) if bytes > allowed => Err(DeliverError::TooLarge { needed: bytes, allowed }),
            _ => grow(top, bytes, inodes).map_err(|cause| step_failed("make room in RAM", &cause)),
        }
    }

    /// Shows the new file of `top` at `target` in place of the one there; takes it away again where that fails.
    fn remount(&self, top: &Dir, target: &str, root: &mut Option<Dir>) -> Result<(), DeliverError> {
        let mut swap = || {
            let clones = self.stage.clones(top, &[FRESH.to_owned()])?;
            *root = clones.root;
            let clone = clones.mounts.into_iter().next().ok_or(DeliverError::Covered { path: target.to_owned() })?;
            self.swap_mount(target, &clone)
        };
        swap().inspect_err(|_| {
            if let Ok(Ok(unwanted)) = top.write_file(FRESH).map(OldFile::new) {
                let _ = unwanted.scrub();
            }
            let _ = top.remove_file(FRESH);
        })
    }

    /// `mount` in place of the mount at `target`, which must be ours.
    fn swap_mount(&self, target: &str, mount: &OwnedFd) -> Result<(), DeliverError> {
        let devices: &[FileSystem] = self.devices;
        let swapped = self.inside(|root| {
            let attach_failed = |cause| DeliverError::Attach { path: target.to_owned(), cause };
            let place = ours(root, target, devices)?;
            if self.swap == Swap::OnTop {
                return attach(mount, &place).map_err(attach_failed);
            }
            // Never on top here: an agent that comes later takes the upper one for the old one.
            attach_beneath(mount, &place).map_err(attach_failed)?;
            reach(Point::SwapBeneath);
            let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
            detach(walk(root, parent)?, name).map_err(attach_failed)
        });
        swapped??;
        reach(Point::SwapDone);
        Ok(())
    }
}

/// Gives the new file the name of the old one, and that another one first. No container shows the directory.
fn take_its_name(top: &Dir, parent: &Dir, name: &str) -> io::Result<()> {
    parent.rename(name, top, &format!("{BELOW}{}", NUMBER.fetch_add(1, Ordering::Relaxed)))?;
    top.rename(FRESH, parent, name)
}

/// Writes a new file where no container looks.
pub(super) fn write(top: &Dir, file: &PlannedFile, value: &SecretBytes) -> io::Result<()> {
    // What an agent left that was killed here.
    match top.remove_file(FRESH) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut fresh = top.make_file(FRESH, 0o600)?;
    fresh.write_all(value.expose())?;
    set_owner_and_mode(&fresh, file.uid, file.gid, file.mode)?;
    reach(Point::ValueWritten);
    Ok(())
}
