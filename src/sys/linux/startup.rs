//! The first steps of a program that others start: drop what it inherited before anything is parsed.
//!
//! Source: CVE-2024-21626 (inherited descriptors), CVE-2025-23266 (inherited LD_PRELOAD).

use std::io;

use nix::sys::stat::{Mode, umask};

use super::check;

/// The first descriptor that is not standard input, output or error.
const FIRST_INHERITED: libc::c_int = 3;

/// Clears the environment, makes sure that descriptors 0 to 2 are open and closes all above, ignores SIGPIPE, sets the
/// umask to 022. To be called once, first thing in `main`, before any thread or descriptor of our own.
///
/// # Errors
/// Those of open(2) and close_range(2).
pub fn shed_inheritance() -> io::Result<()> {
    // SAFETY: no other thread exists yet that could read the environment.
    if unsafe { libc::clearenv() } != 0 {
        return Err(io::Error::from(io::ErrorKind::OutOfMemory));
    }
    umask(Mode::from_bits_truncate(0o022));
    // SAFETY: SIG_IGN runs no code of ours.
    if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    open_standard_streams()?;
    // SAFETY: nothing of this program is open yet above standard error.
    check(unsafe { libc::syscall(libc::SYS_close_range, FIRST_INHERITED, libc::c_uint::MAX, 0) }).map(drop)
}

/// A file opened later must never get the number of a standard stream, or a message would be written into it.
fn open_standard_streams() -> io::Result<()> {
    for descriptor in 0..FIRST_INHERITED {
        // SAFETY: F_GETFD reads a flag of whatever the number stands for, if anything.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            // SAFETY: the path is NUL-terminated. The lowest free number is `descriptor`, which then stays open.
            check(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) }.into())?;
        }
    }
    Ok(())
}
