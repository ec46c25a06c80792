//! A service: a named set of grants. A container gets exactly the grants of the one service that it is.

use serde::{Deserialize, Serialize};

use super::grant::Grants;
use super::id::Id;
use super::label::Labels;
use super::name::ServiceName;
use super::selector::Selectors;
use super::timestamp::Timestamp;

/// SHA-256 of the token that a container of the service must bring, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub String);

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

    #[test]
    fn what_was_written_before_there_were_selectors_is_read_and_written_as_it_was() {
        let old = r#"{"id":"auweyvbzdjmkcqtanjez0nkl0","name":"web","labels":{},"grants":[],"created":1,"updated":2,"index":3}"#;
        let service: Service = serde_json::from_str(old).unwrap();
        assert!(service.selectors.is_empty());
        assert_eq!(serde_json::to_string(&service).unwrap(), old);
    }
}
