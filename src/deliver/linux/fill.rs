//! Apply a plan: make the file system, write each value into it, clone what the container is to see.
//! The values pass through here and nowhere else on their way out of the agent.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use crate::deliver::DeliverError;
use crate::failpoint::{Point, reach};
use crate::secret::SecretBytes;
use crate::sys::linux::path::{Dir, set_owner_and_mode};

use super::adopt::FileSystem;
use super::medium::{Medium, Protection};
use super::plan::{FillPlan, Room};
use super::scrub::scrub;
use super::stage::Stage;

/// Permission bits of directories: as Docker makes /run/secrets.
const DIRECTORY_MODE: u32 = 0o755;

/// A file system with nothing in it yet: its writable root, which only the agent has.
#[derive(Debug)]
pub struct Empty {
    root: Dir,
    medium: Medium,
}

/// A filled file system: its writable side, and what is to be attached.
#[derive(Debug)]
pub struct Filled {
    /// The root of the writable mount: only the agent has it.
    pub root: Dir,
    /// By which it is known again.
    pub file_system: FileSystem,
    /// One read-only clone for each mount of the plan, in order.
    pub clones: Vec<OwnedFd>,
    /// How well it is kept from a disk.
    pub protection: Protection,
}

impl Empty {
    /// Makes a file system of `medium` with `room`, whose mounts have the SELinux label `label`.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`].
    pub fn make(medium: Medium, room: Room, label: Option<&str>) -> Result<Self, DeliverError> {
        let mount = medium.make(room, label).map_err(|cause| failed("make a file system in RAM", &cause))?;
        Ok(Self { root: Dir::from(mount), medium })
    }

    /// Fills it: `value` is asked for each file's bytes, by the index of its grant, one at a time, and the bytes are wiped
    /// before the next is asked for. What was written is scrubbed when a later step fails.
    ///
    /// # Errors
    /// [`DeliverError::FileSystem`], or the error of `value`.
    pub fn fill<E: From<DeliverError>>(
        self,
        plan: &FillPlan,
        stage: &Stage,
        value: impl FnMut(usize) -> Result<SecretBytes, E>,
    ) -> Result<Filled, E> {
        let root = self.root;
        let clones = write_all(&root, plan, value).and_then(|()| {
            let paths: Vec<String> = plan.mounts.iter().map(|(_, path)| path.clone()).collect();
            let file_system = FileSystem::of(&root).map_err(|cause| failed("look at a file system in RAM", &cause))?;
            Ok((stage.clones(&root, &paths)?, file_system))
        });
        match clones {
            Ok((clones, file_system)) => Ok(Filled {
                root: clones.root.unwrap_or(root),
                file_system,
                clones: clones.mounts,
                protection: self.medium.protection(),
            }),
            Err(error) => {
                scrub(&root);
                Err(error)
            }
        }
    }
}

fn write_all<E: From<DeliverError>>(
    root: &Dir,
    plan: &FillPlan,
    mut value: impl FnMut(usize) -> Result<SecretBytes, E>,
) -> Result<(), E> {
    let mut directory = Directory { root, open: None };
    for path in &plan.directories {
        directory.make(path, plan.root).map_err(|cause| failed("make a directory in RAM", &cause))?;
    }
    for path in &plan.places {
        directory.write(path, plan.root, 0o444, &[]).map_err(|cause| failed("make a mount point in RAM", &cause))?;
    }
    for file in &plan.files {
        let secret = value(file.grant)?;
        directory
            .write(&file.path, (file.uid, file.gid), file.mode, secret.expose())
            .map_err(|cause| failed("write a value to RAM", &cause))?;
        reach(Point::FillWritten);
    }
    for (path, link) in &plan.links {
        directory.link(path, link).map_err(|cause| failed("make a generation of secrets", &cause))?;
    }
    Ok(())
}

fn failed(step: &'static str, cause: &dyn std::fmt::Display) -> DeliverError {
    DeliverError::FileSystem { step, cause: cause.to_string() }
}

/// Writes below `root`, keeping the directory of the last file open: most files stand beside the one before.
struct Directory<'r> {
    root: &'r Dir,
    open: Option<(String, Dir)>,
}

impl Directory<'_> {
    fn make(&mut self, path: &str, (uid, gid): (u32, u32)) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        parent.make_dir(name, 0o700)?;
        let made = parent.entry(name)?;
        made.set_owner(uid, gid)?;
        made.set_mode(DIRECTORY_MODE)
    }

    fn write(&mut self, path: &str, (uid, gid): (u32, u32), mode: u32, bytes: &[u8]) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let mut file = parent.make_file(name, 0o600)?;
        file.write_all(bytes)?;
        set_owner_and_mode(&file, uid, gid, mode)
    }

    fn link(&mut self, path: &str, link: &str) -> io::Result<()> {
        let (from, name) = self.parent_of(path)?;
        let from = from.again()?;
        let (to, link) = self.parent_of(link)?;
        from.link(name, to, link)
    }

    /// The directory that `path` is in, and its last component.
    fn parent_of<'p>(&mut self, path: &'p str) -> io::Result<(&Dir, &'p str)> {
        let Some((parent, name)) = path.rsplit_once('/') else { return Ok((self.root, path)) };
        if self.open.as_ref().is_none_or(|(open, _)| open != parent) {
            let mut directory = self.root.again()?;
            for component in parent.split('/') {
                directory = directory.entry(component)?;
            }
            self.open = Some((parent.to_owned(), directory));
        }
        match &self.open {
            Some((_, directory)) => Ok((directory, name)),
            None => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }
}
