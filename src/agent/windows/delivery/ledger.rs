//! Who holds what, on disk beside the values and without one: a new agent tells the living from the dead by it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::deliver::windows::{FillPlace, Layer, LayerRecord, Layout, Plan, PlannedFile, Seams, WindowsError};
use crate::sys::windows::{boot, lifetime};

use super::{Delivery, DeliveryError, disk, key};

/// The record's name in the container's directory.
const RECORD: &str = "record.json";
/// How a bundle is known to be there still: engines remove it with the container.
const CONFIG: &str = "config.json";

/// A process, by a name that no other ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) started: u64,
}

/// One container's delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) delivery: Delivery,
    pub(super) layout: Layout,
    pub(super) files: Vec<PlannedFile>,
    /// Where the links are, if there are any.
    pub(super) layer: Option<Layer>,
    pub(super) links: LayerRecord,
    /// The container's first process, once it is known.
    pub(super) process: Option<Process>,
}

impl Record {
    pub(super) fn new(
        delivery: Delivery,
        plan: &Plan,
        layer: Option<Layer>,
        links: LayerRecord,
        process: Option<Process>,
    ) -> Self {
        Self { delivery, layout: plan.layout, files: plan.files.clone(), layer, links, process }
    }

    /// Whether the container may still be using its secrets: its process runs or, where none is known, its bundle is there.
    pub(super) fn lives(&self) -> bool {
        match self.process {
            Some(Process { pid, started }) => lifetime::started(pid).is_ok_and(|found| found == started),
            // What cannot be looked at now (somebody is just replacing it, a share is away) is no sign of an end.
            None => self.delivery.bundle.join(CONFIG).try_exists().unwrap_or(true),
        }
    }

    pub(super) fn is_of_bundle(&self, bundle: &Path) -> bool {
        let plain = |path: &Path| path.to_string_lossy().replace('/', "\\").trim_end_matches('\\').to_lowercase();
        plain(&self.delivery.bundle) == plain(bundle)
    }

    /// Writes or replaces the record: whole or not at all.
    pub(super) fn write(&self, place: &FillPlace) -> Result<(), DeliveryError> {
        disk::write(&place.directory().join(RECORD), self)
    }
}

/// Makes the directory of containers, or refuses one that is open to others.
pub(super) fn private_directory(seams: &Seams, path: &Path) -> Result<(), DeliveryError> {
    match seams.acl.make_directory(path) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
            return Err(DeliveryError::Record { path: path.to_owned(), cause });
        }
        _ => {}
    }
    let found = path.symlink_metadata().map_err(|cause| DeliveryError::Record { path: path.to_owned(), cause })?;
    let checked = if found.is_dir() { seams.acl.check(path) } else { Err("it is a link, or no directory".to_owned()) };
    checked.map_err(|reason| WindowsError::Access { path: path.to_owned(), reason }.into())
}

/// The records of containers that live, by key. No container outlives Windows.
pub(super) fn living(containers: &Path) -> HashMap<String, Record> {
    let swept = boot::is_noted(&containers.to_string_lossy()).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot tell whether Windows was restarted; all containers are taken for ended");
        false
    });
    if !swept {
        return HashMap::new();
    }
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    let records = entries.filter_map(|entry| {
        let record: Record = disk::read(&entry.path().join(RECORD)).ok()??;
        // A record that was moved is none.
        let in_place = entry.file_name().to_str() == Some(record.delivery.id.as_str());
        (in_place && record.lives()).then(|| (key(&record.delivery.id), record))
    });
    records.collect()
}

/// Notes that what an earlier Windows left has been swept: what is there from now on is of containers of this one. Not before
/// the sweep: an agent that is killed in it leaves all of it to the next.
pub(super) fn note_swept(containers: &Path) {
    if let Err(error) = boot::note(&containers.to_string_lossy()) {
        tracing::warn!(%error, "cannot note that Windows was started; the next agent takes all containers for ended");
    }
}

/// The record of a container's directory, whether it lives or not: what has to be removed beside the directory.
pub(super) fn read_in(directory: &Path) -> Option<Record> {
    disk::read(&directory.join(RECORD)).ok()?
}
