//! Deliveries on disk, in the run directory: enough for a new agent to find the containers again, and no value.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::agent::catalog::Catalog;
use crate::deliver::linux::{
    Adopted, FileSystem, Hidden, OldFile, PlannedFile, Swap, Unfinished, Writable, adopt, shown,
};
use crate::failpoint::{Point, reach};
use crate::model::{Id, SecretName, Service};
use crate::sys::linux::owner::Ownership;
use crate::sys::linux::pidfd::Process;
use crate::wire::{MadePoint, Mount};

use super::held::{Container, Key, OutOfSight};
use super::users::Shares;
use super::{Delivery, DeliveryError};

/// The directory in the run directory.
const DIRECTORY: &str = "containers";
/// Files beside it, `change-N.json`, say which changes are under way.
const ANNOUNCEMENT: &str = "change-";
/// The most bytes of one record.
const MAX_RECORD: u64 = 4 * 1024 * 1024;

/// One container's delivery.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    delivery: Delivery,
    started: u64,
    devices: Vec<FileSystem>,
    files: Vec<PlannedFile>,
    /// What it takes of its user's part.
    #[serde(default)]
    bytes: u64,
    mounts: Vec<Mount>,
    made: Vec<MadePoint>,
    /// A mount that may be attached, and may be not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Mount>,
    #[serde(default)]
    generations: bool,
    /// Whether its mounts are, or are about to be, out of sight for a checkpoint.
    #[serde(default)]
    hidden: bool,
}

impl Record {
    pub(super) fn of(container: &Container) -> Self {
        Self {
            delivery: container.delivery.clone(),
            started: container.started,
            devices: container.devices.clone(),
            files: container.files.clone(),
            bytes: container.share.as_ref().map_or(0, |share| share.bytes),
            mounts: container.mounts.clone(),
            made: container.made.clone(),
            begun: container.begun.clone(),
            generations: container.generations,
            hidden: container.hidden.is_some(),
        }
    }

    /// The same of a container whose mounts are about to go out of sight.
    pub(super) fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// Whose it is.
    pub(super) fn key(&self) -> Key {
        Key { uid: self.delivery.uid, id: self.delivery.id.clone(), bundle: self.delivery.bundle.clone() }
    }

    /// The mount points that were made for it.
    pub(super) fn made(&self) -> &[MadePoint] {
        &self.made
    }

    /// Whether its very process has not ended, as far as can be told.
    pub(super) fn is_alive(&self) -> bool {
        is_alive(self.delivery.pid, self.started)
    }

    /// Empties what those of `survivors` still show that have outlived this container's first process: they are no container
    /// any more, and nobody else would. How many files.
    ///
    /// Those in namespaces that are not of the container's user any more are left alone.
    pub(super) fn scrub_survivors(&self, survivors: &[Survivor]) -> usize {
        let mut files = 0;
        for (process, shown) in survivors {
            if self.devices.iter().any(|own| shown.contains(own))
                && self.is_in_namespaces_of_its_user(process)
                && let Ok(adopted) = adopt(process, &self.mounts, &self.devices, None)
            {
                let scrubbed = adopted.scrub();
                files += scrubbed.files;
                for failure in scrubbed.failures {
                    tracing::error!(container = %self.delivery.id, "cannot scrub: {failure}");
                }
            }
        }
        files
    }

    /// Whether the agent may look into the namespaces that `process` is in: root's containers may be in any.
    fn is_in_namespaces_of_its_user(&self, process: &Process) -> bool {
        let uid = self.delivery.uid;
        uid == 0 || Ownership::of(process).is_ok_and(|it| it.user_namespace == uid && it.mount_namespace == uid)
    }

