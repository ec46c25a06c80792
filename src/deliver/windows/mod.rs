//! Windows: files in a directory of the container's, and symbolic links to them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How well the values are kept from a disk that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// BitLocker protects the volume.
    Bitlocker,
    /// It does not.
    Unprotected,
    /// Nobody can say.
    Unknown,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bitlocker => "bitlocker",
            Self::Unprotected => "unprotected",
            Self::Unknown => "unknown",
        })
    }
}
