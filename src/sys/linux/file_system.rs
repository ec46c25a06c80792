//! File systems by the new mount API (Linux 5.2 and later): made detached, and given more room later.
//!
//! Source: fsopen(2), fsconfig(2), fsmount(2), fspick(2).

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::unistd::read;

use super::mount::INERT;
use super::{check, opened};

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSPICK_CLOEXEC: libc::c_uint = 1;
const FSPICK_EMPTY_PATH: libc::c_uint = 8;
const FSCONFIG_CMD_RECONFIGURE: libc::c_uint = 7;
/// Bytes of the kernel's explanation that are kept.
const KERNEL_WORDS: usize = 256;

/// A step of making a file system failed; carries the kernel's own explanation where it gave one.
#[derive(Debug)]
pub struct MountError {
    step: &'static str,
    cause: io::Error,
    explanation: String,
}

impl MountError {
    /// The error number.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }

    /// The error number, as the kernel gave it.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.cause)?;
        if self.explanation.is_empty() { Ok(()) } else { write!(f, " ({})", self.explanation) }
    }
}

impl std::error::Error for MountError {}

/// A file system in the making.
#[derive(Debug)]
pub struct FsContext(OwnedFd);

impl FsContext {
    /// Opens a context for the file system type `kind`.
    ///
    /// # Errors
    /// The kernel does not know the type, or the caller may not mount.
    pub fn open(kind: &CStr) -> Result<Self, MountError> {
        // SAFETY: `kind` is a NUL-terminated string that outlives the call.
        let fd = opened(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) });
        fd.map(Self).map_err(|cause| MountError { step: "fsopen", cause, explanation: String::new() })
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// The file system has no such key, or does not take the value.
    pub fn set(&self, key: &CStr, value: &CStr) -> Result<(), MountError> {
        self.config("fsconfig", FSCONFIG_SET_STRING, Some(key), Some(value))
    }

    /// Sets the flag `key`.
    ///
    /// # Errors
    /// The file system has no such flag, or refuses it here (`noswap` in a user namespace).
    pub fn flag(&self, key: &CStr) -> Result<(), MountError> {
        self.config("fsconfig", FSCONFIG_SET_FLAG, Some(key), None)
    }

    /// Makes the file system and its first mount, detached: no path leads to it.
    ///
    /// # Errors
    /// The kernel could not make it.
    pub fn mount(self) -> Result<OwnedFd, MountError> {
        self.config("fsconfig create", FSCONFIG_CMD_CREATE, None, None)?;
        // SAFETY: plain integers; the context is open and was created above.
        let mount = opened(unsafe {
            libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, INERT as libc::c_uint)
        });
        mount.map_err(|cause| self.explain("fsmount", cause))
    }

    fn config(
        &self,
        step: &'static str,
        command: libc::c_uint,
        key: Option<&CStr>,
        value: Option<&CStr>,
    ) -> Result<(), MountError> {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: each pointer is null where the command takes none, or a NUL-terminated string that outlives the call.
        let result = check(unsafe {
            libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, pointer(key), pointer(value), 0)
        });
        result.map(drop).map_err(|cause| self.explain(step, cause))
    }

    fn explain(&self, step: &'static str, cause: io::Error) -> MountError {
        let mut words = [0u8; KERNEL_WORDS];
        let explanation = match read(&self.0, &mut words) {
            Ok(length) => String::from_utf8_lossy(&words[..length]).trim().escape_default().to_string(),
            Err(_) => String::new(),
        };
        MountError { step, cause, explanation }
    }
}

/// Gives the tmpfs whose mount `root` is room for `bytes` and `inodes`; nothing else of it changes.
///
/// # Errors
/// It is no tmpfs, holds more than that, or the caller may not change it.
pub fn grow(root: impl AsFd, bytes: u64, inodes: u64) -> Result<(), MountError> {
    // SAFETY: the empty path is NUL-terminated; the rest are integers.
    let picked = opened(unsafe {
        libc::syscall(libc::SYS_fspick, root.as_fd().as_raw_fd(), c"".as_ptr(), FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)
    });
    let failed = |cause| MountError { step: "fspick", cause, explanation: String::new() };
    let context = FsContext(picked.map_err(failed)?);
    let number = |number: u64| CString::new(number.to_string()).unwrap_or_default();
    context.set(c"size", &number(bytes))?;
    context.set(c"nr_inodes", &number(inodes))?;
    context.config("fsconfig reconfigure", FSCONFIG_CMD_RECONFIGURE, None, None)
}
