//! What is known of a secret besides its value.

use serde::{Deserialize, Serialize};

use super::id::Id;
use super::label::Labels;
use super::name::SecretName;
use super::timestamp::Timestamp;

/// One version of a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretVersion {
    /// 1 for the first value, one more for each that follows.
    pub number: u64,
    /// How many bytes the value has.
    pub size: usize,
    /// When it was stored.
    pub created: Timestamp,
    /// The earlier version whose value it has, where it came about by rolling back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretInfo {
    /// The id.
    pub id: Id,
    /// The name, unique without case.
    pub name: SecretName,
    /// Labels: the only part that Docker's API lets a client change.
    #[serde(default)]
    pub labels: Labels,
    /// The versions that are kept, oldest first; the last one is current.
    pub versions: Vec<SecretVersion>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Docker's `Version.Index`: goes up with each change; an update that names an older one is refused.
    pub index: u64,
}

impl SecretInfo {
    /// The version that containers get.
    pub fn current(&self) -> Option<&SecretVersion> {
        self.versions.last()
    }
}
