//! What a container has mounted before we come, and so how /run/secrets is to be made without covering any of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::deliver::DeliverError;
use crate::model::{SECRETS_DIR, Target, is_within};
use crate::sys::linux::path::Dir;
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::place::Kind;
use crate::wire::{Kept, Layout, MAX_MOUNTS, MountKind};

/// The most bytes of mountinfo that are read: a host with thousands of containers has some megabytes.
const MAX_MOUNTINFO: u64 = 64 * 1024 * 1024;
const MOUNTINFO_BUFFER: usize = 64 * 1024;
/// The most entries of a directory that are kept one by one.
pub(super) const MAX_KEPT: usize = 256;

/// One mount of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    /// Where: an absolute path in the container.
    at: String,
    read_only: bool,
}

/// The mounts of a container whose root file system is not yet its root.
#[derive(Debug)]
pub struct Existing {
    mounts: Vec<Standing>,
}

impl Existing {
    /// Reads the caller's own mountinfo and keeps what lies below `rootfs`. To be called in the container's mount
    /// namespace.
    ///
    /// # Errors
    /// [`DeliverError::Kernel`].
    pub fn below(rootfs: &Dir) -> Result<Self, DeliverError> {
        let path = rootfs.path().map_err(kernel("the path of the root file system"))?;
        let file = File::open("/proc/self/mountinfo").and_then(read_mountinfo);
        Self::parsed(&file.map_err(kernel("the container's mounts"))?, &path)
    }

    fn parsed(text: &str, rootfs: &Path) -> Result<Self, DeliverError> {
        let mounts = parse(text, rootfs)
            .filter(|mounts| mounts.len() <= MAX_MOUNTS)
            .ok_or_else(|| kernel("the container's mounts")(io::Error::from(io::ErrorKind::InvalidData)))?;
        Ok(Self { mounts })
    }

    /// Reads the mounts of a container that runs, from outside: what it shows as /proc is nothing to rely on.
    ///
    /// # Errors
    /// [`DeliverError::Kernel`].
    pub fn of(process: &Process) -> Result<Self, DeliverError> {
        let file = process.mountinfo().and_then(read_mountinfo);
        let text = file.map_err(kernel("the container's mounts"))?;
        Self::parsed(&text, Path::new("/"))
    }

    /// Where mounts are, as paths in the container.
    pub fn places(&self) -> Vec<String> {
        self.mounts.iter().map(|mount| mount.at.clone()).collect()
    }

    /// How /run/secrets is to be made.
    ///
    /// One mount on the directory, with what is mounted below it put back inside, serves rotation best. A mount *on*
    /// /run/secrets that can be written, or files that the image has there, are alive and must stay: then each secret
    /// is mounted by itself. A read-only mount there cannot change, so its entries are put back one by one.
    ///
    /// # Errors
    /// [`DeliverError::SymbolicLink`], [`DeliverError::MountPoint`] when the directory cannot be looked at.
    pub fn layout(&self, rootfs: &Dir) -> Result<Layout, DeliverError> {
        let look = |cause: io::Error| DeliverError::MountPoint { path: SECRETS_DIR.to_owned(), cause };
        let Some(directory) = open_secrets_dir(rootfs)? else { return Ok(Layout::Directory { keep: Vec::new() }) };
        let names = directory.names().map_err(look)?;
        // The last mount on a place is the one that is seen.
        match self.mounts.iter().rev().find(|mount| mount.at == SECRETS_DIR) {
            Some(mount) if mount.read_only => Ok(entries(&directory, &names)?.map_or(Layout::Files, directory_layout)),
            Some(_) => Ok(Layout::Files),
            None => {
                let below = self.below_secrets_dir();
                if below.len() > MAX_KEPT {
                    return Ok(Layout::Files);
                }
                let foreign = has_more_than(&directory, SECRETS_DIR, &below).map_err(look)?;
                if foreign {
                    Ok(Layout::Files)
                } else {
                    Ok(kinds_of(rootfs, &below)?.map_or(Layout::Files, directory_layout))
                }
            }
        }
    }

    /// What is mounted below /run/secrets and is none of `ours`.
    ///
    /// # Errors
    /// [`DeliverError::MountPoint`], [`DeliverError::SymbolicLink`] when one cannot be looked at.
    pub(super) fn kept_below(&self, rootfs: &Dir, ours: &[&str]) -> Result<Vec<Kept>, DeliverError> {
        let mut below = self.below_secrets_dir();
        below.retain(|at| !ours.contains(at));
        Ok(kinds_of(rootfs, &below)?.unwrap_or_default())
    }

