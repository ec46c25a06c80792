//! What is known of a container that holds secrets, and told to whoever asks: the same on every platform.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::clock;
use crate::model::{
    Command, CommandEnd, ContainerId, Grant, Id, SecretInfo, SecretName, ServiceName, Signal, Target, Timestamp, Until,
};
use crate::sys::here::clock::since_boot;

use super::Protection;

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
    /// What it held until something came to pass, and is granted still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
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
    /// The command that was run for it then, if its service asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commanded: Option<Commanded>,
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
    /// What takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Since when there has been a version of it, by the clock that nobody sets: time since the machine started.
    #[serde(default = "since_boot")]
    pub there_since: Duration,
}

impl Delivered {
    /// What a container holds from now on; how long it may stay counts from when the secret first was there.
    pub(super) fn of(info: SecretInfo, version: u64, grant: &Grant, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.id == info.id);
        Self {
            there_since: same.map_or_else(since_boot, |before| before.there_since),
            id: info.id,
            name: info.name,
            version,
            target: grant.target.clone(),
            since: clock::now(),
            // What was changed for the next start alone is not changed by a new value.
            until: same.map_or(grant.until, |before| before.until),
        }
    }
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

/// A secret that is in a container no more, because what it was to stay until has come to pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The secret.
    pub id: Id,
    /// Its name.
    pub name: SecretName,
    /// Which version of its value was there last.
    pub version: u64,
    /// Where it stood.
    pub target: Target,
    /// What has come to pass.
    pub until: Until,
    /// When.
    pub at: Timestamp,
}

/// The last command for a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// What was or is to be run.
    pub command: Command,
    /// Since when it is as it is.
    pub at: Timestamp,
    /// The same by the clock that nobody sets: time since the machine started.
    #[serde(default)]
    pub(super) since: Duration,
    /// How it is.
    pub state: CommandState,
    /// The secrets have changed again since it was begun: once more, when it has ended.
    #[serde(default)]
    pub(super) again: bool,
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandState {
    /// Nobody has asked for it yet.
    Waiting,
    /// Somebody has, and is running it; under this number.
    Running(u64),
    /// It has ended.
    Ended(CommandEnd),
}

impl std::fmt::Display for CommandState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting for runsecrets notifier"),
            Self::Running(_) => f.write_str("running"),
            Self::Ended(end) => end.fmt(f),
        }
    }
}

/// A command that is to be run now, with all that it may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Order {
    /// By which its end is told.
    pub number: u64,
    /// What is run.
    pub command: Command,
    /// The container, its service, its first process, its bundle.
    pub container: String,
    /// Its service.
    pub service: String,
    /// Its first process.
    pub pid: i32,
    /// Its bundle.
    pub bundle: String,
    /// What it holds: `NAME:VERSION`, with blanks between.
    pub secrets: String,
}

/// What became of one secret in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    /// The container.
    pub container: ContainerId,
    /// Where it has, had or gets the secret.
    pub target: Target,
    /// `rotate`, `grant`, `revoke` or `expire`.
    pub action: &'static str,
    /// Why that could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
