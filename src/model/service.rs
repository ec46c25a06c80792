//! A service: a named set of grants. A container gets exactly the grants of the one service that it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::error::ModelError;
use super::grant::Grants;
use super::id::Id;
use super::label::Labels;
use super::name::ServiceName;
use super::selector::Selectors;
use super::signal::Signal;
use super::timestamp::Timestamp;

/// SHA-256 of the token that a container of the service must bring, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub String);

/// The most users that one service is open to.
pub const MAX_USERS: usize = 1024;

/// Users of the host, by number. Root is in none: to it every service is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<u32>", into = "BTreeSet<u32>")]
pub struct Users(BTreeSet<u32>);

impl Users {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `uid` is one of them.
    pub fn contain(&self, uid: u32) -> bool {
        self.0.contains(&uid)
    }

    /// These without `remove`, and then with `add`.
    ///
    /// # Errors
    /// As [`Users::try_from`].
    pub fn changed(&self, remove: &Users, add: &Users) -> Result<Self, ModelError> {
        let kept = self.0.difference(&remove.0);
        Self::try_from(kept.chain(&add.0).copied().collect::<BTreeSet<u32>>())
    }
}

impl TryFrom<BTreeSet<u32>> for Users {
    type Error = ModelError;

    fn try_from(users: BTreeSet<u32>) -> Result<Self, ModelError> {
        // 2^32-1 is "nobody at all" to the kernel.
        match users.iter().find(|uid| matches!(**uid, 0 | u32::MAX)) {
            Some(uid) => Err(ModelError::UserInvalid(*uid)),
            None if users.len() > MAX_USERS => Err(ModelError::TooManyUsers(users.len())),
            None => Ok(Self(users)),
        }
    }
}

impl From<Users> for BTreeSet<u32> {
    fn from(users: Users) -> Self {
        users.0
    }
}

/// A named set of grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The id.
    pub id: Id,
    /// The name, unique without case.
    pub name: ServiceName,
    /// Labels, for the user's own use.
    #[serde(default)]
    pub labels: Labels,
    /// What its containers get.
    #[serde(default)]
    pub grants: Grants,
    /// By which a container is this service that claims none.
    #[serde(default, skip_serializing_if = "Selectors::is_empty")]
    pub selectors: Selectors,
    /// Asked of every container that claims to be this service, when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_claim: Option<TokenHash>,
    /// Whether its containers get [`CREDENTIALS_VARIABLE`](super::CREDENTIALS_VARIABLE) in their environment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
    /// By which the first process of its containers is told that their secrets have changed while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Signal>,
    /// What is run on the host when the secrets of one of its containers have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_command: Option<Command>,
    /// The users, besides root, whose own (rootless) containers may be this service; by default nobody.
    #[serde(default, skip_serializing_if = "Users::is_empty")]
    pub users: Users,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Goes up by one with each change; an update that names an older one is refused.
    pub index: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(uids: &[u32]) -> Result<Users, ModelError> {
        Users::try_from(uids.iter().copied().collect::<BTreeSet<u32>>())
    }

    #[test]
    fn root_and_nobody_at_all_are_no_users() {
        assert!(users(&[1000, 1]).unwrap().contain(1));
        for uid in [0, u32::MAX] {
            assert_eq!(users(&[1000, uid]), Err(ModelError::UserInvalid(uid)));
            assert!(serde_json::from_str::<Users>(&format!("[{uid}]")).is_err());
        }
        let many: Vec<u32> = (1..=u32::try_from(MAX_USERS).unwrap() + 1).collect();
        assert_eq!(users(&many), Err(ModelError::TooManyUsers(MAX_USERS + 1)));
    }

    #[test]
    fn who_is_removed_and_added_is_there() {
        let changed = users(&[1, 2]).unwrap().changed(&users(&[1, 2]).unwrap(), &users(&[2, 3]).unwrap()).unwrap();
        assert_eq!(changed, users(&[2, 3]).unwrap());
    }

    #[test]
    fn what_was_written_before_there_were_selectors_is_read_and_written_as_it_was() {
        let old = r#"{"id":"auweyvbzdjmkcqtanjez0nkl0","name":"web","labels":{},"grants":[],"created":1,"updated":2,"index":3}"#;
        let service: Service = serde_json::from_str(old).unwrap();
        assert!(service.selectors.is_empty());
        assert_eq!(serde_json::to_string(&service).unwrap(), old);
    }
}
