//! Directories and files that only SYSTEM and administrators may touch: made so, opened without following links, their access
//! lists read back, and refused when they are wider. It never widens or repairs what it finds.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::agent::fault::PathFault;
use crate::sys::windows::file::{
    MAKE_PRIVATE, exposure, exposure_of_file, exposure_of_open, hold, is_link, link_count, make_private_dir,
};

/// What is not as it must be, and where.
#[derive(Debug)]
pub enum ProtectionError {
    /// The system refused an operation.
    System(PathFault),
    /// A link, or not the kind of file that belongs there.
    Kind {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// Others may read or write it.
    Wider {
        /// The file or directory.
        path: PathBuf,
        /// Who, and its access list.
        found: String,
    },
    /// Another process holds the lock.
    Taken {
        /// The directory that it guards.
        path: PathBuf,
    },
}

impl fmt::Display for ProtectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(fault) => fault.fmt(f),
            Self::Kind { path, expected } => {
                write!(f, "{} is not {expected}, or it is a link: remove it or choose another", path.display())
            }
            Self::Wider { path, found } => write!(
                f,
                "{} is not SYSTEM's and the administrators' alone ({found}): others may have read or changed it; \
                 find out, then: {MAKE_PRIVATE}",
                path.display()
            ),
            Self::Taken { path } => {
                write!(f, "another agent uses {}: stop it first, or choose another directory", path.display())
            }
        }
    }
}

impl std::error::Error for ProtectionError {}

impl From<PathFault> for ProtectionError {
    fn from(fault: PathFault) -> Self {
        Self::System(fault)
    }
}

/// Makes the private directory `path`, or checks that the one there is one and is not wider.
///
/// # Errors
/// See [`ProtectionError`].
pub fn directory(path: &Path) -> Result<(), ProtectionError> {
    match make_private_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(PathFault::on("make the directory", path))?,
    }
    let found = std::fs::symlink_metadata(path).map_err(PathFault::on("look at", path))?;
    if !found.is_dir() || is_link(&found) {
        return Err(ProtectionError::Kind { path: path.to_owned(), expected: "a directory" });
    }
    private(path, exposure)
}

/// Opens the file `path` to read if it is a regular file with one name that nobody else may read or write; `None` when it is
/// not there.
///
/// # Errors
/// See [`ProtectionError`].
pub fn file(path: &Path) -> Result<Option<File>, ProtectionError> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(PathFault::on("look at", path)(cause).into()),
    };
    let expected = "a regular file with one name";
    if !found.is_file() || is_link(&found) {
        return Err(ProtectionError::Kind { path: path.to_owned(), expected });
    }
    private(path, exposure_of_file)?;
    let file = File::open(path).map_err(PathFault::on("open", path))?;
    match link_count(&file).map_err(PathFault::on("look at", path))? {
        1 => Ok(Some(file)),
        _ => Err(ProtectionError::Kind { path: path.to_owned(), expected }),
    }
}

/// Holds the configuration `path` as it is until the file that is returned is closed, and refuses one that someone else than
/// SYSTEM or an administrator could have written; `None` when it is not there.
///
/// # Errors
/// See [`ProtectionError`].
pub fn configuration(path: &Path) -> Result<Option<File>, ProtectionError> {
    let Some(file) = hold(path).map_err(PathFault::on("open", path))? else { return Ok(None) };
    let found = file.metadata().map_err(PathFault::on("look at", path))?;
    if !found.is_file() || is_link(&found) {
        return Err(ProtectionError::Kind { path: path.to_owned(), expected: "a regular file" });
    }
    match exposure_of_open(&file).map_err(PathFault::on("read the access list of", path))? {
        None => Ok(Some(file)),
        Some(found) => Err(ProtectionError::Wider { path: path.to_owned(), found }),
    }
}

fn private(path: &Path, judge: fn(&Path) -> io::Result<Option<String>>) -> Result<(), ProtectionError> {
    match judge(path).map_err(PathFault::on("read the access list of", path))? {
        None => Ok(()),
        Some(found) => Err(ProtectionError::Wider { path: path.to_owned(), found }),
    }
}