    /// The container, if its very process is still there, with as much of the writable side as it still shows, and what
    /// an agent that was killed has left there; `swap` as in [`Unfinished`].
    ///
    /// That is nothing where its first process is on its way out: it has left its namespaces, and waits in the kernel for
    /// others. The namespaces of a user's container are looked into only if they are that user's still.
    pub(super) fn resume(&self, shares: &Arc<Shares>, swap: Swap) -> Option<(Container, Vec<OldFile>)> {
        let process = Process::open(self.delivery.pid).ok()?;
        if process.start_time().ok()? != self.started {
            return None;
        }
        let uid = self.delivery.uid;
        let begun: Vec<Mount> = self.begun.iter().cloned().collect();
        let unfinished = (uid == 0).then_some(Unfinished { begun: &begun, swap });
        let mut adopted = match self.is_in_namespaces_of_its_user(&process) {
            true => adopt(&process, &self.mounts, &self.devices, unfinished.as_ref()).unwrap_or_default(),
            false => Adopted::default(),
        };
        let old = adopted.take_old();
        let mut hidden = None;
        let mut delivery = self.delivery.clone();
        let mut kept = (self.devices.clone(), self.files.clone(), self.mounts.clone());
        if self.hidden && adopted.len() < kept.2.len() {
            // What was out of sight has gone with the agent that had it: it is given everything anew.
            adopted = Adopted::default();
            kept = Default::default();
            delivery.secrets.clear();
            hidden = Some(OutOfSight { mounts: Hidden::default(), missed: true });
        }
        let (devices, files, mounts) = kept;
        // It was within its user's part when it started; a lower limit since then stops the next one.
        let share = shares.take(uid, self.bytes).ok().flatten();
        let container = Container {
            delivery,
            process: Arc::new(process),
            started: self.started,
            writable: Writable::adopted(adopted),
            devices,
            files,
            share,
            mounts,
            made: self.made.clone(),
            begun: None,
            generations: self.generations,
            watched: Vec::new(),
            is_adopted: true,
            hidden,
        };
        Some((container, old))
    }
}

/// A process, and which file systems of ours it shows.
pub(super) type Survivor = (Process, Vec<FileSystem>);

/// The processes that show what one of `ended` had: usually none, as they end with the first one of a pid namespace.
pub(super) fn survivors(ended: &[Record]) -> Vec<Survivor> {
    let file_systems: Vec<FileSystem> = ended.iter().flat_map(|record| record.devices.iter().copied()).collect();
    if file_systems.is_empty() {
        return Vec::new();
    }
    let processes = Process::all().into_iter().flatten();
    let shown = processes.map(|process| {
        let shown = shown(&process, &file_systems);
        (process, shown)
    });
    shown.filter(|(_, shown)| !shown.is_empty()).collect()
}

/// Which containers a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Those that hold one of these secrets: they get its current version.
    Secrets(Vec<Id>),
    /// Those of this service: they get what it grants.
    Service(Id),
}

impl Scope {
    /// The services whose containers it may be about, though they hold nothing yet.
    pub(super) fn services(&self, catalog: &Catalog) -> Vec<Id> {
        let ids = match self {
            Self::Secrets(ids) => ids,
            Self::Service(id) => return vec![id.clone()],
        };
        let names: Vec<SecretName> =
            ids.iter().filter_map(|id| catalog.secret(id.as_str()).ok()).map(|secret| secret.name).collect();
        let grants = |service: &Service| service.grants.as_slice().iter().any(|grant| names.contains(&grant.source));
        catalog.services().into_iter().filter(grants).map(|service| service.id).collect()
    }

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

/// The directory of records.
#[derive(Debug)]
pub(super) struct Records {
    directory: PathBuf,
    /// What an earlier agent had announced and not finished.
    left: Mutex<Vec<Announced>>,
    /// The number of the next announcement: above those that are left.
    next: AtomicU64,
}

impl Records {
    /// Opens, and makes if need be, the directory in `run_dir`.
    pub(super) fn open(run_dir: &Path) -> Result<Self, DeliveryError> {
        let directory = run_dir.join(DIRECTORY);
        make_private_dir(&directory)?;
        let (mut left, mut next) = (Vec::new(), 0);
        for path in fs::read_dir(run_dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            let Some(number) = announcement(&path) else {
                // What an agent left that was killed while it wrote.
                if announcement(&path.with_extension("json")).is_some() {
                    let _ = fs::remove_file(&path);
                }
                continue;
            };
            next = next.max(number + 1);
            match fs::read(&path).map(|text| serde_json::from_slice(&text)) {
                Ok(Ok(scope)) => left.push(Announced { scope, path }),
                _ => drop(fs::remove_file(&path)),
            }
        }
        Ok(Self { directory, left: Mutex::new(left), next: AtomicU64::new(next) })
    }

    /// Writes or replaces a record: whole or not at all.
    pub(super) fn write(&self, record: &Record) -> Result<(), DeliveryError> {
        let path = self.path(record);
        let bytes = serde_json::to_vec(record).map_err(io::Error::other);
        bytes.and_then(|bytes| replace(&path, &bytes)).map_err(|cause| DeliveryError::Record { path, cause })
    }

