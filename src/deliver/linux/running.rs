//! A container that runs, whose secrets are changed: what it has where, and the additions and removals. What it is to have is
//! planned in `change`, and replacing is in `replace`.

use std::io;

use crate::deliver::DeliverError;
use crate::failpoint::{Point, reach};
use crate::model::is_within;
use crate::secret::SecretBytes;
use crate::sys::linux::mount::detach;
use crate::sys::linux::path::Dir;
use crate::sys::linux::pidfd::Process;
use crate::wire::{MadePoint, Mount, MountKind};

use super::adopt::{FileSystem, is_on_one_of};
use super::attach::{Attached, remove_mount_points, walk};
use super::change::Change;
use super::existing::Existing;
use super::inside::inside;
use super::medium::Medium;
use super::plan::{FILES, PlannedFile, Room};
use super::replace::{FRESH, Swap, write};
use super::stage::{Clones, Stage};
use super::unfinished::take_off;
use super::writable::{OldFile, Place, Writable, open_alone};

/// Room of a second file system at first: it grows with what is put there.
const SECOND: Room = Room { bytes: 1024 * 1024, inodes: 1024 };
/// Permission bits of directories in our file systems.
const DIRECTORY_MODE: u32 = 0o755;

/// A container whose secrets are changed while it runs.
#[derive(Debug)]
pub struct Running<'c> {
    /// Its first process.
    pub process: &'c Process,
    /// The side that only the agent has.
    pub writable: &'c mut Writable,
    /// The file systems that are ours in it; one is added when a second one has to be made.
    pub devices: &'c mut Vec<FileSystem>,
    /// What is attached of ours.
    pub mounts: &'c mut Vec<Mount>,
    /// The mount points that were made for it.
    pub made: &'c mut Vec<MadePoint>,
    /// How file systems are made.
    pub medium: Medium,
    /// How clones are made.
    pub stage: &'c Stage,
    /// How a new single file takes the place of an old one.
    pub swap: Swap,
    /// The most bytes that each of its file systems may have.
    pub size_limit: Option<u64>,
    /// Whether we may go into it. Not where a user has made its namespaces: what that user shows there may be anything of
    /// the host's, and with our rights we would change it.
    pub may_enter: bool,
    /// Whether it has a generation directory.
    pub generations: bool,
}

