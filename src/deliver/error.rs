//! What can fail between a sealed value and a file in a container, in words for the one who runs it.

use std::fmt;
use std::io;

use crate::model::escaped;

/// Why secrets could not be delivered.
#[derive(Debug)]
pub enum DeliverError {
    /// A target is where the container has a mount of its own, or above one.
    TargetTaken {
        /// The target.
        target: String,
        /// The container's mount.
        mount: String,
    },
    /// A component of a target is a symbolic link in the image.
    SymbolicLink {
        /// The target.
        target: String,
        /// The path of the link in the container.
        link: String,
    },
    /// A target leads into a file system of the kernel's.
    KernelFileSystem {
        /// The target.
        target: String,
        /// Its type.
        kind: &'static str,
    },
    /// A target is a directory, or a component of it is no directory.
    WrongKind {
        /// The target.
        target: String,
        /// The path in the container that is not what it should be.
        path: String,
        /// What is expected there.
        expected: &'static str,
    },
    /// A mount point is missing and cannot be made.
    MountPoint {
        /// The path in the container.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// A mount could not be attached.
    Attach {
        /// The path in the container.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// The container's mount namespace cannot be entered.
    Gone {
        /// Its first process.
        pid: i32,
        /// Why.
        cause: io::Error,
    },
    /// What a container shows at a target is not ours any more.
    Covered {
        /// The path in the container.
        path: String,
    },
    /// A user or group is not in the container's passwd or group.
    UnknownOwner {
        /// "user" or "group".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The container's passwd or group could not be read.
    OwnerFile {
        /// The file.
        file: &'static str,
        /// Why.
        cause: io::Error,
    },
    /// A uid or gid has no place in the container's user namespace.
    UnmappedOwner {
        /// "uid" or "gid".
        what: &'static str,
        /// The number in the container.
        id: u32,
    },
    /// The kernel's list of a process's mounts or ids is not as documented.
    Kernel {
        /// What was being read.
        what: &'static str,
        /// Why it could not be.
        cause: io::Error,
    },
    /// The values need more room than one container may have.
    TooLarge {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// The RAM file system could not be made or filled.
    FileSystem {
        /// The step.
        step: &'static str,
        /// Why, with the kernel's words.
        cause: String,
    },
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetTaken { target, mount } => write!(
                f,
                "target '{}' conflicts with the container's own mount '{}'; change the grant's target or the mount",
                escaped(target),
                escaped(mount)
            ),
            Self::SymbolicLink { target, link } => write!(
                f,
                "target '{}' leads through '{}', a symbolic link in the image; name the real path as the target",
                escaped(target),
                escaped(link)
            ),
            Self::KernelFileSystem { target, kind } => write!(
                f,
                "target '{}' leads into a {kind} file system, where nothing may be mounted; choose another path",
                escaped(target)
            ),
            Self::WrongKind { target, path, expected } => write!(
                f,
                "target '{}' cannot be used: '{}' in the image is not {expected}; choose another target",
                escaped(target),
                escaped(path)
            ),
            Self::MountPoint { path, cause } => write!(
                f,
                "cannot make the mount point '{}' in the container: {cause}; add it to the image if its root is read-only",
                escaped(path)
            ),
            Self::Gone { pid, cause } => {
                write!(f, "cannot enter the mount namespace of process {pid}: {cause}; has the container ended?")
            }
            Self::Covered { path } => write!(
                f,
                "what the container shows at '{}' is not what was attached there: it was unmounted or covered; restart the container",
                escaped(path)
            ),
            Self::Attach { path, cause } => write!(
                f,
                "cannot attach a mount at '{}' in the container: {cause}; the hook needs CAP_SYS_ADMIN on the host",
                escaped(path)
            ),
            Self::UnknownOwner { what, name } => write!(
                f,
                "{what} '{}' is not in the container's own {} file; use a number in the grant",
                escaped(name),
                if *what == "user" { "passwd" } else { "group" }
            ),
            Self::OwnerFile { file, cause } => {
                write!(f, "cannot read {file} in the container: {cause}; use numbers for uid and gid in the grant")
            }
            Self::UnmappedOwner { what, id } => write!(
                f,
                "{what} {id} has no place in the container's user namespace; choose one that its id mappings cover"
            ),
            Self::Kernel { what, cause } => write!(f, "cannot read {what}: {cause}; is /proc mounted?"),
            Self::TooLarge { needed, allowed } => write!(
                f,
                "the secrets need {needed} bytes of RAM and a container may have {allowed}; raise delivery.size-limit in the configuration"
            ),
            Self::FileSystem { step, cause } => write!(f, "cannot {step}: {cause}"),
        }
    }
}

impl std::error::Error for DeliverError {}
