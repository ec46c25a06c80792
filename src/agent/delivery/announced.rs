//! Changes that are announced: on disk before the catalog is changed, so that a new agent finishes what one that was killed
//! had begun. The same on every platform.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::Id;

use super::{Delivery, DeliveryError, disk};

/// Files in the run directory, `change-N.json`, say which changes are under way.
const PREFIX: &str = "change-";

/// Which containers a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Those that hold one of these secrets: they get its current version.
    Secrets(Vec<Id>),
    /// Those of this service: they get what it grants.
    Service(Id),
}

impl Scope {
    pub(super) fn concerns(&self, delivery: &Delivery) -> bool {
        match self {
            Self::Secrets(ids) => delivery.secrets.iter().any(|secret| ids.contains(&secret.id)),
            Self::Service(id) => delivery.service_id == *id,
        }
    }
}

/// A change that is on record and not finished; there may be several at one time.
#[derive(Debug)]
pub struct Announced {
    pub(super) scope: Scope,
    path: PathBuf,
}

/// The changes that are on record.
#[derive(Debug)]
pub(super) struct Announcements {
    directory: PathBuf,
    /// What an earlier agent had announced and not finished.
    left: Mutex<Vec<Announced>>,
    /// The number of the next one: above those that are left.
    next: AtomicU64,
}

impl Announcements {
    /// Reads those that are left in `directory`; what is none, or was not finished, is removed.
    pub(super) fn open(directory: &Path) -> Self {
        let (mut left, mut next) = (Vec::new(), 0);
        for path in fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            let Some(number) = number(&path) else {
                // What an agent left that was killed while it wrote.
                if number_of_fresh(&path).is_some() {
                    let _ = fs::remove_file(&path);
                }
                continue;
            };
            next = next.max(number + 1);
            match disk::read(&path) {
                Ok(Some(scope)) => left.push(Announced { scope, path }),
                _ => drop(fs::remove_file(&path)),
            }
        }
        Self { directory: directory.to_owned(), left: Mutex::new(left), next: AtomicU64::new(next) }
    }

    /// Writes down which change is about to be made.
    pub(super) fn make(&self, scope: Scope) -> Result<Announced, DeliveryError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{PREFIX}{number}.json"));
        disk::write(&path, &scope)?;
        Ok(Announced { scope, path })
    }

    /// The changes that an earlier agent announced and did not finish; each is handed out once.
    pub(super) fn left(&self) -> Vec<Announced> {
        std::mem::take(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The change that was announced is done.
    pub(super) fn forget(&self, announced: &Announced) {
        if let Err(error) = disk::remove(&announced.path) {
            tracing::error!("{error}");
        }
    }
}

/// The number of the announcement that `path` is.
fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(".json")?.parse().ok()
}

/// The number of the announcement that `path` was to become.
fn number_of_fresh(path: &Path) -> Option<u64> {
    path.extension().filter(|end| *end == disk::FRESH).and_then(|_| number(&path.with_extension("json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_handed_out_once_and_numbers_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(directory.path()).unwrap().count();
        let announcements = Announcements::open(directory.path());
        assert!(announcements.left().is_empty());
        for number in [7, 8] {
            disk::write(&directory.path().join(format!("change-{number}.json")), &Scope::Secrets(Vec::new())).unwrap();
        }
        for other in ["change-9.new", "change-10.json", "change-x.json", "config.toml"] {
            fs::write(directory.path().join(other), "{").unwrap();
        }
        let announcements = Announcements::open(directory.path());
        assert_eq!((announcements.left().len(), announcements.left().len(), names()), (2, 0, 4));
        let made = announcements.make(Scope::Secrets(Vec::new())).unwrap();
        assert_eq!(made.path.file_name().unwrap(), "change-11.json");
        announcements.forget(&made);
        announcements.forget(&made);
        assert_eq!(names(), 4);
    }
}