impl Running<'_> {
    /// Makes a second file system, if the new version of `file`, which is attached at `target`, needs one; whether it did.
    /// That has to be on record before anything of it is attached: an agent leaves alone what it does not know.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`]; [`DeliverError::NextStart`] for a single file of a container that we may not go into.
    pub fn make_room_to_replace(&mut self, file: &PlannedFile, target: &str) -> Result<bool, DeliverError> {
        if file.is_single() && !self.may_enter {
            return Err(DeliverError::NextStart);
        }
        let place = self.writable.place(&file.path, target).map_err(failed("find a file in RAM"))?;
        let needed = matches!(place, Place::Alone(_)) && self.writable.second().is_none();
        if needed {
            self.make_second()?;
        }
        Ok(needed)
    }

    /// The same for a `file` that the container has not yet.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`].
    pub fn make_room_to_add(&mut self, file: &PlannedFile) -> Result<bool, DeliverError> {
        let needed = self.writable.top_of(&file.path).is_none();
        if needed {
            self.make_second()?;
        }
        Ok(needed)
    }

    /// Gives the container `file` of `change` at `target`, where it has nothing of ours, and attaches what that takes: what
    /// [`Change::mount_for`] says has to be on record, and [`Running::make_room_to_add`] comes before it.
    ///
    /// # Errors
    /// Any: then nothing is there.
    pub fn add(
        &mut self,
        change: &Change,
        file: &PlannedFile,
        target: &str,
        value: &SecretBytes,
    ) -> Result<(), DeliverError> {
        let covered = || DeliverError::Covered { path: target.to_owned() };
        let (top, path) = self.writable.top_of(&file.path).ok_or_else(covered)?;
        self.make_space(top, value)?;
        let root = change.plan.root;
        let (parent, name) = make_parents(top, &path, root).map_err(failed("make a directory in RAM"))?;
        write(top, file, value).map_err(failed("write a value to RAM"))?;
        top.rename(FRESH, &parent, &name).map_err(failed("put a file into its place"))?;
        reach(Point::GrantPlaced);
        let Some((mount, shown)) = change.mount_for(file, self.mounts) else { return Ok(()) };
        let mut fresh_root = None;
        let attached = change.make_places(top).and_then(|()| self.attach(top, mount, shown, change, &mut fresh_root));
        if let Some(fresh) = fresh_root {
            self.writable.renew(fresh);
        }
        if attached.is_err() {
            if let Ok(Ok(unwanted)) = parent.write_file(&name).map(OldFile::new) {
                let _ = unwanted.scrub();
            }
            let _ = parent.remove_file(&name);
        }
        let made = attached?;
        self.made.extend(made);
        self.mounts.push(mount.clone());
        reach(Point::GrantAttached);
        Ok(())
    }

    /// Takes `file` from the container: out of sight, and emptied for whoever has it open.
    ///
    /// # Errors
    /// [`DeliverError::Covered`] when it is not where it was attached: what can be reached of it is emptied all the same.
    pub fn remove(&mut self, file: &PlannedFile, target: &str, others: &[&str]) -> Result<(), DeliverError> {
        self.take_out(file, target, others, |old| {
            // First of all: what has no name any more is out of reach for the agent that comes after one that is killed.
            let emptied = old.scrub();
            reach(Point::RevokeEmptied);
            emptied.map(|_| None)
        })
        .1
    }

    /// The same for a file that whoever has it open may read to its end: it is returned, and emptied when it is scrubbed. A
    /// single file that cannot be taken off (a user's container) can be opened until then.
    pub fn take_away(
        &mut self,
        file: &PlannedFile,
        target: &str,
        others: &[&str],
    ) -> (Option<OldFile>, Result<(), DeliverError>) {
        self.take_out(file, target, others, |old| Ok(Some(old)))
    }

    fn take_out(
        &mut self,
        file: &PlannedFile,
        target: &str,
        others: &[&str],
        first: impl FnOnce(OldFile) -> io::Result<Option<OldFile>>,
    ) -> (Option<OldFile>, Result<(), DeliverError>) {
        let single = file.is_single();
        let place = match self.writable.place(&file.path, target) {
            Ok(place) => place,
            Err(error) => return (None, Err(step_failed("find a file in RAM", &error))),
        };
        let old = match &place {
            Place::In(parent, name, _) => parent.write_file(name),
            Place::Alone(place) => open_alone(place),
            Place::Nowhere => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let (old, done) = match (old.and_then(OldFile::new).and_then(first), &place) {
            (Ok(old), _) => (old, Ok(())),
            (Err(_), Place::Nowhere) if !(single && self.may_enter && self.has_nothing_at(target)) => {
                (None, Err(DeliverError::Covered { path: target.to_owned() }))
            }
            // An earlier agent came so far.
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => (None, Ok(())),
            (Err(error), _) => (None, Err(step_failed("overwrite a file in RAM", &error))),
        };
        if let Place::In(parent, name, _) = &place {
            match parent.remove_file(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return (old, Err(step_failed("remove a file in RAM", &error)));
                }
                _ => {}
            }
            reach(Point::RevokeUnlinked);
        }
        // Where we may not take the mount off, an empty file is left until the container stops.
        if !single || !self.may_enter {
            return (old, done);
        }
        self.mounts.retain(|mount| mount.at != target);
        let detached = self.detach(target, others);
        (old, done.and(detached))
    }

    /// Whether nothing is mounted at `target`: an earlier agent has taken it off.
    fn has_nothing_at(&self, target: &str) -> bool {
        Existing::of(self.process).is_ok_and(|existing| !existing.places().iter().any(|at| at == target))
    }

    fn attach(
        &self,
        top: &Dir,
        mount: &Mount,
        shown: &str,
        change: &Change,
        fresh_root: &mut Option<Dir>,
    ) -> Result<Vec<MadePoint>, DeliverError> {
        let Clones { mounts: clones, root } = self.stage.clones(top, &[shown.to_owned()])?;
        *fresh_root = root;
        let entered = self.inside(|rootfs| {
            let mounts = std::slice::from_ref(mount);
            let attached = Attached::attach(rootfs, change.plan.root, mounts, &clones, &change.keep)?;
            let made = attached.made().to_vec();
            attached.keep();
            Ok(made)
        });
        entered?
    }

    /// Takes the single mount at `target` off, if it is ours, those of ours that are below, and the mount points that were
    /// made for it alone.
    fn detach(&mut self, target: &str, others: &[&str]) -> Result<(), DeliverError> {
        let unwanted =
            |point: &MadePoint| is_within(target, &point.at) && !others.iter().any(|other| is_within(other, &point.at));
        let (mut gone, kept): (Vec<_>, Vec<_>) = std::mem::take(self.made).into_iter().partition(unwanted);
        let devices: &[FileSystem] = self.devices;
        let is_gone = self.has_nothing_at(target);
        let entered = self.inside(|rootfs| {
            let attach_failed = |cause| DeliverError::Attach { path: target.to_owned(), cause };
            if !is_gone {
                ours(rootfs, target, devices)?;
                let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
                detach(walk(rootfs, parent)?, name).map_err(attach_failed)?;
            }
            reach(Point::RevokeDetached);
            // Where new values are mounted on top, the old ones show now: one may have its value still, if the agent that
            // replaced it was killed.
            let mount = Mount { at: target.to_owned(), kind: MountKind::File };
            let mut below = Vec::new();
            while let Ok(file) = take_off(rootfs, &mount, devices) {
                below.extend(file);
            }
            remove_mount_points(rootfs, &gone);
            Ok(below)
        });
        let done = entered.and_then(|done| done).and_then(|below| {
            let empty = |file: &Dir| open_alone(file).and_then(OldFile::new).and_then(OldFile::scrub);
            below.iter().try_for_each(empty).map_err(failed("overwrite a file in RAM"))
        });
        *self.made = kept;
        if done.is_err() {
            self.made.append(&mut gone);
        }
        done
    }

    /// A file system of our own beside the one that cannot be reached as a whole any more.
    pub(super) fn make_second(&mut self) -> Result<(), DeliverError> {
        let made = self.medium.make(SECOND, None).map_err(|cause| step_failed("make a file system in RAM", &cause))?;
        let root = self.writable.put_second(Dir::from(made));
        let device = root.make_dir(FILES, 0o700).and_then(|()| FileSystem::of(root));
        reach(Point::SecondMade);
        self.devices.push(device.map_err(failed("make a directory in RAM"))?);
        Ok(())
    }

    /// Does `work` in the container's mount namespace, with that namespace's root.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce(&Dir) -> T + Send) -> Result<T, DeliverError> {
        if !self.may_enter {
            return Err(DeliverError::NextStart);
        }
        inside(self.process, work).map_err(|cause| DeliverError::Gone { pid: self.process.pid(), cause })
    }
}

