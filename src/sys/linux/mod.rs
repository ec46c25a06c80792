//! Linux: system calls behind a safe API, one subject a file. No policy, no printing, no paths of our own.

pub mod clock;
pub mod entry;
pub mod fds;
pub mod file;
pub mod mount;
pub mod owner;
pub mod pages;
pub mod path;
pub mod peer;
pub mod pidfd;
pub mod privileges;
pub mod process;
pub mod reads;
pub mod startup;

use std::io;

/// Turns the -1 of a raw system call into the error that `errno` names.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
