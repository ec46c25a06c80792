//! The first steps of a program that others start: drop what it inherited before anything is parsed.
//!
//! Source: CVE-2024-21626 (inherited descriptors), CVE-2025-23266 (inherited LD_PRELOAD).

use std::io;

use nix::sys::stat::{Mode, umask};

use super::check;

/// The first descriptor that is not standard input, output or error.
const FIRST_INHERITED: libc::c_uint = 3;

/// Clears the environment, closes every descriptor above standard error, and sets the umask to 077. To be called once,
/// first thing in `main`, before any thread or descriptor of our own.
///
/// # Errors
/// Those of close_range(2).
pub fn shed_inheritance() -> io::Result<()> {
    // SAFETY: no other thread exists yet that could read the environment.
    if unsafe { libc::clearenv() } != 0 {
        return Err(io::Error::from(io::ErrorKind::OutOfMemory));
    }
    umask(Mode::from_bits_truncate(0o077));
    // SAFETY: nothing of this program is open yet above standard error.
    check(unsafe { libc::syscall(libc::SYS_close_range, FIRST_INHERITED, libc::c_uint::MAX, 0) }).map(drop)
}
