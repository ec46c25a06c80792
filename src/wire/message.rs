//! The messages themselves. Fields are domain types, so a message that decodes is already checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Claim, ContainerId, Target};

/// The version of this protocol; a hook and an agent that differ refuse each other.
pub const PROTOCOL: u32 = 2;
/// The most mounts of a container that a request may list.
pub const MAX_MOUNTS: usize = 4096;

/// What a hook asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum HookRequest {
    /// A container is being created and claims a service; the pidfd of its init comes beside this. Sent before the hook
    /// enters the container, so that both sides work at the same time.
    Deliver(Deliver),
    /// What the container has mounted already.
    Surroundings(Surroundings),
    /// The hook may not look at the container's first process, which a user's crun forbids to all but root: it asks for
    /// the way in. Before [`HookRequest::Surroundings`], and for users only.
    Namespaces,
    /// The answer to [`AgentReply::Lookup`]: ids as the container counts, in the order of the names.
    Owners {
        /// The user ids.
        users: Vec<u32>,
        /// The group ids.
        groups: Vec<u32>,
    },
    /// Every mount is in place. There is no answer: the delivery has been on record since before the mounts were sent,
    /// and a hook that goes without having said this has its mounts emptied.
    Attached {
        /// The mount points that had to be made, in the order in which they were.
        made: Vec<MadePoint>,
    },
    /// The hook could not go on, in the words that it prints. There is no answer: crun, for one, shows a hook's words to
    /// nobody, so that the agent's log is where an operator finds them.
    Failed {
        /// One line.
        reason: String,
    },
    /// What the service of a container wants in its environment: asked before the container is created, without a pidfd.
    Environment(Deliver),
    /// A container is about to be checkpointed: its mounts go until this connection is closed, by the last process that has
    /// it, and are then put back.
    Checkpoint {
        /// Its id.
        container: ContainerId,
    },
    /// A container is about to be restored: until this connection is closed, a hook that calls for it while its mounts are
    /// not there yet is told that there is nothing to do, because it is delivered to when it runs.
    Restore {
        /// Its id.
        container: ContainerId,
        /// Its bundle.
        bundle: String,
    },
    /// A container has stopped.
    Withdraw {
        /// Its id.
        container: ContainerId,
        /// Its bundle.
        bundle: String,
    },
}

/// A request for the secrets of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The container's id; unique together with its bundle.
    pub container: ContainerId,
    /// The bundle's path.
    pub bundle: String,
    /// Which service it says it is. None: nobody has said so, and the hook was told to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The annotations of a container without a claim: what its engine stamped on it, and what its image brought.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The SELinux label for its mounts (`linux.mountLabel`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_label: Option<String>,
}

/// What the hook saw in the container's mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// How /run/secrets is to be made.
    pub layout: Layout,
    /// Where the container has mounts, as absolute paths in the container.
    pub mounts: Vec<String>,
}

/// How the default directory comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Layout {
    /// One mount on /run/secrets. What is mounted below it already is kept: the agent makes a place for each.
    Directory {
        /// What is to be kept.
        keep: Vec<Kept>,
    },
    /// Something lives at /run/secrets: each secret gets a mount of its own there.
    Files,
}

/// A mount below /run/secrets that stays visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Where it is.
    pub target: Target,
    /// A directory or a file.
    pub kind: MountKind,
}

/// What a mount's root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

/// A mount that the hook is to attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where: an absolute, normalised path in the container.
    pub at: String,
    /// A directory or a file.
    pub kind: MountKind,
}

/// A mount point that the hook made in the container's root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadePoint {
    /// Where: an absolute path in the container.
    pub at: String,
    /// A directory or a file.
    pub kind: MountKind,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum AgentReply {
    /// Look these names up in the container's own passwd and group.
    Lookup {
        /// User names.
        users: Vec<String>,
        /// Group names.
        groups: Vec<String>,
    },
    /// The user's own namespaces, in which the container is: the descriptors of the user and of the mount namespace.
    Namespaces,
    /// Attach these; one descriptor each, in order.
    Mounts {
        /// The mounts.
        mounts: Vec<Mount>,
        /// The ids that container root has on the host: made mount points get them.
        root: (u32, u32),
    },
    /// There is nothing to attach: the service has no grants, this container has its secrets already, or it is no service.
    /// And the answer to what is asked around a checkpoint, when it is done.
    Nothing,
    /// Variables, `NAME=VALUE`; no secret.
    Environment {
        /// None where the service wants none.
        variables: Vec<String>,
    },
    /// The secrets are gone.
    Withdrawn {
        /// The mount points that were made for them.
        made: Vec<MadePoint>,
    },
    /// No, and why: one line for the operator.
    Refused {
        /// What failed, then what to do.
        reason: String,
    },
}
