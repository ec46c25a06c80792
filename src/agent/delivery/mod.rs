//! Delivery: who holds what now. One hook connection is one exchange; one container is one file system in RAM, of which
//! the agent keeps the writable side until it has scrubbed it.
//!
//! | file | what |
//! |---|---|
//! | `exchange` | a hook connection, from request to record |
//! | `conversation` | what is said in between |
//! | `filling` | a container that has not all of it yet |
//! | `listed` | what is told of a container, on every platform |
//! | `announced` | changes that are to be finished, on every platform |
//! | `disk` | what of both is on disk, on every platform |
//! | `command` | what is run on the host after a change, by somebody else |
//! | `descriptors` | how many containers the agent's descriptors are enough for |
//! | `environment` | what a service wants in a container's environment, for the wrapper |
//! | `identity` | which service a container is, where it does not say |
//! | `selectors` | which service an engine's annotations make of it |
//! | `held` | the containers that hold secrets, and what is left of those that did |
//! | `live` | changes to containers that run |
//! | `regrant` | more and less for them |
//! | `put` | new values in places that a container has |
//! | `checkpoint` | mounts out of sight while CRIU writes a container to a disk |
//! | `superseded` | the old one, while somebody may still be reading it |
//! | `record` | the same on disk, without values, so that a new agent knows them |
//! | `until` | secrets that leave before their container ends |
//! | `read` | those that leave when they have been read |
//! | `reaper` | a container's process ends: scrub |
//! | `gone` | file systems that users hold on to |
//! | `users` | containers of other users than root: whose they are, and their part of the room |
//! | `weakness` | what a container may do that its secrets are not safe from |
//! | `error` | refusals, in words for the operator |

mod announced;
mod checkpoint;
mod command;
mod conversation;
mod descriptors;
mod disk;
mod environment;
mod error;
mod exchange;
mod filling;
mod gone;
mod held;
mod identity;
mod listed;
mod live;
mod put;
mod read;
mod reaper;
mod record;
mod regrant;
mod selectors;
mod superseded;
mod until;
mod users;
mod weakness;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use crate::deliver::linux::Protection;
use crate::deliver::linux::{Medium, Stage, Swap};
use crate::replace::Synced;
use crate::sys::linux::pidfd::MountNamespace;

use super::autolock::Autolock;
use super::docker::Docker;
use super::events::Events;
use announced::Announcements;
pub use announced::{Announced, Scope};
use descriptors::Descriptors;
pub use error::DeliveryError;
use gone::Lingering;
use held::{Held, Key};
pub use listed::{CommandState, Commanded, Delivered, Delivery, Ended, Notified, Order, Outcome};
use reaper::Reaper;
use record::Records;
pub use selectors::{PatternError, check as check_selectors};
use superseded::Superseded;
pub use until::Healthy;
use until::Leaving;
use users::Shares;
pub use users::UserLimits;
pub use weakness::Weakness;

/// The directory in the run directory in which mounts are staged on older kernels; always empty.
const STAGE_DIR: &str = "stage";

/// What a record on disk is kept from: the run directory does not outlive a start of the machine.
const SYNCED: Synced = Synced::Nothing;

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
    swap: Swap,
    size_limit: Option<u64>,
    generations: bool,
    records: Records,
    announcements: Announcements,
    shares: Arc<Shares>,
    lingering: Arc<Lingering>,
    held: Mutex<HashMap<Key, Held>>,
    /// Something that was under way for a container has ended.
    changed: Condvar,
    reaper: Reaper,
    superseded: Superseded,
    leaving: Leaving,
    /// A command waits, perhaps.
    pub(in crate::agent) commands: tokio::sync::Notify,
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
        let swap = Swap::probe();
        let own_namespace = MountNamespace::own().map_err(|cause| DeliveryError::OwnNamespace { cause })?;
        let records = Records::open(run_dir)?;
        let descriptors = Descriptors::of_this_process()?;
        tracing::info!(filesystem = %medium.protection(), detached_clones = stage.clones_detached(), beneath = swap == Swap::Beneath, "delivery is ready");
        let deliveries = Arc::new(Self {
            lock,
            events,
            medium,
            stage,
            swap,
            size_limit: settings.size_limit,
            generations: settings.generations,
            records,
            announcements: Announcements::open(run_dir),
            shares: Shares::new(settings.users),
            lingering: Lingering::start()?,
            held: Mutex::default(),
            changed: Condvar::new(),
            reaper: Reaper::new()?,
            restoring: Mutex::default(),
            superseded: Superseded::start(descriptors.for_superseded())?,
            leaving: Leaving::new()?,
            commands: tokio::sync::Notify::new(),
            descriptors,
            own_namespace,
            docker: settings.docker.clone(),
        });
        deliveries.resume();
        deliveries.start_reaper()?;
        deliveries.start_leaving()?;
        Ok(deliveries)
    }

    /// How values are kept from a disk: what the kernel offers of what the configuration allows.
    pub fn protection(&self) -> Protection {
        self.medium.protection()
    }

    /// Whether the kernel clones detached mounts (Linux 6.15), so that no private mount namespace is needed.
    pub fn clones_detached(&self) -> bool {
        self.stage.clones_detached()
    }

    /// Writes down again in `run_dir` what its removal has taken: a later agent finds the containers by it.
    ///
    /// # Errors
    /// [`DeliveryError::Record`].
    pub fn write_anew(&self, run_dir: &Path) -> Result<(), DeliveryError> {
        record::make_private_dir(&run_dir.join(STAGE_DIR))?;
        Records::open(run_dir)?;
        let keys: Vec<Key> = self.held().keys().cloned().collect();
        keys.iter().try_for_each(|key| {
            // What is being changed may have been written down before the directory was removed; what is being delivered to
            // will be written down yet.
            let held = self.unchanging(key);
            held.get(key).and_then(Held::record).map_or(Ok(()), |record| self.records.write(&record))
        })
    }

    /// Has old versions of values scrubbed before the agent ends: those that somebody may still be reading when that is over,
    /// but not later than `patience`; blocks.
    pub fn finish_superseded(&self, patience: Duration) {
        self.superseded.finish(patience);
    }

    /// The containers that hold secrets now, by id.
    pub fn list(&self) -> Vec<Delivery> {
        self.list_with_starts().into_iter().map(|(delivery, _)| delivery).collect()
    }

    /// The same, each with when its first process started.
    fn list_with_starts(&self) -> Vec<(Delivery, u64)> {
        let listed = |held: &Held| match held {
            Held::Holding(container) => Some((container.delivery.clone(), container.started)),
            Held::Changing(delivery, started) => Some(((**delivery).clone(), *started)),
            Held::UnderWay(_) | Held::Ended { .. } => None,
        };
        let mut all: Vec<(Delivery, u64)> = self.held().values().filter_map(listed).collect();
        all.sort_by(|(a, _), (b, _)| (&a.id, a.uid, &a.bundle).cmp(&(&b.id, b.uid, &b.bundle)));
        all
    }
}
