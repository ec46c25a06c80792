//! What the agent has done to itself before it touched a secret, and why it does not run: the same on every platform.

use std::fmt;
use std::io;

use serde::Serialize;

/// A protection that every kernel has could not be had.
#[derive(Debug)]
pub struct HardeningError {
    step: &'static str,
    cause: io::Error,
}

impl HardeningError {
    /// What makes one of the error of `step`.
    pub fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { step, cause }
    }
}

impl fmt::Display for HardeningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}; the agent does not run without it", self.step, self.cause)
    }
}

impl std::error::Error for HardeningError {}

/// What the process's privileges were enough for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Hardened {
    /// Values are in memory that is never swapped.
    pub arena_locked: bool,
    /// So is all other memory: what a request brought, what a store's page held. Windows cannot do that.
    pub all_locked: bool,
}