/// The place `target` of a container that runs, if what it shows there is on one of `file_systems`.
///
/// # Errors
/// [`DeliverError::Covered`], also where nothing of that name is to be seen any more.
pub(super) fn ours(rootfs: &Dir, target: &str, file_systems: &[FileSystem]) -> Result<Dir, DeliverError> {
    let covered = || DeliverError::Covered { path: target.to_owned() };
    let place = walk(rootfs, target).map_err(|error| match error {
        DeliverError::SymbolicLink { .. } | DeliverError::WrongKind { .. } => covered(),
        DeliverError::MountPoint { cause, .. } if cause.kind() == io::ErrorKind::NotFound => covered(),
        other => other,
    })?;
    let is_ours = is_on_one_of(file_systems, &place);
    match is_ours.map_err(|cause| DeliverError::Attach { path: target.to_owned(), cause })? {
        true => Ok(place),
        false => Err(covered()),
    }
}

/// The directory of `path` below `top`, made where it is missing, and the last component.
pub(super) fn make_parents(top: &Dir, path: &str, owner: (u32, u32)) -> io::Result<(Dir, String)> {
    let (parents, name) = path.rsplit_once('/').map_or((None, path), |(parents, name)| (Some(parents), name));
    let mut directory = top.again()?;
    for component in parents.into_iter().flat_map(|parents| parents.split('/')) {
        directory = match directory.entry(component) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                directory.make_dir(component, 0o700)?;
                let made = directory.entry(component)?;
                made.set_owner(owner.0, owner.1)?;
                made.set_mode(DIRECTORY_MODE)?;
                made
            }
            found => found?,
        };
    }
    Ok((directory, name.to_owned()))
}

pub(super) fn failed(step: &'static str) -> impl Fn(io::Error) -> DeliverError {
    move |cause| step_failed(step, &cause)
}

pub(super) fn step_failed(step: &'static str, cause: &dyn std::fmt::Display) -> DeliverError {
    DeliverError::FileSystem { step, cause: cause.to_string() }
}
