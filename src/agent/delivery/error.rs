//! Why a delivery was refused: one line for the operator, who sees it in the engine's error message.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::agent::autolock::Locked;
use crate::agent::catalog::CatalogError;
use crate::agent::docker::DockerError;
use crate::deliver::DeliverError;
use crate::model::{ServiceName, escaped, escaped_line};
use crate::policy::Refusal;
use crate::wire::ChannelError;

use super::PatternError;
use super::users::UserLimits;

/// Why a delivery was refused or could not be made.
#[derive(Debug)]
pub enum DeliveryError {
    /// The hook speaks another version of the protocol.
    Protocol(u32),
    /// The hook said something that does not fit where it said it.
    OutOfTurn,
    /// The hook gave up, and says why.
    HookFailed(String),
    /// The hook's process could not be identified.
    Peer(io::Error),
    /// The exchange broke off.
    Exchange(ChannelError),
    /// No usable pidfd of the container's first process came with the request.
    Init(io::Error),
    /// The agent's own mount namespace is not known.
    OwnNamespace {
        /// Why.
        cause: io::Error,
    },
    /// The container is in the agent's mount namespace: its secrets would show on the host.
    HostMountNamespace,
    /// The agent is locked.
    Locked(Locked),
    /// There is no such service.
    NoService(String),
    /// Docker does not say which service it is.
    Docker(DockerError),
    /// The selectors of several services hold for the container.
    TwoSelected(Vec<ServiceName>),
    /// A selector cannot be used.
    Pattern(PatternError),
    /// Policy says no.
    Refused(Refusal),
    /// Another container of the same id and bundle is running and holds secrets.
    Occupied(String),
    /// A delivery to this container is under way.
    UnderWay(String),
    /// The container has the secrets of one service, and claims another.
    TwoServices {
        /// The service whose secrets it has.
        has: String,
        /// The other.
        claims: String,
    },
    /// A user has as much of the agent's room as it may have.
    TooMuch {
        /// Who it is.
        uid: u32,
        /// How much that is.
        limits: UserLimits,
    },
    /// The agent has no descriptors for more containers.
    Descriptors {
        /// How many it may have.
        limit: u64,
    },
    /// A user's hook is in a user namespace that has no place for its container's root.
    HookElsewhere {
        /// Who it is.
        uid: u32,
    },
    /// A secret is to stay until it is read, and nobody would see that.
    ReadsUnseen(io::Error),
    /// A container's checkpoint is under way already.
    Checkpointed(String),
    /// A user's container: its mounts are not touched.
    CheckpointOfUser,
    /// The same: it would be restored without its secrets.
    RestoreOfUser,
    /// CRIU is making the container, and its mounts are not there yet.
    Restored,
    /// A value could not be opened.
    Catalog(CatalogError),
    /// The plan or the file system.
    Deliver(DeliverError),
    /// The record could not be written or read.
    Record {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(version) => write!(
                f,
                "the hook speaks protocol {version} and the agent {}; install hook and agent of one version",
                crate::wire::PROTOCOL
            ),
            Self::OutOfTurn => f.write_str("the hook's message does not fit; install hook and agent of one version"),
            Self::HookFailed(reason) => write!(f, "the hook gave up: {}", escaped_line(reason)),
            Self::Peer(cause) => write!(f, "cannot identify the hook's process: {cause}"),
            Self::Exchange(cause) => write!(f, "the exchange with the hook broke off: {cause}"),
            Self::Init(cause) => write!(f, "cannot identify the container's first process: {cause}; is it still there?"),
            Self::OwnNamespace { cause } => write!(f, "cannot read the agent's own mount namespace: {cause}; is /proc mounted?"),
            Self::HostMountNamespace => f.write_str(
                "the container shares the host's mount namespace, so its secrets would show on the host; give it a mount namespace of its own",
            ),
            Self::Locked(locked) => write!(f, "{locked}"),
            Self::NoService(name) => write!(
                f,
                "service '{}' not found; create it with `runsecrets service create --name {}`",
                escaped(name),
                escaped(name)
            ),
            Self::Docker(error) => write!(f, "{error}"),
            Self::TwoSelected(names) => {
                let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
                write!(
                    f,
                    "the container is of several services by their selectors ({}); select more narrowly with `runsecrets service update --match`",
                    names.join(", ")
                )
            }
            Self::Pattern(cause) => write!(f, "{cause}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Occupied(id) => write!(
                f,
                "another container with the id '{}' and the same bundle is running and holds secrets; stop it first",
                escaped(id)
            ),
            Self::UnderWay(id) => {
                write!(f, "secrets are being delivered to container '{}' already; is the hook registered twice?", escaped(id))
            }
            Self::TwoServices { has, claims } => write!(
                f,
                "the container is service '{}' already and cannot be '{}' too; make one service with the grants of both",
                escaped(has),
                escaped(claims)
            ),
            Self::TooMuch { uid, limits } => write!(
                f,
                "uid {uid} may have secrets in {} containers and {} bytes of RAM at one time; stop one, or raise rootless.containers or rootless.bytes in the configuration",
                limits.containers, limits.bytes
            ),
            Self::Descriptors { limit } => write!(
                f,
                "the agent may have {limit} files open, which is not enough for one more container; stop one, or raise LimitNOFILE= of runsecrets-agent.service and restart it"
            ),
            Self::HookElsewhere { uid } => write!(
                f,
                "the hook of uid {uid} is in a user namespace that has no place for its container's root; run the runtime that starts the hook as that user"
            ),
            Self::ReadsUnseen(cause) => write!(
                f,
                "until=read cannot be kept: the kernel does not tell who reads ({cause}); grant it with a time, such as until=30s"
            ),
            Self::Checkpointed(id) => {
                write!(f, "a checkpoint of container '{}' is under way already; wait for its end", escaped(id))
            }
            Self::CheckpointOfUser => f.write_str(
                "the secrets of a user's container cannot be kept out of a checkpoint; remove them from its service first",
            ),
            Self::RestoreOfUser => f.write_str(
                "a user's container is not restored with its secrets; start it anew, or take its claim of a service away",
            ),
            Self::Restored => f.write_str(
                "the container is being restored from a checkpoint, and what is mounted now would be lost; restore it by runsecrets-runtime, which delivers afterwards",
            ),
            Self::Catalog(cause) => write!(f, "{cause}"),
            Self::Deliver(cause) => write!(f, "{cause}"),
            Self::Record { path, cause } => write!(
                f,
                "cannot keep the record of a delivery at '{}': {cause}; make room in the agent's run directory",
                escaped(&path.to_string_lossy())
            ),
        }
    }
}

impl std::error::Error for DeliveryError {}

impl From<ChannelError> for DeliveryError {
    fn from(error: ChannelError) -> Self {
        Self::Exchange(error)
    }
}

impl From<Locked> for DeliveryError {
    fn from(locked: Locked) -> Self {
        Self::Locked(locked)
    }
}

impl From<CatalogError> for DeliveryError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<PatternError> for DeliveryError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

impl From<DeliverError> for DeliveryError {
    fn from(error: DeliverError) -> Self {
        Self::Deliver(error)
    }
}

impl From<Refusal> for DeliveryError {
    fn from(error: Refusal) -> Self {
        Self::Refused(error)
    }
}

impl From<DockerError> for DeliveryError {
    fn from(error: DockerError) -> Self {
        Self::Docker(error)
    }
}
