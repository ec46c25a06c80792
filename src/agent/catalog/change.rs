//! What an update changes in a service.

use crate::model::{Grant, Labels};

/// A change to a service: removals happen before additions, as in Docker, so one update can move a secret's target.
#[derive(Debug, Clone, Default)]
pub struct ServiceChange {
    /// Grants to add.
    pub secret_add: Vec<Grant>,
    /// Secrets, by name or id, all of whose grants go; one that is not granted is no error, as in Docker.
    pub secret_rm: Vec<String>,
    /// Labels to set.
    pub label_add: Labels,
    /// Keys of labels to drop.
    pub label_rm: Vec<String>,
}
