//! Who reads on a file system of ours, whichever mount it is read through: told by the kernel when a file that was open for
//! reading is closed by the last who had it. It counts what could be read, not what was: with mmap(2) no read is seen.
//!
//! Source: fanotify(7), FAN_CLOSE_NOWRITE and FAN_MARK_FILESYSTEM (Linux 4.20; CAP_SYS_ADMIN).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use nix::sys::stat::fstat;

use super::path::Dir;

/// The file systems that are watched.
#[derive(Debug)]
pub struct Reads(Fanotify);

impl Reads {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The kernel has no fanotify, or the caller lacks CAP_SYS_ADMIN.
    pub fn new() -> io::Result<Self> {
        // Without a limit of the queue nothing is lost, so that nobody can hide one reading behind many; the kernel makes one
        // event of all that a process does with a file until it is taken.
        let flags = InitFlags::FAN_CLASS_NOTIF
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS;
        let opened = EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC;
        Ok(Self(Fanotify::init(flags, opened)?))
    }

    /// Watches the file system of `place`, as long as there is one.
    ///
    /// # Errors
    /// Those of fanotify_mark(2).
    pub fn watch(&self, place: &Dir) -> io::Result<()> {
        self.mark(MarkFlags::FAN_MARK_ADD, place)
    }

    /// Watches it no longer; that it was not watched is no error.
    ///
    /// # Errors
    /// Those of fanotify_mark(2).
    pub fn forget(&self, place: &Dir) -> io::Result<()> {
        match self.mark(MarkFlags::FAN_MARK_REMOVE, place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn mark(&self, what: MarkFlags, place: &Dir) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
        let flags = what | MarkFlags::FAN_MARK_FILESYSTEM;
        Ok(self.0.mark(flags, MaskFlags::FAN_CLOSE_NOWRITE, nix::fcntl::AT_FDCWD, Some(path.as_str()))?)
    }

    /// The files that have been read since the last call, by device and number; does not wait.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn take(&self) -> io::Result<BTreeSet<(u64, u64)>> {
        let mut files = BTreeSet::new();
        loop {
            let events = match self.0.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN) => return Ok(files),
                Err(Errno::EINTR) => continue,
                // What is known by now is not lost by it; the next call may say the same.
                Err(_) if !files.is_empty() => return Ok(files),
                Err(error) => return Err(error.into()),
            };
            for event in &events {
                let Some(fd) = event.fd() else { continue };
                // Takes no other descriptor: there may be none left.
                let status = fstat(fd)?;
                files.insert((status.st_dev, status.st_ino));
            }
        }
    }
}

impl AsFd for Reads {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
