//! What there is to know of a place that is held open: what it is, whose, and of which file system. The place is asked, never
//! a path again.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use nix::fcntl::readlink;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::fstatfs;

use super::check;
use super::path::Dir;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Anything else: a link, a device, a socket, a pipe.
    Other,
}

/// How full a file system is; zeroes where it has no bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub total: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Inodes.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// Kernel file systems on whose files nothing may be mounted, by `f_type`.
const KERNEL_FILE_SYSTEMS: [(i64, &str); 7] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0xcafe_4a11, "bpf"),
    (0x6462_6720, "debugfs"),
    (0x7363_6673, "securityfs"),
];

impl Dir {
    /// How many names the file has that this place is.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn names_of_it(&self) -> io::Result<u64> {
        Ok(fstat(self)?.st_nlink)
    }

    /// The owner and group of this place.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn owner(&self) -> io::Result<(u32, u32)> {
        let status = fstat(self)?;
        Ok((status.st_uid, status.st_gid))
    }

    /// How full the file system is that this place is on.
    ///
    /// # Errors
    /// Those of fstatfs(2).
    pub fn space(&self) -> io::Result<Space> {
        let status = fstatfs(self)?;
        let unit = u64::try_from(status.block_size()).unwrap_or(0);
        Ok(Space {
            total: status.blocks().saturating_mul(unit),
            free: status.blocks_free().saturating_mul(unit),
            inodes: status.files(),
            free_inodes: status.files_free(),
        })
    }

    /// What this place is, and how many bytes it has.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn kind(&self) -> io::Result<(Kind, u64)> {
        let status = fstat(self)?;
        let kind = match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFREG => Kind::File,
            _ => Kind::Other,
        };
        Ok((kind, u64::try_from(status.st_size).unwrap_or(0)))
    }

    /// The number of the file system that this place is on (`st_dev`), as the kernel has it: the file system is not asked.
    ///
    /// # Errors
    /// Those of statx(2).
    pub fn device(&self) -> io::Result<u64> {
        // SAFETY: a statx is integers, for which zeroes are values.
        let mut found: libc::statx = unsafe { std::mem::zeroed() };
        let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
        // SAFETY: the empty path is NUL-terminated, and `found` is writable for the call.
        check(unsafe { libc::statx(self.as_fd().as_raw_fd(), c"".as_ptr(), flags, 0, &raw mut found) }.into())?;
        Ok(libc::makedev(found.stx_dev_major, found.stx_dev_minor))
    }

    /// The number of the file on its file system (`st_ino`).
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn number(&self) -> io::Result<u64> {
        Ok(fstat(self)?.st_ino)
    }

    /// What the file system that this place is on calls itself (`f_fsid`): for a tmpfs a random number.
    ///
    /// # Errors
    /// Those of fstatfs(2).
    pub fn file_system_serial(&self) -> io::Result<u64> {
        // SAFETY: a statfs is integers, for which zeroes are values.
        let mut found: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: `found` is writable for the call.
        check(unsafe { libc::fstatfs(self.as_fd().as_raw_fd(), &raw mut found) }.into())?;
        // SAFETY: an fsid_t is two ints, whose bits make one number.
        Ok(unsafe { std::mem::transmute::<libc::fsid_t, u64>(found.f_fsid) })
    }

    /// The name of the kernel file system that this place is on, if it is one that must not be mounted on.
    ///
    /// # Errors
    /// Those of fstatfs(2).
    pub fn kernel_file_system(&self) -> io::Result<Option<&'static str>> {
        let magic = fstatfs(self)?.filesystem_type().0;
        Ok(KERNEL_FILE_SYSTEMS.iter().find(|(number, _)| *number == magic as i64).map(|(_, name)| *name))
    }

    /// The path that leads here in the caller's mount namespace, as the kernel tells it.
    ///
    /// # Errors
    /// /proc is not there.
    pub fn path(&self) -> io::Result<PathBuf> {
        Ok(PathBuf::from(readlink(format!("/proc/self/fd/{}", self.as_fd().as_raw_fd()).as_str())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn procfs_is_known_for_what_it_is() {
        assert_eq!(Dir::root(Path::new("/proc")).unwrap().kernel_file_system().unwrap(), Some("proc"));
        let top = tempfile::tempdir().unwrap();
        assert_eq!(Dir::root(top.path()).unwrap().kernel_file_system().unwrap(), None);
    }
}
