//! An operation on a path that the system refused: what was to be done, on what, and what the system said.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the system refused.
#[derive(Debug)]
pub struct PathFault {
    /// What was to be done, in the infinitive.
    doing: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl PathFault {
    /// Adds what was being done to an error of the system.
    pub fn on(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { doing, path: path.to_owned(), cause }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.path.display(), self.cause)
    }
}

impl std::error::Error for PathFault {}
