//! Removal: overwrite, flush, delete; and at the start of the agent, of everything that no living container has. An SSD may
//! keep the old blocks all the same, and NTFS may have had a small file in its journal: that is what BitLocker is for.

use std::fs;
use std::io;
use std::path::Path;

use super::seams::Acl;
use crate::deliver::zeroes::zero;

/// How deep a tree is followed: targets have at most 259 characters.
const MAX_DEPTH: usize = 130;

/// What a scrub did. It never stops at a failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files that were overwritten and removed.
    pub files: usize,
    /// What could not be done, as `step: cause`; the files' names are not in it.
    pub failures: Vec<String>,
}

/// Overwrites and removes every file in `directory`, and the directory itself. One that is not there is no failure.
pub fn scrub(acl: &dyn Acl, directory: &Path) -> Scrubbed {
    let mut scrubbed = Scrubbed::default();
    match directory.symlink_metadata() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Ok(found) if found.is_dir() => empty(acl, directory, 0, &mut scrubbed),
        _ => remove(directory, &mut scrubbed),
    }
    scrubbed
}

/// Scrubs every directory in `containers` whose name `lives` does not know; `before` is told of each first. Returns the names
/// and what was done.
///
/// # Errors
/// The directory cannot be read.
pub fn sweep(
    acl: &dyn Acl,
    containers: &Path,
    lives: impl Fn(&str) -> bool,
    before: impl Fn(&Path),
) -> io::Result<Vec<(String, Scrubbed)>> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(containers)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !lives(&name) {
            before(&entry.path());
            swept.push((name, scrub(acl, &entry.path())));
        }
    }
    Ok(swept)
}

/// Overwrites, flushes and removes one file; one that is not there is no error.
pub(super) fn scrub_file(acl: &dyn Acl, path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
        Ok(found) => overwrite(acl, path, found.len()).and_then(|()| fs::remove_file(path)),
    }
}

fn empty(acl: &dyn Acl, directory: &Path, depth: usize, scrubbed: &mut Scrubbed) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) => return scrubbed.failures.push(format!("list a directory: {cause}")),
    };
    for entry in entries {
        let found = entry.and_then(|entry| Ok((entry.path(), entry.path().symlink_metadata()?)));
        match found {
            Err(cause) => scrubbed.failures.push(format!("look at an entry: {cause}")),
            Ok((path, found)) if found.is_dir() && depth < MAX_DEPTH => empty(acl, &path, depth + 1, scrubbed),
            Ok((path, found)) if found.is_file() => {
                match overwrite(acl, &path, found.len()).and_then(|()| fs::remove_file(&path)) {
                    Ok(()) => scrubbed.files += 1,
                    Err(cause) => scrubbed.failures.push(format!("overwrite a file: {cause}")),
                }
            }
            // A link, or what else is not ours: its own entry goes, and nothing behind it is touched.
            Ok((path, _)) => remove(&path, scrubbed),
        }
    }
    if let Err(cause) = fs::remove_dir(directory) {
        scrubbed.failures.push(format!("remove a directory: {cause}"));
    }
}

/// A file stays until it has been overwritten: one that is held open by somebody is tried again later, whole.
fn overwrite(acl: &dyn Acl, path: &Path, size: u64) -> io::Result<()> {
    let mut file = acl.open_to_overwrite(path)?;
    zero(&mut file, size)?;
    // Before it is cut: a file without length has no blocks to write to.
    file.sync_all()
}

/// A link to a directory is a directory to Windows.
fn remove(path: &Path, scrubbed: &mut Scrubbed) {
    if let Err(cause) = fs::remove_file(path).or_else(|_| fs::remove_dir(path)) {
        scrubbed.failures.push(format!("remove an entry: {cause}"));
    }
}

#[cfg(test)]
#[path = "scrub_tests.rs"]
mod tests;
