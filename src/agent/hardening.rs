//! What the agent does to itself before it touches a secret. The order and the choice are policy; the calls are in `sys`.

use caps::{CapSet, Capability, CapsHashSet};
use tracing::{info, warn};

use super::hardened::{Hardened, HardeningError};
use crate::sys::linux::process;
use crate::sys::locked::{Arena, Shape};

/// The capabilities that a step of the agent needs; all others are given up for good.
const KEPT: [Capability; 9] = [
    Capability::CAP_CHOWN,           // owners of delivered files
    Capability::CAP_DAC_OVERRIDE,    // mount points in a container's directories
    Capability::CAP_DAC_READ_SEARCH, // bundles and root file systems below other users' directories
    Capability::CAP_FOWNER,          // modes of files that were given away
    Capability::CAP_IPC_LOCK,        // memory that is never swapped
    Capability::CAP_KILL,            // whether a container's init is alive
    Capability::CAP_SYS_ADMIN,       // mounts and mount namespaces
    Capability::CAP_SYS_CHROOT,      // setns(2) to a mount namespace
    Capability::CAP_SYS_PTRACE,      // /proc/PID/ns and /proc/PID/root of containers
];

/// Hardens this process. Called once, before any other thread is there: capabilities and the umask are taken over by
/// the threads that follow.
///
/// # Errors
/// [`HardeningError`] when a protection fails that every kernel has; what depends on privileges is logged instead.
pub fn harden() -> Result<Hardened, HardeningError> {
    process::restrict_umask();
    process::forbid_core_files().map_err(HardeningError::at("forbid core files"))?;
    process::forbid_dumps().map_err(HardeningError::at("make the process non-dumpable"))?;
    process::forbid_new_privileges().map_err(HardeningError::at("forbid new privileges"))?;
    let arena = Arena::establish(Shape::AGENT).map_err(HardeningError::at("map the arena of locked memory"))?;
    if !arena.is_locked() {
        warn!(
            "values are in memory that may be swapped: raise RLIMIT_MEMLOCK (LimitMEMLOCK=) to 8 MiB or switch swap off"
        );
    }
    let all_locked = lock_memory();
    let open_files = process::raise_open_files().map_err(HardeningError::at("raise the limit of open files"))?;
    drop_capabilities();
    info!(open_files, arena_locked = arena.is_locked(), "hardened");
    Ok(Hardened { arena_locked: arena.is_locked(), all_locked })
}

/// Locks all memory, if the process may lock without limit: under a limit, later allocations would fail. Whether it did.
fn lock_memory() -> bool {
    match caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK) {
        Ok(true) => process::lock_all_memory()
            .inspect_err(|error| warn!(%error, "memory outside the arena is not locked"))
            .is_ok(),
        _ => {
            warn!("memory outside the arena is not locked: the agent has no CAP_IPC_LOCK");
            false
        }
    }
}

/// Gives up what no step needs. Failure leaves more than needed and is logged.
fn drop_capabilities() {
    let kept: CapsHashSet = KEPT.into_iter().collect();
    let narrow = |set| -> Result<(), caps::errors::CapsError> {
        let wanted: CapsHashSet = caps::read(None, set)?.intersection(&kept).copied().collect();
        caps::set(None, set, &wanted)
    };
    // The bounding set first: leaving it takes CAP_SETPCAP, which goes with the permitted set.
    let done = drop_bounding(&kept)
        .and_then(|()| caps::clear(None, CapSet::Ambient))
        .and_then(|()| caps::clear(None, CapSet::Inheritable))
        .and_then(|()| narrow(CapSet::Effective))
        .and_then(|()| narrow(CapSet::Permitted));
    if let Err(error) = done {
        warn!(%error, "some capabilities that the agent does not need are still there");
    }
}

/// Takes all but `kept` out of the bounding set, where the process may.
fn drop_bounding(kept: &CapsHashSet) -> Result<(), caps::errors::CapsError> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    for capability in caps::read(None, CapSet::Bounding)?.difference(kept) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    Ok(())
}
