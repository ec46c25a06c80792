//! What can fail between a value and a file in a Windows container, in words for the one who runs it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::escaped;

use super::bitlocker::VolumeState;
use super::target::TargetFault;

/// Why secrets could not be delivered.
#[derive(Debug)]
pub enum WindowsError {
    /// A target is no place for a file in a Windows container.
    Target {
        /// The target as it was given.
        target: String,
        /// Why.
        fault: TargetFault,
    },
    /// Two grants have one place, as NTFS compares names.
    Collision {
        /// The target of the first.
        first: String,
        /// The target of the second.
        second: String,
    },
    /// A target needs a link in the container's layer, which is not there to be written.
    NoLayer {
        /// The target.
        target: String,
    },
    /// The container's id cannot be the name of a directory.
    ContainerId {
        /// The id.
        id: String,
        /// Why.
        reason: String,
    },
    /// The container's directory is there already.
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// The volume does not protect what is written to it, and the configuration wants that.
    Volume {
        /// The directory whose volume it is.
        directory: PathBuf,
        /// The volume's state.
        state: VolumeState,
    },
    /// The container has something at a target.
    TargetExists {
        /// The target.
        target: String,
    },
    /// A target lies in a mount of the container's, or a mount in a target.
    Hidden {
        /// The target.
        target: String,
        /// Where the mount is.
        mount: String,
    },
    /// A part of a target's path in the container's layer is a link or no directory.
    Redirected {
        /// The target.
        target: String,
        /// The part, from the root of the layer.
        part: String,
    },
    /// A link could not be made.
    Link {
        /// The target.
        target: String,
        /// Why.
        cause: io::Error,
    },
    /// Windows said that a link was made, and it is not there, or is another.
    LinkMissing {
        /// The target.
        target: String,
    },
    /// A directory or file is open to more than it should be.
    Access {
        /// The directory or file.
        path: PathBuf,
        /// What the system says of it.
        reason: String,
    },
    /// A directory or file could not be made, written or read.
    File {
        /// What was to be done.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it could not be.
        cause: io::Error,
    },
}

fn shown(path: &std::path::Path) -> String {
    escaped(&path.to_string_lossy())
}

impl fmt::Display for WindowsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { target, fault } => write!(
                f,
                "target '{}' cannot be used in a Windows container: {fault}; give a file name, or a path such as C:\\app\\key",
                escaped(target)
            ),
            Self::Collision { first, second } => write!(
                f,
                "the targets '{}' and '{}' are one place to Windows, or one lies in the other; change one",
                escaped(first),
                escaped(second)
            ),
            Self::NoLayer { target } => write!(
                f,
                "target '{}' needs a link in the container's layer, and config.json has no root.path; use a target without a drive, which is mounted at {}",
                escaped(target),
                super::SECRETS_DIR
            ),
            Self::ContainerId { id, reason } => {
                write!(f, "container id '{}' cannot name a directory: {reason}; choose another id", escaped(id))
            }
            Self::Occupied { directory } => write!(
                f,
                "'{}' is there already: another container of this id has secrets, or what is left of them is being removed; stop that one first",
                shown(directory)
            ),
            Self::Volume { directory, state } => {
                write!(
                    f,
                    "the volume of '{}' is not known to be encrypted: {state}; or accept that with bitlocker = \"warn\" in [delivery] of the configuration",
                    shown(directory)
                )
            }
            Self::TargetExists { target } => write!(
                f,
                "the container has something at '{}' already; change the grant's target, or take it out of the image",
                escaped(target)
            ),
            Self::Hidden { target, mount } => write!(
                f,
                "the container would not see a secret at '{}', since it has a mount at '{}'; change the grant's target, or the mount",
                escaped(target),
                escaped(mount)
            ),
            Self::Redirected { target, part } => write!(
                f,
                "target '{}' leads through '{}', which in the image is a link or no directory; choose another target",
                escaped(target),
                escaped(part)
            ),
            Self::Link { target, cause } => write!(
                f,
                "cannot make the link at '{}' in the container: {cause}; the agent needs the right to make symbolic links (SeCreateSymbolicLinkPrivilege), which LocalSystem has",
                escaped(target)
            ),
            Self::LinkMissing { target } => write!(
                f,
                "Windows reported a link at '{}' in the container and there is none that leads to the secret; nothing is delivered: is the layer on NTFS, and is this Windows itself?",
                escaped(target)
            ),
            Self::Access { path, reason } => write!(
                f,
                "'{}' is not for SYSTEM and Administrators alone: {}; remove it, so that the agent makes it anew",
                shown(path),
                escaped(reason)
            ),
            Self::File { step, path, cause } => write!(f, "cannot {step} '{}': {cause}", shown(path)),
        }
    }
}

impl std::error::Error for WindowsError {}

impl WindowsError {
    /// Adds what was being done to an error of the system.
    pub(super) fn on(step: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::File { step, path: path.to_owned(), cause }
    }
}
