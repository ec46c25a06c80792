//! Directories and files that only their owner may change: made narrow, opened without following links, checked on the
//! open descriptor, and refused when they are wider than they should be. It never widens or repairs what it finds.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fault::PathFault;
use crate::sys::linux::process::effective_uid;

/// What is not as it must be, and where.
#[derive(Debug)]
pub enum ProtectionError {
    /// The system refused an operation.
    System(PathFault),
    /// A symbolic link, or not the kind of file that belongs there.
    Kind {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The wrong user owns it.
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose it may be.
        expected: u32,
    },
    /// Others may read or write it.
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The widest mode it may have.
        widest: u32,
    },
    /// A directory on the way can be changed by someone who is neither root nor us.
    Ancestor {
        /// The directory that was wanted.
        path: PathBuf,
        /// The one on the way.
        ancestor: PathBuf,
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
                write!(f, "{} is not {expected}, or it is a symbolic link: remove it or choose another", path.display())
            }
            Self::Owner { path, uid, expected } => write!(
                f,
                "{} belongs to user {uid}, not to {expected}: find out why, then chown it or choose another",
                path.display()
            ),
            Self::Mode { path, mode, widest } => write!(
                f,
                "{} has mode {mode:04o}, which is wider than {widest:04o}: others may have read or changed it; \
                 find out, then chmod {widest:04o} it",
                path.display()
            ),
            Self::Ancestor { path, ancestor } => write!(
                f,
                "{} is not safe: others can change {} on the way to it; choose another place",
                path.display(),
                ancestor.display()
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

/// Makes the directory `path` with `mode`, or checks that the one there is ours and not wider, and opens it.
///
/// # Errors
/// See [`ProtectionError`]; its parent must be there.
pub fn directory(path: &Path, mode: u32) -> Result<File, ProtectionError> {
    check_ancestors(path)?;
    let made = match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(cause) => return Err(PathFault::on("make the directory", path)(cause).into()),
    };
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path);
    let directory = opened.map_err(|cause| match cause.raw_os_error() {
        Some(libc::ELOOP | libc::ENOTDIR) => ProtectionError::Kind { path: path.to_owned(), expected: "a directory" },
        _ => PathFault::on("open the directory", path)(cause).into(),
    })?;
    if made {
        // The umask took away what others may have; this is the one place that gives it.
        directory.set_permissions(Permissions::from_mode(mode)).map_err(PathFault::on("set the mode of", path))?;
    }
    check(&directory, path, mode)?;
    Ok(directory)
}

/// Opens the file `path` to read if it is a regular file of ours with one name that nobody else may read or write;
/// `None` when it is not there.
///
/// # Errors
/// See [`ProtectionError`].
pub fn file(path: &Path) -> Result<Option<File>, ProtectionError> {
    check_ancestors(path)?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(ProtectionError::Kind { path: path.to_owned(), expected: "a regular file" });
        }
        Err(cause) => return Err(PathFault::on("open", path)(cause).into()),
    };
    let metadata = file.metadata().map_err(PathFault::on("look at", path))?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(ProtectionError::Kind { path: path.to_owned(), expected: "a regular file with one name" });
    }
    check(&file, path, 0o600)?;
    Ok(Some(file))
}

/// Refuses a configuration that someone other than root or us could have written.
///
/// # Errors
/// See [`ProtectionError`].
pub fn check_writers(path: &Path) -> Result<(), ProtectionError> {
    let metadata = std::fs::metadata(path).map_err(PathFault::on("look at", path))?;
    if metadata.uid() != 0 && metadata.uid() != effective_uid() {
        return Err(ProtectionError::Owner { path: path.to_owned(), uid: metadata.uid(), expected: effective_uid() });
    }
    match metadata.mode() & 0o7777 {
        mode if mode & 0o022 != 0 => Err(ProtectionError::Mode { path: path.to_owned(), mode, widest: 0o644 }),
        _ => Ok(()),
    }
}

/// Owner and mode of an open file or directory.
fn check(file: &File, path: &Path, widest: u32) -> Result<(), ProtectionError> {
    let metadata = file.metadata().map_err(PathFault::on("look at", path))?;
    let (uid, expected) = (metadata.uid(), effective_uid());
    if uid != expected {
        return Err(ProtectionError::Owner { path: path.to_owned(), uid, expected });
    }
    match metadata.mode() & 0o7777 {
        mode if mode & !widest != 0 => Err(ProtectionError::Mode { path: path.to_owned(), mode, widest }),
        _ => Ok(()),
    }
}

/// Every directory on the way belongs to root or us, and others cannot rename what is in it.
fn check_ancestors(path: &Path) -> Result<(), ProtectionError> {
    for ancestor in path.ancestors().skip(1) {
        let metadata = std::fs::metadata(ancestor).map_err(PathFault::on("look at", ancestor))?;
        let ours = metadata.uid() == 0 || metadata.uid() == effective_uid();
        let foreign_group = metadata.mode() & 0o020 != 0 && metadata.gid() != 0;
        let open_to_others = (foreign_group || metadata.mode() & 0o002 != 0) && metadata.mode() & libc::S_ISVTX == 0;
        if !ours || open_to_others {
            return Err(ProtectionError::Ancestor { path: path.to_owned(), ancestor: ancestor.to_owned() });
        }
    }
    Ok(())
}
