//! What the agent does to itself before it touches a secret. The order and the choice are policy; the calls are in `sys`.

use std::fmt;
use std::io;

use serde::Serialize;
use tracing::{info, warn};

use crate::sys::locked::{Arena, Shape};
use crate::sys::windows::process;

/// A protection that every Windows has could not be had.
#[derive(Debug)]
pub struct HardeningError {
    step: &'static str,
    cause: io::Error,
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
    /// Values are in memory that is never paged out.
    pub arena_locked: bool,
    /// So is all other memory: Windows has no way to say that.
    pub all_locked: bool,
}

/// Hardens this process.
///
/// # Errors
/// [`HardeningError`].
pub fn harden() -> Result<Hardened, HardeningError> {
    let step = |step| move |cause| HardeningError { step, cause };
    process::forbid_core_files().map_err(step("turn error dialogues off"))?;
    process::forbid_dumps().map_err(step("keep the heap out of error reports"))?;
    let arena = Arena::establish(Shape::AGENT).map_err(step("map the arena of locked memory"))?;
    if !arena.is_locked() {
        warn!("values are in memory that may be paged out: the working set could not be made large enough");
    }
    info!(arena_locked = arena.is_locked(), "hardened");
    Ok(Hardened { arena_locked: arena.is_locked(), all_locked: false })
}
