//! Pages for the arena of secrets: mapped once, never given back.

use std::io;
use std::ptr::NonNull;

/// Maps `size` zero-filled bytes, left out of core dumps and wiped in a forked child, and locks them; whether that could be
/// done (RLIMIT_MEMLOCK may forbid it). They stay as long as the process.
///
/// Source: mlock(2), madvise(2) MADV_DONTDUMP, MADV_WIPEONFORK.
///
/// # Errors
/// The mapping could not be made.
pub fn map(size: usize) -> io::Result<(NonNull<u8>, bool)> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no memory of ours.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the range is the mapping just made; mlock changes no contents.
    let locked = unsafe { libc::mlock(base, size) } == 0;
    for advice in [libc::MADV_DONTDUMP, libc::MADV_WIPEONFORK] {
        // SAFETY: the range is the mapping just made, private and anonymous, as both advices ask.
        if unsafe { libc::madvise(base, size, advice) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let base = NonNull::new(base.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
    Ok((base, locked))
}
