//! A new value for a file that a running container has: old or new, whole, at every moment, for whoever opens it by path.
//!
//! In a directory of ours the new file is made where the container does not look, and renamed over the old one. A single
//! file is a mount of its own, which no rename reaches: the new one is mounted beneath it and the old one then taken off
//! (MOVE_MOUNT_BENEATH, Linux 6.5), or, on older kernels, mounted on top of it.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};

use crate::deliver::DeliverError;
use crate::secret::SecretBytes;
use crate::sys::linux::mount::{attach, attach_beneath, detach, grow};
use crate::sys::linux::path::{Dir, set_owner_and_mode};
use crate::sys::linux::pidfd::Process;

use super::attach::walk;
use super::medium::Medium;
use super::plan::{FILES, PlannedFile, Room};
use super::stage::Stage;
use super::writable::{OldFile, Place, Writable, open_alone};

/// The name of a file in the making.
const FRESH: &str = "..runsecrets-new";
/// Room beyond the new file's own bytes: what the kernel keeps for itself.
const MARGIN: u64 = 4 * 4096;
/// Room for a second file system: one file at a time, and its successors until their time is over.
const SECOND: Room = Room { bytes: 1024 * 1024, inodes: 1024 };

/// A container whose files are to be replaced.
#[derive(Debug)]
pub struct Replacing<'c> {
    /// Its first process.
    pub process: &'c Process,
    /// The side that only the agent has.
    pub writable: &'c mut Writable,
    /// The numbers of the file systems that are ours in it; a second one is added when one has to be made.
    pub devices: &'c mut Vec<u64>,
    /// How file systems are made.
    pub medium: Medium,
    /// How clones are made.
    pub stage: &'c Stage,
    /// The most bytes that its file systems may have, each.
    pub size_limit: Option<u64>,
}

impl Replacing<'_> {
    /// Gives `file`, which the container has at `target`, the bytes `value`. The old one is returned, for whoever has it
    /// open still.
    ///
    /// # Errors
    /// Any: then the container has the old value, whole.
    pub fn replace(&mut self, file: &PlannedFile, target: &str, value: &SecretBytes) -> Result<OldFile, DeliverError> {
        let failed = |step: &'static str| move |cause: io::Error| step_failed(step, &cause);
        match self.writable.place(&file.path, target).map_err(failed("find a file in RAM"))? {
            Place::Nowhere => Err(DeliverError::Covered { path: target.to_owned() }),
            Place::In(parent, name, top) => {
                self.make_space(top, value)?;
                let old = parent.write_file(&name).and_then(OldFile::new).map_err(failed("open a file in RAM"))?;
                write(top, file, value).map_err(failed("write a value to RAM"))?;
                if is_single(file) {
                    self.remount(top, target)?;
                }
                top.rename(FRESH, &parent, &name).map_err(failed("put a file into its place"))?;
                Ok(old)
            }
            Place::Alone(place) => {
                let old = open_alone(place).and_then(OldFile::new).map_err(failed("open a file in RAM"))?;
                if self.writable.second().is_none() {
                    self.make_second()?;
                }
                let top = self.writable.second().ok_or(DeliverError::Covered { path: target.to_owned() })?;
                self.make_space(top, value)?;
                write(top, file, value).map_err(failed("write a value to RAM"))?;
                self.remount(top, target)?;
                let files = top.entry(FILES).map_err(failed("find a directory in RAM"))?;
                let name = file.path.rsplit('/').next().unwrap_or_default();
                top.rename(FRESH, &files, name).map_err(failed("put a file into its place"))?;
                Ok(old)
            }
        }
    }

    /// A file system of our own for single files, beside the one that cannot be reached any more.
    fn make_second(&mut self) -> Result<(), DeliverError> {
        let made = self.medium.make(SECOND, None).map_err(|cause| step_failed("make a file system in RAM", &cause))?;
        let root = self.writable.put_second(Dir::from(made));
        let device = root.make_dir(FILES, 0o755).and_then(|()| root.device());
        self.devices.push(device.map_err(|cause| step_failed("make a directory in RAM", &cause))?);
        Ok(())
    }

    /// Makes the file system of `top` larger where `value` would not fit beside what is there.
    fn make_space(&self, top: &Dir, value: &SecretBytes) -> Result<(), DeliverError> {
        let failed = |cause: io::Error| step_failed("make room in RAM", &cause);
        let needed = u64::try_from(value.len()).unwrap_or(u64::MAX).saturating_add(MARGIN);
        let space = top.space().map_err(failed)?;
        // ramfs has no bounds, and says zero.
        if space.total == 0 || (space.free >= needed && space.free_inodes > 1) {
            return Ok(());
        }
        let (bytes, inodes) = (space.total + needed, space.inodes + 64);
        match self.size_limit {
            Some(allowed) if bytes > allowed => Err(DeliverError::TooLarge { needed: bytes, allowed }),
            _ => grow(top, bytes, inodes).map_err(|cause| step_failed("make room in RAM", &cause)),
        }
    }

    /// Shows the new file of `top` at `target` in place of the one there; takes it away again where that fails.
    fn remount(&self, top: &Dir, target: &str) -> Result<(), DeliverError> {
        let swap = || {
            let clones = self.stage.clones(top, &[FRESH.to_owned()])?;
            let clone = clones.into_iter().next().ok_or(DeliverError::Covered { path: target.to_owned() })?;
            swap_mount(self.process, target, &clone, self.devices)
        };
        swap().inspect_err(|_| {
            if let Ok(Ok(unwanted)) = top.write_file(FRESH).map(OldFile::new) {
                let _ = unwanted.scrub();
            }
            let _ = top.remove_file(FRESH);
        })
    }
}

/// Whether a file is a mount of its own.
fn is_single(file: &PlannedFile) -> bool {
    file.path.strip_prefix(FILES).is_some_and(|rest| rest.starts_with('/'))
}

fn write(top: &Dir, file: &PlannedFile, value: &SecretBytes) -> io::Result<()> {
    // What an agent left that was killed here.
    match top.remove_file(FRESH) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut fresh = top.make_file(FRESH, 0o600)?;
    fresh.write_all(value.expose())?;
    set_owner_and_mode(&fresh, file.uid, file.gid, file.mode)
}

/// In the container's mount namespace: `mount` in place of the mount at `target`, which must be ours.
fn swap_mount(process: &Process, target: &str, mount: &OwnedFd, devices: &[u64]) -> Result<(), DeliverError> {
    let enter = || {
        unshare(CloneFlags::CLONE_FS)?;
        process.enter_mount_namespace()?;
        Dir::root(Path::new("/"))
    };
    let attach_failed = |cause| DeliverError::Attach { path: target.to_owned(), cause };
    // A thread of its own: entering a namespace cannot be undone, and ends with the thread.
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let root = enter().map_err(attach_failed)?;
            let place = walk(&root, target)?;
            if !devices.contains(&place.device().map_err(attach_failed)?) {
                return Err(DeliverError::Covered { path: target.to_owned() });
            }
            if attach_beneath(mount, &place).is_err() {
                return attach(mount, &place).map_err(attach_failed);
            }
            let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
            detach(walk(&root, parent)?, name).map_err(attach_failed)
        });
        inside.join().unwrap_or_else(|_| Err(attach_failed(io::Error::other("the mounting thread failed"))))
    })
}

fn step_failed(step: &'static str, cause: &dyn std::fmt::Display) -> DeliverError {
    DeliverError::FileSystem { step, cause: cause.to_string() }
}
