//! What the agent does to itself before it touches a secret. The order and the choice are policy; the calls are in `sys`.

use tracing::{info, warn};

use super::hardened::{Hardened, HardeningError};

use crate::sys::locked::{Arena, Shape};
use crate::sys::windows::process;

/// Hardens this process.
///
/// # Errors
/// [`HardeningError`].
pub fn harden() -> Result<Hardened, HardeningError> {
    process::forbid_core_files().map_err(HardeningError::at("turn error dialogues off"))?;
    process::forbid_dumps().map_err(HardeningError::at("keep the heap out of error reports"))?;
    let arena = Arena::establish(Shape::AGENT).map_err(HardeningError::at("map the arena of locked memory"))?;
    if !arena.is_locked() {
        warn!("values are in memory that may be paged out: the working set could not be made large enough");
    }
    info!(arena_locked = arena.is_locked(), "hardened");
    Ok(Hardened { arena_locked: arena.is_locked(), all_locked: false })
}
