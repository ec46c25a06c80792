//! Everything that can end the hook early, each in one line: what failed, on what, then what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::deliver::DeliverError;
use crate::model::{ModelError, USER_SOCKET, escaped};
use crate::oci::OciError;
use crate::wire::ChannelError;

use super::own::USAGE;

/// Why the hook could not do its work.
#[derive(Debug)]
pub(super) enum HookError {
    /// The command line is not ours.
    Usage,
    /// The first steps of the process failed.
    Startup { cause: io::Error },
    /// The state on standard input.
    State(OciError),
    /// The state could not be read.
    StateRead { cause: io::Error },
    /// The state has no bundle, or config.json is missing or cannot be read.
    ConfigRead { path: PathBuf, cause: io::Error },
    /// config.json is not what it should be.
    Config { path: PathBuf, cause: OciError },
    /// The state lacks what a delivery needs.
    StateLacks { what: &'static str },
    /// The container claims a service in a way that cannot be one.
    Claim(ModelError),
    /// The operator's argument and the annotation name two services.
    TwoClaims { argument: String, annotation: String },
    /// The container's first process could not be looked at.
    Init { pid: i32, cause: io::Error },
    /// The container has no mount namespace of its own.
    SharedMountNamespace,
    /// The container's mount namespace could not be entered.
    Enter { cause: io::Error },
    /// The root file system is not there.
    Rootfs { path: PathBuf, cause: io::Error },
    /// The agent does not answer at all.
    Connect { path: PathBuf, cause: io::Error },
    /// Somebody else listens on the agent's socket.
    Impostor { path: PathBuf, uid: u32 },
    /// The exchange with the agent broke off.
    Exchange(ChannelError),
    /// The agent answered something that does not fit.
    Unexpected,
    /// The agent said no.
    Refused { reason: String },
    /// The mounts could not be made.
    Deliver(DeliverError),
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => write!(f, "usage: {USAGE}"),
            Self::Startup { cause } => write!(f, "cannot drop what was inherited: {cause}"),
            Self::State(cause) => write!(f, "cannot use the state on standard input: {cause}"),
            Self::StateRead { cause } => write!(f, "cannot read the state from standard input: {cause}"),
            Self::ConfigRead { path, cause } => {
                write!(f, "cannot read '{}': {cause}; is the bundle complete?", escaped(&path.to_string_lossy()))
            }
            Self::Config { path, cause } => write!(f, "cannot use '{}': {cause}", escaped(&path.to_string_lossy())),
            Self::StateLacks { what } => {
                write!(f, "the runtime's state has no {what}; register this hook at createRuntime or prestart")
            }
            Self::Claim(cause) => write!(f, "the container claims no possible service: {cause}"),
            Self::TwoClaims { argument, annotation } => write!(
                f,
                "the hook's argument says service '{argument}' and the container's annotation says '{annotation}'; give one"
            ),
            Self::Init { pid, cause } => write!(f, "cannot look at the container's process {pid}: {cause}; is it still there?"),
            Self::SharedMountNamespace => f.write_str(
                "the container shares the mount namespace of its runtime, so its secrets would show on the host; give it a mount namespace of its own",
            ),
            Self::Enter { cause } => write!(
                f,
                "cannot enter the container's mount namespace: {cause}; the hook needs CAP_SYS_ADMIN and CAP_SYS_CHROOT"
            ),
            Self::Rootfs { path, cause } => {
                write!(f, "cannot open the root file system '{}': {cause}", escaped(&path.to_string_lossy()))
            }
            Self::Connect { path, cause } => write!(
                f,
                "cannot reach the agent at '{}': {cause}; {}",
                escaped(&path.to_string_lossy()),
                if path.ends_with(USER_SOCKET) {
                    "users other than root need `enabled = true` in [rootless] of its configuration"
                } else {
                    "start it with `systemctl start runsecrets-agent`"
                }
            ),
            Self::Impostor { path, uid } => write!(
                f,
                "the process that listens at '{}' belongs to uid {uid}, not to root; stop it and start the agent",
                escaped(&path.to_string_lossy())
            ),
            Self::Exchange(cause) => write!(f, "the exchange with the agent broke off: {cause}; see the agent's log"),
            Self::Unexpected => f.write_str("the agent gave an answer that does not fit; are hook and agent of one version?"),
            Self::Refused { reason } => f.write_str(reason),
            Self::Deliver(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for HookError {}

impl From<DeliverError> for HookError {
    fn from(error: DeliverError) -> Self {
        Self::Deliver(error)
    }
}

impl From<ChannelError> for HookError {
    fn from(error: ChannelError) -> Self {
        Self::Exchange(error)
    }
}