    /// The topmost mounts below /run/secrets; what is below one of them comes with it.
    fn below_secrets_dir(&self) -> Vec<&str> {
        let mut tops: Vec<&str> = Vec::new();
        let mut paths: Vec<&str> = self.mounts.iter().map(|mount| mount.at.as_str()).collect();
        paths.sort_unstable();
        for path in paths.into_iter().filter(|path| *path != SECRETS_DIR && is_within(path, SECRETS_DIR)) {
            if !tops.iter().any(|top| is_within(path, top)) {
                tops.push(path);
            }
        }
        tops
    }
}

fn kernel(what: &'static str) -> impl Fn(io::Error) -> DeliverError {
    move |cause| DeliverError::Kernel { what, cause }
}

fn directory_layout(keep: Vec<Kept>) -> Layout {
    Layout::Directory { keep }
}

fn open_secrets_dir(rootfs: &Dir) -> Result<Option<Dir>, DeliverError> {
    match super::attach::walk(rootfs, SECRETS_DIR) {
        Ok(directory) => Ok(Some(directory)),
        Err(DeliverError::MountPoint { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The entries of a directory as things to keep; none when there is one that cannot be mounted (a link, a socket).
fn entries(directory: &Dir, names: &[String]) -> Result<Option<Vec<Kept>>, DeliverError> {
    if names.len() > MAX_KEPT {
        return Ok(None);
    }
    let mut kept = Vec::new();
    for name in names {
        let kind = directory.entry(name).and_then(|entry| entry.kind());
        match (kind, Target::parse(name)) {
            (Ok((Kind::Directory, _)), Ok(target)) => kept.push(Kept { target, kind: MountKind::Directory }),
            (Ok((Kind::File, _)), Ok(target)) => kept.push(Kept { target, kind: MountKind::File }),
            _ => return Ok(None),
        }
    }
    Ok(Some(kept))
}

fn kinds_of(rootfs: &Dir, paths: &[&str]) -> Result<Option<Vec<Kept>>, DeliverError> {
    let mut kept = Vec::new();
    for path in paths {
        let (kind, _) = super::attach::walk(rootfs, path)?
            .kind()
            .map_err(|cause| DeliverError::MountPoint { path: (*path).to_owned(), cause })?;
        match (kind, Target::parse(path)) {
            (Kind::Directory, Ok(target)) => kept.push(Kept { target, kind: MountKind::Directory }),
            (Kind::File, Ok(target)) => kept.push(Kept { target, kind: MountKind::File }),
            _ => return Ok(None),
        }
    }
    Ok(Some(kept))
}

/// Whether `directory` has anything but the directories that lead to `mounts`.
fn has_more_than(directory: &Dir, path: &str, mounts: &[&str]) -> io::Result<bool> {
    for name in directory.names()? {
        let inner = format!("{path}/{name}");
        if mounts.contains(&inner.as_str()) {
            continue;
        }
        let leads_on = mounts.iter().any(|mount| is_within(mount, &inner));
        if !leads_on || has_more_than(&directory.entry(&name)?, &inner, mounts)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The kernel writes the list anew for each read, so the buffer starts large.
fn read_mountinfo(file: File) -> io::Result<String> {
    let mut text = String::with_capacity(MOUNTINFO_BUFFER);
    file.take(MAX_MOUNTINFO).read_to_string(&mut text)?;
    Ok(text)
}

/// The mounts below `rootfs`, in the kernel's order. Source: proc_pid_mountinfo(5).
fn parse(text: &str, rootfs: &Path) -> Option<Vec<Standing>> {
    let rootfs = rootfs.to_str()?;
    let top = if rootfs == "/" { "" } else { rootfs };
    let mut mounts = Vec::new();
    for line in text.lines() {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let place = unescape(fields.nth(4)?)?;
        let options = fields.next()?;
        if let Some(at) = place.strip_prefix(top)
            && at.starts_with('/')
            && at != "/"
        {
            let super_options = file_system.split(' ').nth(2).unwrap_or("");
            let read_only = [options, super_options].iter().any(|list| list.split(',').any(|option| option == "ro"));
            mounts.push(Standing { at: at.to_owned(), read_only });
        }
    }
    Some(mounts)
}

/// Undoes mountinfo's `\040` form; none when the result is not UTF-8.
fn unescape(field: &str) -> Option<String> {
    if !field.contains('\\') {
        return Some(field.to_owned());
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'\\' {
            let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 8).ok()?);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "existing_tests.rs"]
mod tests;
