//! A process held by a descriptor: its number cannot come to mean another process while that is open.
//!
//! Source: pidfd_open(2), setns(2), proc(5).

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

use super::opened;

/// The most bytes of a file about one process: 340 lines of an id map, the kernel's limit, fit.
const SHORT_FILE: usize = 16 * 1024;

/// A process, by pidfd.
#[derive(Debug)]
pub struct Process {
    fd: OwnedFd,
    pid: i32,
}

/// Which mount namespace a process is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountNamespace {
    device: u64,
    inode: u64,
}

impl Process {
    /// Opens the process that has the number `pid` now.
    ///
    /// # Errors
    /// There is none.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: plain integers.
        let fd = opened(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        Ok(Self { fd, pid })
    }

    /// Every process there is now, as far as it can be opened.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn all() -> io::Result<impl Iterator<Item = Self>> {
        let entries = fs::read_dir("/proc")?.flatten();
        Ok(entries.filter_map(|entry| Self::open(entry.file_name().to_str()?.parse().ok()?).ok()))
    }

    /// Takes a descriptor that a peer sent, and asks the kernel which process of *our* pid namespace it is.
    ///
    /// # Errors
    /// `InvalidInput` when it is no pidfd, or its process is gone or not visible from here.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let info = read_short(&format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|text| text.trim().parse().ok());
        match pid {
            Some(pid) if pid > 0 => Ok(Self { fd, pid }),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }

    /// The number, in the pid namespace of the caller of [`Process::open`] or [`Process::from_fd`].
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has not ended: a zombie has.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn is_alive(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, PollTimeout::ZERO)? == 0)
    }

    /// Sends it `signal`; the first process of a pid namespace gets only those that it has a handler for.
    ///
    /// # Errors
    /// It has ended, or is not ours to signal. Source: pidfd_send_signal(2).
    pub fn send(&self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: no siginfo is given, and the rest are integers.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), signal as libc::c_int, none, 0) };
        super::check(sent).map(drop)
    }

    /// When it started, in clock ticks since boot: with the number, a name that is never given twice.
    ///
    /// # Errors
    /// It is gone (also when its number has gone to another process since).
    pub fn start_time(&self) -> io::Result<u64> {
        let stat = read_short(&format!("/proc/{}/stat", self.pid))?;
        // The command may hold blanks and parentheses: count from its last one. Field 22 is the 20th after it.
        let ticks = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok());
        self.still_alive()?;
        ticks.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The ids of its user namespace, as `uid_map` or `gid_map` lists them.
    ///
    /// # Errors
    /// It is gone.
    pub fn id_map(&self, file: IdMapFile) -> io::Result<String> {
        let name = match file {
            IdMapFile::Users => "uid_map",
            IdMapFile::Groups => "gid_map",
        };
        let text = read_short(&format!("/proc/{}/{name}", self.pid))?;
        self.still_alive()?;
        Ok(text)
    }

    /// What it is called now; a program may call itself anything.
    ///
    /// # Errors
    /// It is gone.
    pub fn name(&self) -> io::Result<String> {
        let name = read_short(&format!("/proc/{}/comm", self.pid))?;
        self.still_alive()?;
        Ok(name.trim_end().to_owned())
    }

    /// Its file `status`, in which its ids are.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn status(&self) -> io::Result<String> {
        read_short(&format!("/proc/{}/status", self.pid))
    }

    /// The list of its mounts, as paths from its own root.
    ///
    /// # Errors
    /// It is gone, or may not be looked into.
    pub fn mountinfo(&self) -> io::Result<File> {
        let file = File::open(format!("/proc/{}/mountinfo", self.pid))?;
        self.still_alive()?;
        Ok(file)
    }

    /// Its mount namespace.
    ///
    /// # Errors
    /// It is gone, or may not be looked into.
    pub fn mount_namespace(&self) -> io::Result<MountNamespace> {
        let namespace = MountNamespace::at(&format!("/proc/{}/ns/mnt", self.pid))?;
        self.still_alive()?;
        Ok(namespace)
    }

    /// Its root directory, in its own mount namespace: for a container that is being created, what its runtime has as root.
    ///
    /// # Errors
    /// It is gone, or may not be looked into.
    pub fn root(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(format!("/proc/{}/root", self.pid).as_str(), flags, Mode::empty())?;
        self.still_alive()?;
        Ok(root)
    }

    /// Moves the calling thread into the process's mount namespace; root and working directory become its `/`.
    ///
    /// # Errors
    /// The caller has several threads that share its directories, or lacks CAP_SYS_ADMIN or CAP_SYS_CHROOT.
    pub fn enter_mount_namespace(&self) -> io::Result<()> {
        Ok(setns(&self.fd, CloneFlags::CLONE_NEWNS)?)
    }

    /// Moves the calling process into the process's user namespace and, as its root, into its mount namespace; root and
    /// working directory become that one's `/`. For the user who made that user namespace, and who is nobody special
    /// where it is.
    ///
    /// # Errors
    /// The caller has several threads, or did not make that user namespace.
    pub fn enter_user_and_mount_namespace(&self) -> io::Result<()> {
        Ok(setns(&self.fd, CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?)
    }

    /// What was read by number is this process's: it had not ended afterwards, so the number was still its own.
    pub(super) fn still_alive(&self) -> io::Result<()> {
        if self.is_alive()? { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    }
}

/// Reads a small file of /proc: in one piece, where `std::fs` would take six reads of growing size.
fn read_short(path: &str) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(SHORT_FILE);
    File::open(path)?.take(SHORT_FILE as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Which of the two maps of a user namespace.
#[derive(Debug, Clone, Copy)]
pub enum IdMapFile {
    /// User ids.
    Users,
    /// Group ids.
    Groups,
}

impl MountNamespace {
    /// The caller's own.
    ///
    /// # Errors
    /// /proc is not there.
    pub fn own() -> io::Result<Self> {
        Self::at("/proc/self/ns/mnt")
    }

    fn at(path: &str) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_sent_descriptor_names_the_same_process() {
        let opened = Process::open(std::process::id() as i32).unwrap();
        let again = Process::from_fd(opened.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(again.pid(), std::process::id() as i32);
        assert_eq!(again.start_time().unwrap(), opened.start_time().unwrap());
        assert_eq!(again.mount_namespace().unwrap(), MountNamespace::own().unwrap());
    }

    #[test]
    fn what_is_no_pidfd_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Process::from_fd(file.into()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn death_is_seen_though_the_zombie_is_still_there() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::open(child.id() as i32).unwrap();
        assert!(process.is_alive().unwrap());
        child.kill().unwrap();
        while process.is_alive().unwrap() {
            std::thread::yield_now();
        }
        assert!(process.start_time().is_err());
        child.wait().unwrap();
        assert!(process.mount_namespace().is_err());
    }
}
