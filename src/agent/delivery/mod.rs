//! Delivery: who holds what now. One hook connection is one exchange; one container is one file system in RAM, of which
//! the agent keeps the writable side until it has scrubbed it.
//!
//! | file | what |
//! |---|---|
//! | `exchange` | a hook connection, from request to record |
//! | `descriptors` | how many containers the agent's descriptors are enough for |
//! | `environment` | what a service wants in a container's environment, for the wrapper |
//! | `identity` | which service a container is, where it does not say |
//! | `selectors` | which service an engine's annotations make of it |
//! | `held` | the containers that hold secrets, and what is left of those that did |
//! | `live` | changes to containers that run |
//! | `put` | new values in places that a container has |
//! | `checkpoint` | mounts out of sight while CRIU writes a container to a disk |
//! | `superseded` | the old one, while somebody may still be reading it |
//! | `record` | the same on disk, without values, so that a new agent knows them |
//! | `reaper` | a container's process ends: scrub |
//! | `gone` | file systems that users hold on to |
//! | `users` | containers of other users than root: whose they are, and their part of the room |
//! | `error` | refusals, in words for the operator |

mod checkpoint;
mod descriptors;
mod environment;
mod error;
mod exchange;
mod gone;
mod held;
mod identity;
mod live;
mod put;
mod reaper;
mod record;
mod selectors;
mod superseded;
mod users;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use serde::{Deserialize, Serialize};

pub use crate::deliver::linux::Protection;
use crate::deliver::linux::{Medium, Stage};
use crate::model::{ContainerId, Id, SecretName, ServiceName, Signal, Target, Timestamp};
use crate::sys::linux::pidfd::MountNamespace;

use super::autolock::Autolock;
use super::docker::Docker;
use super::events::Events;
use descriptors::Descriptors;
pub use error::DeliveryError;
use gone::Lingering;
use held::{Held, Key};
pub use live::Outcome;
use reaper::Reaper;
use record::Records;
pub use record::{Announced, Scope};
pub use selectors::{PatternError, check as check_selectors};
use superseded::Superseded;
use users::Shares;
pub use users::UserLimits;

/// The directory in the run directory in which mounts are staged on older kernels; always empty.
const STAGE_DIR: &str = "stage";

/// One container and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The container.
    pub id: ContainerId,
    /// Its service.
    pub service: ServiceName,
    /// Its service's id.
    pub service_id: Id,
    /// The number of its first process.
    pub pid: i32,
    /// Since when it holds them.
    pub since: Timestamp,
    /// What it holds.
    pub secrets: Vec<Delivered>,
    /// How the values are kept from a disk.
    pub protection: Protection,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The user whose container it is, as the agent counts.
    #[serde(default)]
    pub uid: u32,
    /// How it was told of the last change, if its service asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified: Option<Notified>,
}

/// How a container was told that its secrets have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// By which signal to its first process.
    pub signal: Signal,
    /// When.
    pub at: Timestamp,
    /// Why it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// What of the configuration concerns delivery.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of RAM that one container may have; none: as many as its secrets need.
    pub size_limit: Option<u64>,
    /// Whether containers get a generation directory.
    pub generations: bool,
    /// The file systems that may be used, best first.
    pub filesystems: Vec<Protection>,
    /// Who is asked for the labels of Docker's containers.
    pub docker: Docker,
    /// What each user but root may have.
    pub users: UserLimits,
}

/// The containers that hold secrets.
pub struct Deliveries {
    lock: Arc<Autolock>,
    events: Arc<Events>,
    medium: Medium,
    stage: Stage,
    size_limit: Option<u64>,
    generations: bool,
    records: Records,
    shares: Arc<Shares>,
    lingering: Arc<Lingering>,
    held: Mutex<HashMap<Key, Held>>,
    /// Something that was under way for a container has ended.
    changed: Condvar,
    reaper: Reaper,
    superseded: Superseded,
    /// Containers whose runtime is restoring them.
    restoring: Mutex<HashSet<Key>>,
    descriptors: Descriptors,
    own_namespace: MountNamespace,
    docker: Docker,
}

impl Deliveries {
    /// Finds out what the kernel offers, and reads what an earlier agent left on record in `run_dir`.
    ///
    /// # Errors
    /// [`DeliveryError`] when no file system in RAM can be made, or the run directory cannot be used.
    pub fn new(
        lock: Arc<Autolock>,
        events: Arc<Events>,
        run_dir: &Path,
        settings: &Settings,
    ) -> Result<Arc<Self>, DeliveryError> {
        let medium = Medium::probe(&settings.filesystems)?;
        let stage_dir = run_dir.join(STAGE_DIR);
        record::make_private_dir(&stage_dir)?;
        let stage = Stage::probe(medium, &stage_dir)?;
        let own_namespace = MountNamespace::own().map_err(|cause| DeliveryError::OwnNamespace { cause })?;
        let records = Records::open(run_dir)?;
        let descriptors = Descriptors::of_this_process()?;
        tracing::info!(filesystem = %medium.protection(), detached_clones = matches!(stage, Stage::Detached), "delivery is ready");
        let deliveries = Arc::new(Self {
            lock,
            events,
            medium,
            stage,
            size_limit: settings.size_limit,
            generations: settings.generations,
            records,
            shares: Shares::new(settings.users),
            lingering: Lingering::start()?,
            held: Mutex::default(),
            changed: Condvar::new(),
            reaper: Reaper::new()?,
            restoring: Mutex::default(),
            superseded: Superseded::start(descriptors.for_superseded())?,
            descriptors,
            own_namespace,
            docker: settings.docker.clone(),
        });
        deliveries.resume();
        deliveries.start_reaper()?;
        Ok(deliveries)
    }

    /// How values are kept from a disk: what the kernel offers of what the configuration allows.
    pub fn protection(&self) -> Protection {
        self.medium.protection()
    }

    /// Whether the kernel clones detached mounts (Linux 6.15), so that no private mount namespace is needed.
    pub fn clones_detached(&self) -> bool {
        matches!(self.stage, Stage::Detached)
    }

    /// Writes down again in `run_dir` what its removal has taken: a later agent finds the containers by it.
    ///
    /// # Errors
    /// [`DeliveryError::Record`].
    pub fn write_anew(&self, run_dir: &Path) -> Result<(), DeliveryError> {
        record::make_private_dir(&run_dir.join(STAGE_DIR))?;
        Records::open(run_dir)?;
        self.held().values().filter_map(Held::record).try_for_each(|record| self.records.write(&record))
    }

    /// The containers that hold secrets now, by id.
    pub fn list(&self) -> Vec<Delivery> {
        let mut deliveries: Vec<Delivery> = self.held().values().filter_map(Held::delivery).cloned().collect();
        deliveries.sort_by(|a, b| (&a.id, a.uid, &a.bundle).cmp(&(&b.id, b.uid, &b.bundle)));
        deliveries
    }
}
