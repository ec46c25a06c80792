//! A file of an engine before and after, and the writing of it: whole or not at all, with the owner and mode that it
//! has, and the old text kept beside it. What an engine's text should be is decided elsewhere.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::replace::{Synced, name_of_this_process, replace};
use crate::sys::linux::file::create_private;

use super::error::{ConfigureError, EditError};

/// The mode of a file that was not there.
const MODE: u32 = 0o644;
/// Behind the name of a file whose old text is kept.
const BACKUP: &str = ".runsecrets.bak";

/// A file that may be there, and its backup.
#[derive(Debug)]
pub(super) struct Original {
    /// As the engine names it.
    pub(super) path: PathBuf,
    /// What it leads to, if it is a symbolic link.
    real: PathBuf,
    /// What is in it; none where it is not there.
    pub(super) text: Option<String>,
    /// What it was before we first changed it.
    backup: Option<String>,
}

/// What is to be done to a file.
#[derive(Debug)]
pub(super) struct Change {
    original: Original,
    after: Option<String>,
    backup: Backup,
}

/// What becomes of the old text beside the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backup {
    /// The text that is there now has nothing of ours: it is the one to keep.
    Write,
    /// It stays as it is.
    Leave,
    /// It has been put back.
    Remove,
}

impl Original {
    /// Reads `path`; a symbolic link is followed, and one that leads nowhere is an error.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigureError> {
        let failed = |cause| ConfigureError::Read { path: path.to_owned(), cause };
        let real = match fs::symlink_metadata(path) {
            Ok(_) => fs::canonicalize(path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        let text = read(&real).map_err(failed)?;
        let backup = backup_of(&real);
        let backup = read(&backup).map_err(|cause| ConfigureError::Read { path: backup, cause })?;
        Ok(Self { path: path.to_owned(), real, text, backup })
    }

    /// Its text, empty where it is not there.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The file with `after` in it; `strip` takes our parts out of a text.
    pub(super) fn install(self, after: String, strip: impl Fn(&str) -> Result<String, EditError>) -> Change {
        let has_none_of_ours = strip(self.text()).is_ok_and(|left| left == self.text());
        let backup = if has_none_of_ours { Backup::Write } else { Backup::Leave };
        Change { original: self, after: Some(after), backup }
    }

    /// The file without our parts: byte for byte as it was before we came, where nobody has changed anything else.
    ///
    /// `strip` takes our parts out of a text, `add` puts them in, and `is_blank` says whether a text is one that no file
    /// stands for just as well.
    pub(super) fn uninstall(
        self,
        strip: impl Fn(&str) -> Result<String, EditError>,
        add: impl Fn(&str) -> Result<String, EditError>,
        is_blank: impl Fn(&str) -> bool,
    ) -> Result<Change, EditError> {
        let Some(text) = &self.text else { return Ok(Change { original: self, after: None, backup: Backup::Remove }) };
        let left = strip(text)?;
        if left == *text {
            let after = Some(left);
            return Ok(Change { original: self, after, backup: Backup::Leave });
        }
        // Nothing else has changed where the backup with our parts put in and taken out again comes to the same.
        let same = |backup: &str| {
            strip(backup).is_ok_and(|own| own == backup)
                && add(backup).and_then(|with| strip(&with)).is_ok_and(|again| again == left)
        };
        if let Some(backup) = self.backup.clone().filter(|backup| same(backup)) {
            return Ok(Change { original: self, after: Some(backup), backup: Backup::Remove });
        }
        let is_link = self.real != self.path && fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink());
        let after = (is_link || !is_blank(&left)).then_some(left);
        Ok(Change { original: self, after, backup: Backup::Leave })
    }
}

impl Change {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.original.path
    }

    /// Whether there is anything to do.
    pub(super) fn is_none(&self) -> bool {
        self.original.text == self.after
    }

    /// What changes, as a unified diff.
    pub(super) fn diff(&self) -> String {
        super::diff::unified(self.path(), self.original.text.as_deref(), self.after.as_deref())
    }

    /// Writes or removes the file; where the old text is kept, if it is.
    pub(super) fn apply(&self) -> Result<Option<PathBuf>, ConfigureError> {
        let Original { path, real, text: before, .. } = &self.original;
        let failed = |cause| ConfigureError::Write { path: path.clone(), cause };
        if read(real).map_err(failed)? != *before {
            return Err(ConfigureError::Changed { path: path.clone() });
        }
        let mut kept = None;
        if let Some(before) = before.as_deref().filter(|_| self.backup == Backup::Write) {
            let place = backup_of(real);
            put(&place, before, fs::metadata(real).ok().as_ref()).map_err(failed)?;
            kept = Some(place);
        }
        match &self.after {
            Some(text) => put(real, text, fs::metadata(real).ok().as_ref()).map_err(failed)?,
            None => fs::remove_file(real).map_err(failed)?,
        }
        if self.backup == Backup::Remove {
            fs::remove_file(backup_of(real)).map_err(failed)?;
        }
        Ok(kept)
    }
}

/// Beside the file; but CRI-O reads whatever is in its directory of drop-ins, so from there one up.
fn backup_of(real: &Path) -> PathBuf {
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let beside = real.with_file_name(format!("{name}{BACKUP}"));
    match real.parent() {
        Some(directory) if directory.ends_with("crio.conf.d") => directory.with_file_name(format!("{name}{BACKUP}")),
        _ => beside,
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts `text` in the place of `path`, with the owner and mode of `like`.
fn put(path: &Path, text: &str, like: Option<&fs::Metadata>) -> io::Result<()> {
    fs::create_dir_all(path.parent().ok_or(io::ErrorKind::IsADirectory)?)?;
    let write = |file: &mut File| {
        // For nobody else until its owner is right.
        if let Some(like) = like {
            fchown(&*file, Some(like.uid()), Some(like.gid()))?;
        }
        let mode = like.map_or(MODE, |like| like.mode() & 0o7777);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    };
    replace(path, &name_of_this_process(path)?, Synced::FileAndDirectory, create_private, write)
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
