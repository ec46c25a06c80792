//! Linux: system calls behind a safe API, one subject a file. No policy, no printing, no paths of our own.

pub mod clock;
pub mod fds;
pub mod file;
pub mod file_system;
pub mod mount;
pub mod owner;
pub mod pages;
pub mod path;
pub mod peer;
pub mod pidfd;
pub mod place;
pub mod privileges;
pub mod process;
pub mod reads;
pub mod startup;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Turns the -1 of a raw system call into the error that `errno` names.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same of a system call that opens a descriptor, which is what comes of it.
fn opened(result: libc::c_long) -> io::Result<OwnedFd> {
    // A descriptor always fits an int: the system calls return one.
    let fd = check(result)? as libc::c_int;
    // SAFETY: the kernel has just opened this descriptor for us, and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
