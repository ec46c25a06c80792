//! What can go wrong when something is sealed or opened, and what to do about it.

use std::fmt;

use super::record::Kind;
use crate::secret::SecretError;

/// In what way a record is not the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its bytes changed, or it is another record's bytes.
    Altered,
    /// It is a record that was valid once.
    RolledBack,
    /// It is gone.
    Missing,
    /// It is there and was never written.
    Unexpected,
    /// It was written by a newer version of this program.
    Format(u8),
}

/// Why something could not be sealed or opened.
#[derive(Debug)]
pub enum SealError {
    /// The store was sealed with another root key.
    WrongRootKey,
    /// The unlock key is another one, or the wrapped root key is damaged.
    WrongUnlockKey,
    /// A record is not what was written.
    Damaged {
        /// What it holds.
        kind: Kind,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The value of a secret that the container's service does not grant was asked for.
    NotGranted,
    /// The kernel's random generator failed.
    Random(getrandom::Error),
    /// No locked memory for a key or a value.
    Memory(SecretError),
    /// A description could not be written as JSON, or is longer than the cipher takes.
    Encoding,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongRootKey => write!(
                f,
                "the root key does not open this store: it was sealed with another one; configure the key that belongs to it"
            ),
            Self::WrongUnlockKey => f.write_str("the agent could not be unlocked: invalid key provided"),
            Self::Damaged { kind, fault: Fault::Format(found) } => {
                write!(f, "{kind} has format {found}, which this version does not know; upgrade runsecrets")
            }
            Self::Damaged { kind, fault } => {
                let what = match fault {
                    Fault::Altered => "was altered, or replaced by another record",
                    Fault::RolledBack => "was rolled back to an older version",
                    Fault::Missing => "is missing",
                    Fault::Unexpected | Fault::Format(_) => "was added and never written by this store",
                };
                write!(f, "the store is damaged: {kind} {what}; stop the agent and restore the store from a backup")
            }
            Self::NotGranted => {
                write!(
                    f,
                    "the service does not grant this secret; add it with `runsecrets service update --secret-add`"
                )
            }
            Self::Random(cause) => write!(f, "the kernel's random generator failed: {cause}; try again"),
            Self::Memory(cause) => write!(f, "{cause}"),
            Self::Encoding => write!(f, "a record could not be encoded; shorten its labels"),
        }
    }
}

impl std::error::Error for SealError {}

impl From<SecretError> for SealError {
    fn from(cause: SecretError) -> Self {
        Self::Memory(cause)
    }
}
