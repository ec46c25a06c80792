//! Why the wrapper stops instead of starting the real runtime.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::{ModelError, escaped};
use crate::oci::{EditError, OciError};

/// A container is not started.
#[derive(Debug)]
pub(super) enum WrapperError {
    /// One of our own options is not complete.
    Usage,
    /// `--service` names none.
    Service(ModelError),
    /// The variable of the container's environment names none.
    Environment(ModelError),
    /// The run directory is not an absolute path.
    RunDir,
    /// No real runtime is there.
    NoRuntime { looked_for: String },
    /// The real runtime is this wrapper.
    Itself { path: PathBuf },
    /// The hook is missing.
    NoHook { path: PathBuf, cause: io::Error },
    /// The hook could be changed by others.
    UnsafeHook { path: PathBuf, why: &'static str },
    /// The agent says no.
    Refused { reason: String },
    /// Nobody listens where the agent should.
    NoAgent,
    /// A container with a claim is to be restored in the foreground.
    Foreground,
    /// The descriptor of the connection cannot be handed on.
    Hand { cause: io::Error },
    /// A container that has been restored could not be given its secrets.
    NotDelivered { cause: String },
    /// The agent's answer did not come, or is none.
    Agent { path: PathBuf, cause: String },
    /// config.json could not be read.
    Read { path: PathBuf, cause: io::Error },
    /// config.json is none.
    Config { path: PathBuf, cause: OciError },
    /// The runtime is told to read another file than the bundle's config.json.
    OtherConfig { path: PathBuf },
    /// config.json could not be edited.
    Edit { path: PathBuf, cause: EditError },
    /// config.json could not be written.
    Write { path: PathBuf, cause: io::Error },
    /// The real runtime could not be started.
    Exec { runtime: PathBuf, cause: io::Error },
}

impl WrapperError {
    /// 1, or what a shell says of a program that cannot be started.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Exec { cause, .. } if cause.kind() == io::ErrorKind::NotFound => 127,
            Self::Exec { .. } => 126,
            _ => 1,
        }
    }
}

fn shown(path: &std::path::Path) -> String {
    escaped(&path.to_string_lossy())
}

impl fmt::Display for WrapperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str(
                "usage: runsecrets-runtime [--real-runtime PATH] [--hook PATH] [--run-dir DIR] [--service NAME] [--claim-from-environment] [--ask] RUNTIME-ARGUMENTS…",
            ),
            Self::Service(cause) => write!(f, "--service: {cause}"),
            Self::Environment(cause) => write!(f, "RUNSECRETS_SERVICE in the container's environment: {cause}"),
            Self::RunDir => f.write_str("the run directory must be an absolute path in UTF-8"),
            Self::NoRuntime { looked_for } => write!(
                f,
                "no container runtime found ({}); install one, or name it with --real-runtime",
                escaped(looked_for)
            ),
            Self::Itself { path } => {
                write!(f, "the real runtime '{}' is this wrapper; name another with --real-runtime", shown(path))
            }
            Self::NoHook { path, cause } => {
                write!(f, "the hook '{}' cannot be used: {cause}; install it, or name it with --hook", shown(path))
            }
            Self::UnsafeHook { path, why } => {
                write!(f, "the hook '{}' is not used because {why}; make it root's, writable by root alone", shown(path))
            }
            Self::Refused { reason } => write!(f, "{}", escaped(reason)),
            Self::NoAgent => f.write_str("the agent cannot be reached, so the container would be restored without its secrets; start runsecrets-agent"),
            Self::Foreground => f.write_str("a container with secrets is restored with --detach only: they come when the runtime has ended"),
            Self::Hand { cause } => write!(f, "cannot hand the connection to the agent on to the runtime: {cause}"),
            Self::NotDelivered { cause } => write!(
                f,
                "the container was restored and has been killed, because its secrets could not be delivered: {}",
                escaped(cause)
            ),
            Self::Agent { path, cause } => {
                write!(f, "cannot ask the agent at '{}': {}", shown(path), escaped(cause))
            }
            Self::Read { path, cause } => write!(f, "cannot read '{}': {cause}; is the bundle complete?", shown(path)),
            Self::Config { path, cause } => write!(f, "cannot use '{}': {cause}", shown(path)),
            Self::OtherConfig { path } => write!(
                f,
                "'{}' claims a service and is not its bundle's config.json; put it there and leave --config out",
                shown(path)
            ),
            Self::Edit { path, cause } => write!(f, "cannot edit '{}': {cause}", shown(path)),
            Self::Write { path, cause } => write!(f, "cannot write '{}': {cause}; it is as it was", shown(path)),
            Self::Exec { runtime, cause } => write!(f, "cannot start '{}': {cause}", shown(runtime)),
        }
    }
}

impl std::error::Error for WrapperError {}
