//! `GET /runsecrets/v1/status`: what the agent found at its start, and how it stands now, for `runsecrets doctor`. It
//! counts secrets and services and names none of them; of a key it tells the file, never a byte.

use std::path::{Path, PathBuf};

use hyper::StatusCode;
use serde::Serialize;

use super::answer::Answer;
use super::error::ApiError;
use super::{Api, lost_thread};
use crate::agent::delivery::Protection;
use crate::agent::hardened::Hardened;
use crate::agent::rootkey::KeyFiles;
use crate::sys::here::file::owner_and_mode;

/// What a start finds out once.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Facts {
    /// The configuration that was read; none where there was no file.
    pub config_file: Option<PathBuf>,
    /// The sealed store's directory.
    pub state_dir: PathBuf,
    /// The sockets' directory.
    pub run_dir: PathBuf,
    /// The sockets, as they were made.
    pub sockets: Vec<Socket>,
    /// Whether the configuration allows file systems that the kernel may swap.
    pub swap_allowed: bool,
    /// What the process could do for its own memory.
    pub memory: Hardened,
}

/// A socket as it was made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Socket {
    /// Its name in the run directory.
    pub name: &'static str,
    /// Its mode, octal; empty where it was gone at once.
    pub mode: String,
}

impl Socket {
    /// The socket `name` of `run_dir`, which has just been made.
    pub fn as_made(run_dir: &Path, name: &'static str) -> Self {
        let found = owner_and_mode(&run_dir.join(name));
        Self { name, mode: found.map(|(_, mode)| mode).unwrap_or_default() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status<'a> {
    version: &'static str,
    pid: u32,
    locked: bool,
    /// None while locked.
    secrets: Option<usize>,
    services: Option<usize>,
    containers: usize,
    protection: Protection,
    detached_clones: bool,
    root_key: KeyFiles,
    #[serde(flatten)]
    facts: &'a Facts,
}

/// `GET /status`.
pub(super) async fn describe(api: &Api) -> Result<Answer, ApiError> {
    let lock = api.lock.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let counts = lock.catalog().ok().map(|catalog| (catalog.secrets().len(), catalog.services().len()));
        (counts, lock.key_files())
    });
    let (counts, root_key) = looked.await.map_err(|_| lost_thread())?;
    let (secrets, services) = counts.unzip();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        locked: counts.is_none(),
        secrets,
        services,
        containers: api.deliveries().await?.len(),
        protection: api.deliveries.protection(),
        detached_clones: api.deliveries.clones_detached(),
        root_key,
        facts: &api.facts,
    };
    Ok(Answer::json(StatusCode::OK, &status))
}
