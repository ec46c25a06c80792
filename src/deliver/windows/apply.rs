//! The container's directory and its files. Each is made with its access list in place, never opened to all and closed
//! afterwards; what is not kept in the end is overwritten and removed.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::ContainerId;
use crate::secret::SecretBytes;

use super::error::WindowsError;
use super::names::check_name;
use super::plan::Plan;
use super::scrub::{Scrubbed, scrub, scrub_file};
use super::seams::{Acl, Seams};

/// The directory of values in a container's directory; the container sees it read-only.
const VALUES: &str = "secrets";
/// Old values that could not be overwritten yet, in the container's directory: `past-0` and so on.
const PAST: &str = "past-";
/// ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION: what is said of a file that somebody has open.
const IN_USE: [i32; 2] = [5, 32];
/// How often, and with which pauses, a file is replaced that somebody has open.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// The longest id that names a directory, in characters: room for what stands before and behind it.
const MAX_ID: usize = 128;

/// Where the values of one container are, on the host: `…\containers\<id>\secrets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillPlace {
    directory: PathBuf,
}

impl FillPlace {
    /// The place of container `id` in the directory `containers`.
    ///
    /// # Errors
    /// [`WindowsError::ContainerId`]: not every id can be the name of a directory.
    pub fn of(containers: &Path, id: &ContainerId) -> Result<Self, WindowsError> {
        let refused = |reason| WindowsError::ContainerId { id: id.to_string(), reason };
        check_name(id.as_str()).map_err(|fault| refused(fault.reason()))?;
        if id.as_str().len() > MAX_ID {
            return Err(refused(format!("it has more than {MAX_ID} characters")));
        }
        Ok(Self { directory: containers.join(id.as_str()) })
    }

    /// The container's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory in it that the container sees.
    pub fn values(&self) -> PathBuf {
        self.directory.join(VALUES)
    }

    /// Whether anything is there.
    pub fn is_taken(&self) -> bool {
        self.directory.symlink_metadata().is_ok()
    }

    /// Overwrites and removes what is there.
    pub fn scrub(&self, acl: &dyn Acl) -> Scrubbed {
        scrub(acl, &self.directory)
    }
}

/// A container's directory with all its values: scrubbed when dropped, unless kept.
#[must_use]
pub struct Filled<'s> {
    acl: &'s dyn Acl,
    place: FillPlace,
    kept: bool,
}

impl<'s> Filled<'s> {
    /// Makes the directory of `place`, and the files of `plan` with the values that `value` opens for their grants.
    ///
    /// # Errors
    /// [`WindowsError`], or `value`'s own; nothing is left then, or at the least no value.
    pub fn make<E: From<WindowsError>>(
        seams: &'s Seams,
        place: FillPlace,
        plan: &Plan,
        mut value: impl FnMut(usize) -> Result<SecretBytes, E>,
    ) -> Result<Self, E> {
        let acl = &*seams.acl;
        make_directory(acl, &place.directory)?;
        // From here on everything is undone, whatever fails.
        let filled = Self { acl, place, kept: false };
        check(acl, &filled.place.directory)?;
        let values = filled.place.values();
        for directory in std::iter::once(&Vec::new()).chain(&plan.directories) {
            let path = below(&values, directory);
            make_directory(acl, &path)?;
            check(acl, &path)?;
        }
        for file in &plan.files {
            let bytes = value(file.grant)?;
            write_value(acl, &below(&values, &file.path), &bytes)?;
        }
        Ok(filled)
    }

    /// The container's place.
    pub fn place(&self) -> &FillPlace {
        &self.place
    }

    /// Leaves everything where it is.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is found by the agent, which looks whether the place is taken.
            let _ = self.place.scrub(self.acl);
        }
    }
}

