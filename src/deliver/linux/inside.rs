//! Work in a running container's mount namespace: on a thread of its own, because entering cannot be undone and ends with
//! the thread.

use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};

use crate::sys::linux::path::Dir;
use crate::sys::linux::pidfd::Process;

/// Does `work` in the mount namespace of `process`, with that namespace's root.
///
/// # Errors
/// The namespace cannot be entered: the process is gone, or the caller lacks CAP_SYS_ADMIN or CAP_SYS_CHROOT.
pub(super) fn inside<T: Send>(process: &Process, work: impl FnOnce(&Dir) -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Root, working directory and umask of this thread alone from here on.
            unshare(CloneFlags::CLONE_FS)?;
            umask(Mode::S_IWGRP | Mode::S_IWOTH);
            process.enter_mount_namespace()?;
            Ok(work(&Dir::root(Path::new("/"))?))
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the container's mount namespace failed")))
    })
}
