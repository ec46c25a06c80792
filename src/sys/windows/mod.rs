//! Windows: Win32 calls behind a safe API, one subject a file. No policy, no printing, no paths of our own.
//!
//! A function that Wine 8 or an older Windows lacks is looked up when it is needed, never linked.

pub mod acl;
#[cfg(feature = "agent")]
pub mod bitlocker;
#[cfg(feature = "agent")]
pub mod boot;
pub mod clock;
pub mod dpapi;
#[cfg(feature = "agent")]
pub mod event_log;
pub mod file;
#[cfg(feature = "agent")]
pub mod lifetime;
#[cfg(feature = "agent")]
pub mod links;
pub mod pages;
pub mod peer;
#[cfg(feature = "agent")]
pub mod pipe;
pub mod pipe_client;
pub mod process;
#[cfg(feature = "agent")]
pub mod service;
pub mod token;
#[cfg(feature = "agent")]
pub mod volume;

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;

use windows_sys::Win32::Foundation::{HLOCAL, LocalFree};
use windows_sys::core::BOOL;

/// Turns the FALSE of a Win32 call into the error that the thread has noted.
fn check(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `text` with a NUL behind it.
fn wide(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut units: Vec<u16> = text.encode_wide().collect();
    if units.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a NUL inside a name"));
    }
    units.push(0);
    Ok(units)
}

/// Memory that a Win32 call has allocated for us with LocalAlloc.
struct Local(HLOCAL);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the handle came from a call that leaves freeing to us, and is freed once; null is passed over.
        unsafe { LocalFree(self.0) };
    }
}

/// The text of `units` up to its NUL.
///
/// # Safety
/// `units` points to a NUL-terminated string that stays while it is read.
unsafe fn text_at(units: *const u16) -> String {
    // SAFETY: the caller promises a NUL, so every unit up to it can be read.
    let length = (0..).take_while(|at| unsafe { *units.add(*at) } != 0).count();
    // SAFETY: those `length` units have just been read.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(units, length) })
}