/// Puts a new value in the place of the one in `file`, whose container's place is `place`: a program that opens it finds
/// either the old one or the new one, and the old one is overwritten. The answer is why that could not be done yet, where
/// somebody has it open: [`forget_past`] does it later.
///
/// # Errors
/// [`WindowsError`]; the old value stands then.
pub fn replace_value(
    acl: &dyn Acl,
    place: &FillPlace,
    file: &[String],
    value: &SecretBytes,
) -> Result<Option<WindowsError>, WindowsError> {
    let file = below(&place.values(), file);
    // Beside the directory that the container sees: no name of a target is taken.
    let [fresh, old] = ["new", "old"].map(|name| place.directory.join(name));
    let overwrite = |path: &Path| scrub_file(acl, path).map_err(WindowsError::on("overwrite", path));
    let forget = |path: &Path| match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(WindowsError::on("remove", path)(cause)),
        _ => Ok(()),
    };
    overwrite(&fresh)?;
    // What a crash left under this name may be the value that stands: only the name goes.
    forget(&old)?;
    write_value(acl, &fresh, value)?;
    std::fs::hard_link(&file, &old).map_err(WindowsError::on("keep the old value of", &file))?;
    if let Err(cause) = rename_when_closed(&fresh, &file) {
        forget(&old)?;
        overwrite(&fresh)?;
        return Err(WindowsError::on("replace", &file)(cause));
    }
    // What has this name is surely no value that stands.
    let mut past = (0_u32..).map(|number| place.directory.join(format!("{PAST}{number}")));
    let past = past.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| old.clone());
    let put_aside = std::fs::rename(&old, &past).map_err(WindowsError::on("put aside the old value of", &file));
    Ok(put_aside.and_then(|()| overwrite(&past)).err())
}

/// A program that reads a secret has it open for a moment, and most keep its name in place meanwhile: that is waited for.
fn rename_when_closed(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match std::fs::rename(from, to) {
            Err(cause) if left > 0 && cause.raw_os_error().is_some_and(|code| IN_USE.contains(&code)) => {
                std::thread::sleep(BETWEEN_TRIES);
            }
            renamed => return renamed,
        }
    }
}

/// Overwrites and removes old values that somebody had open when they were replaced; whether none is left.
pub fn forget_past(acl: &dyn Acl, place: &FillPlace) -> bool {
    let entries = std::fs::read_dir(&place.directory).into_iter().flatten().flatten();
    let past = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PAST));
    // Each of them, whatever became of the one before.
    past.filter(|entry| scrub_file(acl, &entry.path()).is_err()).count() == 0
}

/// Overwrites and removes the value in `file` of the container whose place is `place`.
///
/// # Errors
/// [`WindowsError::File`], where somebody has it open and lets nobody write to it.
pub fn remove_value(acl: &dyn Acl, place: &FillPlace, file: &[String]) -> Result<(), WindowsError> {
    let file = below(&place.values(), file);
    scrub_file(acl, &file).map_err(WindowsError::on("overwrite", &file))
}

/// A path below `top`.
pub(super) fn below(top: &Path, names: &[String]) -> PathBuf {
    names.iter().fold(top.to_owned(), |path, name| path.join(name))
}

fn make_directory(acl: &dyn Acl, path: &Path) -> Result<(), WindowsError> {
    match acl.make_directory(path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
            Err(WindowsError::Occupied { directory: path.to_owned() })
        }
        made => made.map_err(WindowsError::on("make the directory", path)),
    }
}

fn check(acl: &dyn Acl, path: &Path) -> Result<(), WindowsError> {
    acl.check(path).map_err(|reason| WindowsError::Access { path: path.to_owned(), reason })
}

/// A new file is looked at before the value is written, and complete on the disk before anybody hears of it.
fn write_value(acl: &dyn Acl, path: &Path, value: &SecretBytes) -> Result<(), WindowsError> {
    let mut file: File = acl.make_file(path).map_err(WindowsError::on("make the file", path))?;
    check(acl, path)?;
    file.write_all(value.expose()).map_err(WindowsError::on("write", path))?;
    file.sync_all().map_err(WindowsError::on("flush", path))
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
