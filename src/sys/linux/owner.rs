//! Whose a process and its namespaces are, by what the kernel has on record and nobody but root of the host can forge.
//!
//! Source: ioctl_nsfs(2), user_namespaces(7), proc_pid_status(5).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, setns};

use super::pidfd::Process;
use super::{check, opened};

/// `_IO(0xb7, 1)`: the user namespace that a namespace belongs to.
const NS_GET_USERNS: libc::c_ulong = 0xb701;
/// `_IO(0xb7, 4)`: the user who made a user namespace.
const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;
/// The inode of the first user namespace. Source: include/uapi/linux/nsfs.h, USER_NS_INIT_INO.
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;
/// What the kernel shows for a user who has no place in the user namespace that is asked from.
const UNMAPPED: u32 = 65534;

/// Whose a process and its namespaces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The user who made its user namespace; 0 for the first one.
    pub user_namespace: u32,
    /// The user who made the user namespace that its mount namespace belongs to.
    pub mount_namespace: u32,
    /// Its real, effective, saved and file system uid.
    pub uids: [u32; 4],
}

impl Ownership {
    /// Whose `process` is now: it may change its ids and namespaces later, within what its owner may.
    ///
    /// # Errors
    /// It is gone, or may not be looked into.
    pub fn of(process: &Process) -> io::Result<Self> {
        Self::with_namespaces(process).map(|(ownership, _)| ownership)
    }

    /// The same, with the very namespaces that it is about.
    ///
    /// # Errors
    /// As [`Ownership::of`].
    pub fn with_namespaces(process: &Process) -> io::Result<(Self, Namespaces)> {
        let open = |name| File::open(format!("/proc/{}/ns/{name}", process.pid()));
        let (user, mount) = (open("user")?, open("mnt")?);
        let ownership = Self {
            user_namespace: owner(&user)?,
            mount_namespace: owner(&user_namespace_of(&mount)?)?,
            uids: uids(&process.status()?).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?,
        };
        process.still_alive()?;
        Ok((ownership, Namespaces { user: user.into(), mount: mount.into() }))
    }
}

/// The user and the mount namespace of a process, by descriptors that can be handed on.
#[derive(Debug)]
pub struct Namespaces {
    /// The user namespace.
    pub user: OwnedFd,
    /// The mount namespace.
    pub mount: OwnedFd,
}

impl Namespaces {
    /// Moves the calling process into the user namespace and, as its root, into the mount namespace; root and working
    /// directory become that one's `/`.
    ///
    /// # Errors
    /// The caller has several threads, or did not make the user namespace.
    pub fn enter(&self) -> io::Result<()> {
        setns(&self.user, CloneFlags::CLONE_NEWUSER)?;
        Ok(setns(&self.mount, CloneFlags::CLONE_NEWNS)?)
    }
}

/// Whether the caller is in the first user namespace, in which root is root of the host.
///
/// # Errors
/// /proc is not there.
fn in_first_user_namespace() -> io::Result<bool> {
    Ok(std::fs::metadata("/proc/self/ns/user")?.ino() == FIRST_USER_NAMESPACE)
}

/// Whether the owner of a process, shown as `uid`, may be root of the machine: in a user namespace of others the kernel shows
/// root as nobody, and everybody else who is not of that namespace too.
pub fn may_be_root(uid: u32) -> bool {
    uid == 0 || (uid == UNMAPPED && !in_first_user_namespace().unwrap_or(true))
}

fn owner(user_namespace: &impl AsRawFd) -> io::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request writes one uid_t, and `uid` is one.
    check(unsafe { libc::ioctl(user_namespace.as_raw_fd(), NS_GET_OWNER_UID as _, &raw mut uid) }.into())?;
    Ok(uid)
}

fn user_namespace_of(namespace: &File) -> io::Result<OwnedFd> {
    // SAFETY: the request takes no argument.
    opened(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS as _) }.into())
}

/// The four uids of a status file. The command's name comes before them, with its line breaks escaped.
fn uids(status: &str) -> Option<[u32; 4]> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let numbers: Option<Vec<u32>> = line.split_whitespace().map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    #[test]
    fn this_process_is_in_namespaces_of_root() {
        let own = Ownership::of(&Process::open(std::process::id() as i32).unwrap()).unwrap();
        let uid = nix::unistd::getuid().as_raw();
        assert_eq!(own, Ownership { user_namespace: 0, mount_namespace: 0, uids: [uid; 4] });
        assert!(in_first_user_namespace().unwrap());
    }

    #[test]
    fn namespaces_belong_to_who_made_them() {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", "echo ready; exec sleep 100"]);
        let mut child = command.uid(12345).gid(12345).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let found = Ownership::of(&Process::open(child.id() as i32).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.unwrap(), Ownership { user_namespace: 12345, mount_namespace: 12345, uids: [12345; 4] });
    }

    #[test]
    fn a_status_that_is_not_as_documented_has_no_uids() {
        assert_eq!(uids("Name:\tx\nUid:\t1\t2\t3\t4\n"), Some([1, 2, 3, 4]));
        for text in ["", "Uid:\t1\t2\t3\n", "Uid:\t1\t2\t3\t4\t5\n", "Uid:\ta\tb\tc\td\n"] {
            assert_eq!(uids(text), None, "{text}");
        }
    }
}
