//! Why a store could not do what it was asked, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Key;
use crate::sys::here::file::{MAKE_PRIVATE, may_be_immutable};

/// Why a store could not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// A condition of a commit did not hold; nothing changed.
    Conflict(Key),
    /// A record is longer than a store takes.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Another process has the store open.
    InUse(PathBuf),
    /// The state directory is not the agent's alone.
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Whose it is, and who may use it.
        found: String,
    },
    /// The file system refused.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// The store's file has been removed or replaced while it was open.
    Removed {
        /// Where it was.
        path: PathBuf,
    },
    /// The store's file is not what was written to it.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the words of the library that reads it.
        cause: String,
    },
    /// The store is older than the last commit that was acknowledged.
    Outdated {
        /// The file that says so.
        path: PathBuf,
        /// The last acknowledged commit.
        acknowledged: u64,
        /// The commit that the store ends with.
        found: u64,
    },
    /// The commit failed and the store could not be read afterwards: whether it happened is not known.
    Uncertain {
        /// The store's file.
        path: PathBuf,
        /// Why it could not be read.
        cause: String,
    },
    /// The caller of `list` gave up.
    Stopped,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(_) => write!(f, "the store was changed by another process meanwhile; try again"),
            Self::TooLong { len } => {
                write!(
                    f,
                    "a record of {len} bytes is longer than the {} allowed; shorten its labels",
                    super::MAX_RECORD
                )
            }
            Self::InUse(path) => write!(
                f,
                "the store in {} is in use by another process; stop the other runsecrets-agent first",
                path.display()
            ),
            Self::Exposed { path, found } => write!(
                f,
                "the state directory {} ({found}) is not this user's alone; make it so with {MAKE_PRIVATE}",
                path.display()
            ),
            Self::Io { doing, path, cause } => {
                let advice = match cause.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space and try again",
                    io::ErrorKind::ReadOnlyFilesystem => "; make its file system writable",
                    io::ErrorKind::PermissionDenied if may_be_immutable(cause) => {
                        "; if it is immutable (lsattr), make it changeable with chattr -i"
                    }
                    io::ErrorKind::PermissionDenied => "; run the agent as the user that owns it",
                    _ => "",
                };
                write!(f, "cannot {doing} {}: {cause}{advice}", path.display())
            }
            Self::Removed { path } => write!(
                f,
                "{} has been removed or replaced, and nothing more is stored; put it back if you have it, or copy it from /proc/PID/fd of the running agent, then restart that",
                path.display()
            ),
            Self::Damaged { path, cause } => {
                write!(f, "the store {} is damaged: {cause}; restore it from a backup", path.display())
            }
            Self::Outdated { path, acknowledged, found } => write!(
                f,
                "the store ends with commit {found}, but commit {acknowledged} was acknowledged: it was rolled back or damaged; restore it, or accept it as it is: echo accept > {}",
                path.display()
            ),
            Self::Uncertain { path, cause } => write!(
                f,
                "a commit to {} failed and the store cannot be read ({cause}): whether it took effect is not known; restart the agent",
                path.display()
            ),
            Self::Stopped => write!(f, "the reading of the store was stopped"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
