//! How a container says which service it is.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::name::ServiceName;
use super::text::text_type;

/// The annotation by which a container names its service.
pub const SERVICE_ANNOTATION: &str = "io.runsecrets.service";
/// The annotation with the token of a service that asks for one.
pub const CLAIM_ANNOTATION: &str = "io.runsecrets.claim";
/// The longest container id, in bytes (runc's own bound).
const MAX_CONTAINER_ID: usize = 1024;

/// A container's id as the runtime gives it: not unique in time, and not unique across runtimes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Checks `text`: 1 to 1024 of `[a-zA-Z0-9_.+-]`, neither `.` nor `..`.
    ///
    /// # Errors
    /// [`ModelError::ContainerIdInvalid`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
        let fine =
            (1..=MAX_CONTAINER_ID).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != "..";
        if fine { Ok(Self(text.to_owned())) } else { Err(ModelError::ContainerIdInvalid) }
    }
}

text_type!(ContainerId);

/// Where a claim was found; the operator's routes are worth more than what an image can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimRoute {
    /// An argument of the hook: set by the operator (hooks.d, CDI, wrapper).
    Argument,
    /// The annotation `io.runsecrets.service`: an image can bring its own.
    Annotation,
    /// The environment variable `RUNSECRETS_SERVICE`, where the operator allows it: an image can bring its own.
    Environment,
    /// The label `io.runsecrets.service`, as Docker lists it: set by whoever made the container, never by its image.
    Label,
    /// The service's selectors, where the hook was told to ask: the agent's own finding.
    Selector,
}

/// Which service a container says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The service.
    pub service: ServiceName,
    /// Where the claim was found.
    pub route: ClaimRoute,
    /// The token of a service that asks for one (annotation `io.runsecrets.claim`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_engine_are_taken_and_paths_are_not() {
        for id in ["a", "web_1", "0123456789abcdef", "a.b+c-d"] {
            assert!(ContainerId::parse(id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a b", "a\n", "é"] {
            assert!(ContainerId::parse(id).is_err(), "{id:?}");
        }
    }
}