    /// Removes a record; one that is not there is no error.
    pub(super) fn remove(&self, record: &Record) -> Result<(), DeliveryError> {
        let path = self.path(record);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(DeliveryError::Record { path, cause }),
            _ => Ok(()),
        }
    }

    /// Writes down which change is about to be made.
    pub(super) fn announce(&self, scope: Scope) -> Result<Announced, DeliveryError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.with_file_name(format!("{ANNOUNCEMENT}{number}.json"));
        let text = serde_json::to_vec(&scope).map_err(io::Error::other);
        match text.and_then(|text| replace(&path, &text)) {
            Ok(()) => Ok(Announced { scope, path }),
            Err(cause) => Err(DeliveryError::Record { path, cause }),
        }
    }

    /// The changes that an earlier agent announced and did not finish; each is handed out once.
    pub(super) fn left(&self) -> Vec<Announced> {
        std::mem::take(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The change that was announced is done.
    pub(super) fn forget(&self, announced: &Announced) {
        if let Err(error) = fs::remove_file(&announced.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, "cannot remove {}", announced.path.display());
        }
    }

    /// Every record. What is none, or was not finished, is removed; one that cannot be read now stays, and so does what another
    /// version of this program may have written for a container that runs.
    pub(super) fn read_all(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let entries = fs::read_dir(&self.directory).inspect_err(|error| {
            tracing::error!(%error, "cannot read {}: no container is taken over", self.directory.display());
        });
        for path in entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            let stays = match read(&path).map(|bytes| serde_json::from_slice::<Record>(&bytes)) {
                Ok(Ok(record)) if path == self.path(&record) => {
                    records.push(record);
                    continue;
                }
                Ok(_) if !names_a_process(&path) => None,
                Ok(_) => Some("it is no record that this version knows".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            match stays {
                None => drop(fs::remove_file(&path)),
                Some(cause) => {
                    tracing::error!("cannot take a container over from {}: {cause}; restart it", path.display());
                }
            }
        }
        records
    }

    fn path(&self, record: &Record) -> PathBuf {
        self.directory.join(format!("{}-{}.json", record.delivery.pid, record.started))
    }
}

/// Writes `path` whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        reach(Point::RecordWritten);
        fs::rename(&fresh, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh)))?;
    reach(Point::RecordReplaced);
    Ok(())
}

/// The number of the announcement that `path` is.
fn announcement(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(ANNOUNCEMENT)?.strip_suffix(".json")?.parse().ok()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_RECORD).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the process that a record of this name is about has not ended, as far as can be told.
fn names_a_process(path: &Path) -> bool {
    let named = || {
        let (pid, started) = path.file_name()?.to_str()?.strip_suffix(".json")?.split_once('-')?;
        Some(is_alive(pid.parse().ok()?, started.parse().ok()?))
    };
    named().unwrap_or_default()
}

fn is_alive(pid: i32, started: u64) -> bool {
    match Process::open(pid) {
        Ok(process) => process.start_time().is_ok_and(|at| at == started) && process.is_alive().unwrap_or(true),
        // It is this agent that lacks something.
        Err(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)),
    }
}

/// Makes `path` a directory that only the agent may use; one that is there keeps its mode, which the run directory's
/// owner set.
pub(super) fn make_private_dir(path: &Path) -> Result<(), DeliveryError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
            Err(DeliveryError::Record { path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_now_is_not_thrown_away() {
        let run = tempfile::tempdir().unwrap();
        let records = Records::open(run.path()).unwrap();
        let own = Process::open(i32::try_from(std::process::id()).unwrap()).unwrap();
        let (pid, started) = (own.pid(), own.start_time().unwrap());
        let directory = run.path().join(DIRECTORY);
        let [of_ours, of_another, of_nobody, unfinished, unreadable] = [
            format!("{pid}-{started}.json"),
            format!("{pid}-{}.json", started + 1),
            "none.json".to_owned(),
            format!("{pid}-{started}.new"),
            "1-2.json".to_owned(),
        ]
        .map(|name| directory.join(name));
        for path in [&of_ours, &of_another, &of_nobody, &unfinished] {
            fs::write(path, r#"{"of":"a later version"}"#).unwrap();
        }
        fs::create_dir(&unreadable).unwrap();
        assert!(records.read_all().is_empty());
        assert!(of_ours.exists() && unreadable.exists());
        assert!(![of_another, of_nobody, unfinished].iter().any(|path| path.exists()));
    }
}
