//! Mounts by the new mount API (Linux 5.2 and later): cloned, restricted and attached by descriptor. No path is resolved here
//! but the one component that a caller names below a directory it holds.
//!
//! Source: open_tree(2), move_mount(2), mount_setattr(2).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::fchdir;

use super::{check, opened};

const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const MOVE_MOUNT_BENEATH: libc::c_uint = 0x200;
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NOSUID: u64 = 0x2;
const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_NOEXEC: u64 = 0x8;
const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;
/// What every mount of ours carries, the writable side too.
pub(super) const INERT: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;

/// A new detached mount of what `directory`/`path` shows, without what is mounted below it.
///
/// # Errors
/// `EINVAL` where the kernel (before 6.15) does not clone a detached mount; the errors of path lookup.
pub fn clone_tree(directory: impl AsFd, path: &CStr) -> io::Result<OwnedFd> {
    open_tree(directory.as_fd(), path, OPEN_TREE_CLONE)
}

/// A new detached copy of the mount at `at` and of all that is mounted below it.
///
/// # Errors
/// As [`clone_tree`].
pub fn clone_tree_recursive(at: impl AsFd) -> io::Result<OwnedFd> {
    open_tree(at.as_fd(), c"", OPEN_TREE_CLONE | libc::AT_RECURSIVE as libc::c_uint)
}

fn open_tree(directory: BorrowedFd<'_>, path: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    let flags = flags | OPEN_TREE_CLOEXEC | (libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) as libc::c_uint;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    opened(unsafe { libc::syscall(libc::SYS_open_tree, directory.as_raw_fd(), path.as_ptr(), flags) })
}

/// Makes `mount` (a detached clone) read-only, inert and private: what a container gets.
///
/// # Errors
/// The kernel refuses; nothing is changed then.
pub fn restrict(mount: impl AsFd) -> io::Result<()> {
    set_attributes(
        mount.as_fd(),
        &libc::mount_attr {
            attr_set: MOUNT_ATTR_RDONLY | INERT,
            attr_clr: 0,
            propagation: libc::MS_PRIVATE,
            userns_fd: 0,
        },
    )
}

/// Takes the read-only flag from `mount` (a detached clone of ours): what the agent needs to write through it.
///
/// # Errors
/// The kernel refuses; nothing is changed then.
pub fn make_writable(mount: impl AsFd) -> io::Result<()> {
    set_attributes(
        mount.as_fd(),
        &libc::mount_attr { attr_set: INERT, attr_clr: MOUNT_ATTR_RDONLY, propagation: libc::MS_PRIVATE, userns_fd: 0 },
    )
}

/// Whether the kernel has mount_setattr(2) (5.12) and knows `nosymfollow` (5.10) there; changes nothing, because the
/// mount that is named is none.
///
/// # Errors
/// `EPERM` where the caller may not mount: then the kernel does not say.
pub fn knows_nosymfollow() -> io::Result<bool> {
    let attributes = libc::mount_attr { attr_set: MOUNT_ATTR_NOSYMFOLLOW, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the empty path is NUL-terminated, and `attributes` outlives the call and has the size that is given.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            -1,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    });
    known_by(result)
}

/// Whether the kernel mounts beneath a mount (6.5); changes nothing, because what is named is nothing.
///
/// # Errors
/// `EPERM` where the caller may not mount: then the kernel does not say.
pub fn knows_beneath() -> io::Result<bool> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | MOVE_MOUNT_BENEATH;
    // SAFETY: both paths are the empty string, NUL-terminated; the rest are integers.
    let result = check(unsafe { libc::syscall(libc::SYS_move_mount, -1, c"".as_ptr(), -1, c"".as_ptr(), flags) });
    known_by(result)
}

/// What a call says of its flags, which the kernel judges before the descriptor -1.
fn known_by(result: io::Result<libc::c_long>) -> io::Result<bool> {
    match result.map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EPERM)) => Err(io::Error::from_raw_os_error(libc::EPERM)),
        Err(Some(libc::EBADF)) => Ok(true),
        _ => Ok(false),
    }
}

fn set_attributes(mount: BorrowedFd<'_>, attributes: &libc::mount_attr) -> io::Result<()> {
    // SAFETY: the empty path is NUL-terminated, and `attributes` outlives the call and has the size that is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Attaches the detached `mount` on what `at` is, a directory on a directory or a file on a file.
///
/// # Errors
/// `at` is not in the caller's mount namespace, the kinds differ, or the caller may not mount there.
pub fn attach(mount: impl AsFd, at: impl AsFd) -> io::Result<()> {
    move_mount(mount.as_fd(), at.as_fd(), 0)
}

fn move_mount(mount: BorrowedFd<'_>, at: BorrowedFd<'_>, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: both paths are the empty string, NUL-terminated; the rest are integers.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | flags,
        )
    })
    .map(drop)
}

/// Attaches the detached `mount` beneath the mount whose root `at` is: it shows when that one is taken away.
///
/// # Errors
/// `EINVAL` before Linux 6.5 and where `at` is no mount's root; otherwise as [`attach`].
pub fn attach_beneath(mount: impl AsFd, at: impl AsFd) -> io::Result<()> {
    move_mount(mount.as_fd(), at.as_fd(), MOVE_MOUNT_BENEATH)
}

/// Takes away the mount on top of `parent`/`name`; it lives on for whoever holds it open. Changes the caller's working
/// directory to `parent`.
///
/// # Errors
/// Nothing is mounted there, or the caller may not unmount.
pub fn detach(parent: impl AsFd, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    fchdir(parent.as_fd())?;
    umount2(name.as_c_str(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    Ok(())
}

/// Makes every mount of the caller's mount namespace private, so that nothing done here reaches another one.
///
/// # Errors
/// The caller may not mount.
pub fn make_private() -> io::Result<()> {
    let none: Option<&CStr> = None;
    mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(())
}
