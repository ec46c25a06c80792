//! What an update changes in a service.

use crate::model::{Grant, Labels, Users};

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
    /// Users to open the service to.
    pub user_add: Users,
    /// Users to close it to; one that it is not open to is no error.
    pub user_rm: Users,
}
