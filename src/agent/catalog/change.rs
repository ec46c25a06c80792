//! What a new service is made of, and what an update changes in one.

use crate::model::{Command, Grant, Grants, Labels, Selector, Selectors, ServiceName, Signal, TokenHash, Users};

/// A service to be made.
#[derive(Debug, Clone)]
pub struct NewService {
    /// The name.
    pub name: ServiceName,
    /// Labels, for the user's own use.
    pub labels: Labels,
    /// What its containers get.
    pub grants: Grants,
    /// By which a container is this service that claims none.
    pub selectors: Selectors,
    /// Asked of every container that claims to be this service, when set.
    pub require_claim: Option<TokenHash>,
    /// Whether its containers get `$CREDENTIALS_DIRECTORY`.
    pub credentials: bool,
    /// By which its containers are told of changes.
    pub notify: Option<Signal>,
    /// What is run when secrets of its containers have changed.
    pub notify_command: Option<Command>,
    /// The users, besides root, whose own containers may be it.
    pub users: Users,
}

impl NewService {
    /// A service of this name, without anything else.
    pub fn named(name: ServiceName) -> Self {
        Self {
            name,
            labels: Labels::default(),
            grants: Grants::default(),
            selectors: Selectors::default(),
            require_claim: None,
            credentials: false,
            notify: None,
            notify_command: None,
            users: Users::default(),
        }
    }
}

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
    /// Selectors to add.
    pub match_add: Vec<Selector>,
    /// Selectors to drop, by key or as they are written.
    pub match_rm: Vec<String>,
    /// Whether its containers get `$CREDENTIALS_DIRECTORY`; none: as before.
    pub credentials: Option<bool>,
    /// By which its containers are told of changes, or that they are not; none: as before.
    pub notify: Option<Option<Signal>>,
    /// What is run then, or that nothing is; none: as before.
    pub notify_command: Option<Option<Command>>,
    /// Users to open the service to.
    pub user_add: Users,
    /// Users to close it to; one that it is not open to is no error.
    pub user_rm: Users,
}
