//! Why a delivery was refused: one line for the operator, who sees it in the engine's error message or the wrapper's.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::agent::autolock::Locked;
use crate::agent::catalog::CatalogError;
use crate::deliver::windows::WindowsError;
use crate::model::{ServiceName, escaped};
use crate::policy::Refusal;

use super::PatternError;

/// Why a delivery was refused or could not be made.
#[derive(Debug)]
pub enum DeliveryError {
    /// The asker speaks another version of the protocol.
    Protocol(u32),
    /// The agent is locked.
    Locked(Locked),
    /// The service stops.
    Stopping,
    /// A grant has an end before its container's.
    Until,
    /// There is no such service.
    NoService(String),
    /// The selectors of several services hold for the container.
    TwoSelected(Vec<ServiceName>),
    /// A selector cannot be used.
    Pattern(PatternError),
    /// Policy says no.
    Refused(Refusal),
    /// Another container of the same id holds secrets.
    Occupied(String),
    /// The container has the secrets of one service, and claims another.
    TwoServices {
        /// The service whose secrets it has.
        has: String,
        /// The other.
        claims: String,
    },
    /// The container's first process is not there.
    Process {
        /// Its number.
        pid: u32,
        /// What the system says.
        cause: io::Error,
    },
    /// A value could not be opened.
    Catalog(CatalogError),
    /// The plan, the files or the links.
    Deliver(WindowsError),
    /// The record could not be written, or the directory of containers cannot be used.
    Record {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The thread that watches could not be started.
    Thread(io::Error),
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(version) => write!(
                f,
                "the asker speaks protocol {version} and the agent {}; install programs of one version",
                crate::wire::PROTOCOL
            ),
            Self::Locked(locked) => write!(f, "{locked}"),
            Self::Stopping => f.write_str("the agent is being stopped; ask again when it has been started"),
            Self::NoService(name) => write!(
                f,
                "service '{}' not found; create it with `runsecrets service create --name {}`",
                escaped(name),
                escaped(name)
            ),
            Self::Until => f.write_str("a secret stays as long as its container on Windows; grant it without until="),
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
                "another container with the id '{}' holds secrets; stop it first, or `runsecrets-runtime release` its bundle",
                escaped(id)
            ),
            Self::TwoServices { has, claims } => write!(
                f,
                "the container is service '{}' already and cannot be '{}' too; make one service with the grants of both",
                escaped(has),
                escaped(claims)
            ),
            Self::Process { pid, cause } => {
                write!(f, "cannot look at the container's process {pid}: {cause}; is it still there?")
            }
            Self::Catalog(cause) => write!(f, "{cause}"),
            Self::Deliver(cause) => write!(f, "{cause}"),
            Self::Record { path, cause } => write!(
                f,
                "cannot keep the record of a delivery at '{}': {cause}; make room on the volume",
                escaped(&path.to_string_lossy())
            ),
            Self::Thread(cause) => write!(f, "cannot start the thread that watches containers: {cause}"),
        }
    }
}

impl std::error::Error for DeliveryError {}

macro_rules! from {
    ($($variant:ident($error:ty)),+) => {
        $(impl From<$error> for DeliveryError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from!(Locked(Locked), Pattern(PatternError), Refused(Refusal), Catalog(CatalogError), Deliver(WindowsError));
