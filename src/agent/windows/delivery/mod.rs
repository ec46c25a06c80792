//! Delivery on Windows: who holds what now. Values stand in files of the container's directory, which only SYSTEM and
//! administrators may read, until the container has stopped. One exchange, change or removal at a time.
//!
//! | file | what |
//! |---|---|
//! | `exchange` | a request of a hook's or the wrapper's, from claim to answer |
//! | `ledger` | who holds what, on disk without values, so that a new agent knows the living from the dead |
//! | `live` | changes to containers that run |
//! | `watch` | containers that have ended, and what could not be removed at once |
//! | `listed` | what is told of a container |
//! | `announced` | changes that are to be finished |
//! | `disk` | what of both is on disk |
//! | `absent` | what only containers on Linux have |
//! | `error` | refusals, in words for the operator |

mod absent;
#[path = "../../delivery/announced.rs"]
mod announced;
#[path = "../../delivery/disk.rs"]
mod disk;
mod error;
mod exchange;
mod ledger;
#[path = "../../delivery/listed.rs"]
mod listed;
mod live;
#[path = "../../delivery/selectors.rs"]
mod selectors;
mod watch;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::autolock::Autolock;
use super::clock;
use super::config::Bitlocker;
use super::events::{Events, Kind};
use crate::deliver::windows::{Demand, Seams, folded};
use crate::model::{ContainerId, escaped};
use crate::replace::Synced;

pub use crate::deliver::windows::Protection;
pub use absent::{Healthy, Weakness};
use announced::Announcements;
pub use announced::{Announced, Scope};
pub use error::DeliveryError;
use ledger::Record;
pub use listed::{CommandState, Commanded, Delivered, Delivery, Ended, Notified, Order, Outcome};
pub use selectors::{PatternError, check as check_selectors};

/// How long a stop tries to remove what somebody has open: less than half of what the service control manager waits, since
/// it comes twice.
const LAST_TRIES: Duration = Duration::from_secs(15);
/// The pause between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// The directory below the agent's own that has a directory for each container.
const CONTAINERS: &str = "containers";

/// Records are kept beside values, on a disk.
const SYNCED: Synced = Synced::File;

/// The containers that hold secrets.
pub struct Deliveries {
    lock: Arc<Autolock>,
    events: Arc<Events>,
    seams: Seams,
    containers: PathBuf,
    demand: Demand,
    /// By the folded id: NTFS has one directory for two ids that differ in case.
    held: Mutex<HashMap<String, Record>>,
    /// Whoever delivers, changes or removes.
    turn: Mutex<Turn>,
    announcements: Announcements,
    /// A command waits: never.
    pub(in crate::agent) commands: tokio::sync::Notify,
}

/// What whoever has the turn knows.
#[derive(Debug, Default)]
struct Turn {
    /// Nothing is delivered any more: the service stops.
    stopping: bool,
    /// Directories whose removal has failed and been told of.
    left: HashSet<String>,
    /// Containers that have old values beside their own, which could not be overwritten yet, by their names in `held`.
    past: HashSet<String>,
}

impl Deliveries {
    /// Removes what an earlier agent has left below `run_dir` of containers that live no more, takes the others up, and is
    /// ready; called before a pipe opens.
    ///
    /// # Errors
    /// See [`DeliveryError`].
    pub fn new(
        lock: Arc<Autolock>,
        events: Arc<Events>,
        run_dir: &Path,
        bitlocker: Bitlocker,
    ) -> Result<Arc<Self>, DeliveryError> {
        let (seams, containers) = (Seams::win32(), run_dir.join(CONTAINERS));
        let demand = match bitlocker {
            Bitlocker::Require => Demand::Require,
            Bitlocker::Warn => Demand::Warn,
        };
        ledger::private_directory(&seams, &containers)?;
        let held = ledger::living(&containers);
        let turn = Mutex::new(Turn { past: held.keys().cloned().collect(), ..Turn::default() });
        let held = Mutex::new(held);
        let announcements = Announcements::open(run_dir);
        let commands = tokio::sync::Notify::new();
        let deliveries =
            Arc::new(Self { lock, events, seams, containers, demand, held, turn, announcements, commands });
        deliveries.sweep();
        ledger::note_swept(&deliveries.containers);
        for record in deliveries.held().values() {
            tracing::info!(container = %record.delivery.id, service = %record.delivery.service, "taken over from an earlier agent");
        }
        deliveries.start_watch()?;
        Ok(deliveries)
    }

    /// How values are kept from a disk: the state of the volume now. Takes some seconds where nobody answers.
    pub fn protection(&self) -> Protection {
        self.seams.volume.state_of(&self.containers).protection()
    }

    /// There are no mounts to clone.
    pub fn clones_detached(&self) -> bool {
        false
    }

    /// The containers that hold secrets now, by id.
    pub fn list(&self) -> Vec<Delivery> {
        let mut deliveries: Vec<Delivery> = self.held().values().map(|record| record.delivery.clone()).collect();
        deliveries.sort_by(|one, other| one.id.cmp(&other.id));
        deliveries
    }

    /// Removes everything that was delivered, and delivers nothing any more: the service stops, or the machine does; blocks.
    /// What somebody has open is tried again for a while, and is told of if it is left in the end.
    pub fn scrub(&self) {
        let mut turn = self.turn();
        turn.stopping = true;
        let all: Vec<String> = self.held().keys().cloned().collect();
        for key in all {
            self.remove(&mut turn, &key, "agent stops");
        }
        drop(turn);
        let last = Instant::now() + LAST_TRIES;
        while !self.turn().left.is_empty() && Instant::now() < last {
            std::thread::sleep(BETWEEN_TRIES);
            self.sweep();
        }
        for name in &self.turn().left {
            tracing::error!(
                "'{}' is left with values in it, since somebody has them open: the next start removes it",
                escaped(name)
            );
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what happened to the container `id`.
    fn emit(&self, action: &'static str, id: &ContainerId, attributes: &[(&'static str, &str)]) {
        self.events.emit(clock::now(), Kind::Container, action, id.as_str(), &escaped(id.as_str()), attributes);
    }
}

/// The name by which a container is known.
fn key(id: &ContainerId) -> String {
    folded(id.as_str())
}
