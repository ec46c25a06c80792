//! Apply a plan: make the file system, write each value into it, clone what the container is to see.
//! The values pass through here and nowhere else on their way out of the agent.

use std::io::Write;
use std::os::fd::OwnedFd;

use crate::deliver::DeliverError;
use crate::secret::SecretBytes;
use crate::sys::linux::path::{Dir, set_owner_and_mode};

use super::medium::{Medium, Protection};
use super::plan::FillPlan;
use super::scrub::scrub;
use super::stage::Stage;

/// Permission bits of directories: as Docker makes /run/secrets.
const DIRECTORY_MODE: u32 = 0o755;

/// A filled file system: its writable side, and what is to be attached.
#[derive(Debug)]
pub struct Filled {
    /// The root of the writable mount: only the agent has it.
    pub root: Dir,
    /// One read-only clone for each mount of the plan, in order.
    pub clones: Vec<OwnedFd>,
    /// How well it is kept from a disk.
    pub protection: Protection,
}

/// The file system to fill and its bounds.
#[derive(Debug, Clone, Copy)]
pub struct Vessel<'a> {
    /// Which kind.
    pub medium: Medium,
    /// How clones are made.
    pub stage: &'a Stage,
    /// Bytes at the most.
    pub bytes: u64,
    /// The SELinux label of its mounts.
    pub label: Option<&'a str>,
}

/// Fills a new file system: `value` is asked for each file's bytes, by the index of its grant, one at a time, and the
/// bytes are wiped before the next is asked for. What was written is scrubbed when a later step fails.
///
/// # Errors
/// [`DeliverError::FileSystem`], or the error of `value`.
pub fn fill<E: From<DeliverError>>(
    plan: &FillPlan,
    vessel: Vessel<'_>,
    value: impl FnMut(usize) -> Result<SecretBytes, E>,
) -> Result<Filled, E> {
    let mount = vessel
        .medium
        .make(vessel.bytes, plan.inodes(), vessel.label)
        .map_err(|cause| failed("make a file system in RAM", &cause))?;
    let root = Dir::from(mount.try_clone().map_err(|cause| failed("make a file system in RAM", &cause))?);
    let clones = write_all(&root, plan, value).and_then(|()| {
        let paths: Vec<String> = plan.mounts.iter().map(|(_, path)| path.clone()).collect();
        Ok(vessel.stage.clones(&mount, &paths)?)
    });
    match clones {
        Ok(clones) => Ok(Filled { root, clones, protection: vessel.medium.protection() }),
        Err(error) => {
            scrub(&root);
            Err(error)
        }
    }
}

fn write_all<E: From<DeliverError>>(
    root: &Dir,
    plan: &FillPlan,
    mut value: impl FnMut(usize) -> Result<SecretBytes, E>,
) -> Result<(), E> {
    for path in &plan.directories {
        make_directory(root, path, plan.root).map_err(|cause| failed("make a directory in RAM", &cause))?;
    }
    for path in &plan.places {
        write(root, path, plan.root, 0o444, &[]).map_err(|cause| failed("make a mount point in RAM", &cause))?;
    }
    for file in &plan.files {
        let secret = value(file.grant)?;
        write(root, &file.path, (file.uid, file.gid), file.mode, secret.expose())
            .map_err(|cause| failed("write a value to RAM", &cause))?;
    }
    Ok(())
}

fn failed(step: &'static str, cause: &dyn std::fmt::Display) -> DeliverError {
    DeliverError::FileSystem { step, cause: cause.to_string() }
}

fn make_directory(root: &Dir, path: &str, (uid, gid): (u32, u32)) -> std::io::Result<()> {
    let (parent, name) = parent_of(root, path)?;
    let parent = parent.as_ref().unwrap_or(root);
    parent.make_dir(name, 0o700)?;
    let made = parent.entry(name)?;
    made.set_owner(uid, gid)?;
    made.set_mode(DIRECTORY_MODE)
}

fn write(root: &Dir, path: &str, (uid, gid): (u32, u32), mode: u32, bytes: &[u8]) -> std::io::Result<()> {
    let (parent, name) = parent_of(root, path)?;
    let mut file = parent.as_ref().unwrap_or(root).make_file(name, 0o600)?;
    file.write_all(bytes)?;
    set_owner_and_mode(&file, uid, gid, mode)
}

/// The directory that `path` is in (none: `root` itself) and its last component.
fn parent_of<'p>(root: &Dir, path: &'p str) -> std::io::Result<(Option<Dir>, &'p str)> {
    let mut components = path.split('/').peekable();
    let mut parent: Option<Dir> = None;
    while let Some(component) = components.next() {
        if components.peek().is_none() {
            return Ok((parent, component));
        }
        parent = Some(parent.as_ref().unwrap_or(root).entry(component)?);
    }
    Err(std::io::Error::from(std::io::ErrorKind::InvalidInput))
}
