//! Pages for the arena of secrets: mapped once, never given back.

use std::io;
use std::ptr::NonNull;

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RESERVE, PAGE_READWRITE, SETPROCESSWORKINGSETSIZEEX_FLAGS, SetProcessWorkingSetSizeEx,
    VirtualAlloc, VirtualLock,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::process;

/// What the working set may have beside the pages that are locked: the least that Windows gives a process, and room to run.
const BESIDE: usize = 4 * 1024 * 1024;
/// How much larger than its minimum the working set may become.
const ABOVE: usize = 64 * 1024 * 1024;

/// Maps `size` zero-filled bytes, leaves them out of error reports where Windows can, and locks them; whether that could be
/// done. They stay as long as the process.
///
/// Source: VirtualLock ("the maximum number of pages that a process can lock is equal to the number of pages in its minimum
/// working set minus a small overhead").
///
/// # Errors
/// The mapping could not be made.
pub fn map(size: usize) -> io::Result<(NonNull<u8>, bool)> {
    // SAFETY: a new mapping at an address of the system's choice touches no memory of ours.
    let base = unsafe { VirtualAlloc(std::ptr::null(), size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
    let base = NonNull::new(base).ok_or_else(io::Error::last_os_error)?;
    let no_flags: SETPROCESSWORKINGSETSIZEEX_FLAGS = 0;
    // SAFETY: the pseudo handle of this process needs no closing; sizes are plain numbers.
    let room = unsafe { SetProcessWorkingSetSizeEx(GetCurrentProcess(), size + BESIDE, size + ABOVE, no_flags) } != 0;
    // SAFETY: the range is the mapping just made; locking changes no contents.
    let locked = room && unsafe { VirtualLock(base.as_ptr(), size) } != 0;
    process::leave_out_of_reports(base.as_ptr(), size);
    Ok((base.cast(), locked))
}
