//! Names of secrets and services: Docker's rules, checked once.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::text::text_type;

/// The longest name of a secret, in bytes.
pub const MAX_SECRET_NAME: usize = 64;
/// The longest name of a service, in bytes.
pub const MAX_SERVICE_NAME: usize = 63;

/// A secret's name: `[a-zA-Z0-9-_.]`, 1 to 64 long, first and last alphanumeric.
///
/// Source: swarmkit `manager/controlapi`, as recorded in Docker's own error text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

/// A service's name: as a secret's, 1 to 63 long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

fn well_formed(text: &str, longest: usize) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    bytes.len() <= longest
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

impl SecretName {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`ModelError::NameMissing`] when empty, [`ModelError::NameInvalid`] otherwise.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        match text {
            "" => Err(ModelError::NameMissing),
            text if well_formed(text, MAX_SECRET_NAME) => Ok(Self(text.to_owned())),
            _ => Err(ModelError::NameInvalid),
        }
    }

    /// The form in which names are compared for uniqueness: `S1` and `s1` are one name.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl ServiceName {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`ModelError::NameMissing`] when empty, [`ModelError::ServiceNameInvalid`] otherwise.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        match text {
            "" => Err(ModelError::NameMissing),
            text if well_formed(text, MAX_SERVICE_NAME) => Ok(Self(text.to_owned())),
            _ => Err(ModelError::ServiceNameInvalid),
        }
    }

    /// The form in which names are compared for uniqueness.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

text_type!(SecretName);
text_type!(ServiceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_takes_are_taken() {
        let longest = "a".repeat(64);
        for name in ["0", "a", "A", "name-with--dashes", "name.with..dots", "a_b", &longest] {
            assert!(SecretName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_docker_refuses_are_refused() {
        let too_long = "a".repeat(65);
        for name in [
            ".", "-", "_", ".name", "name.", "/a", "a/b", "..", " ", "a\n", "!", "@", "a:b", ";", "é", "a\0", &too_long,
        ] {
            assert_eq!(SecretName::parse(name), Err(ModelError::NameInvalid), "{name:?}");
        }
        assert_eq!(SecretName::parse(""), Err(ModelError::NameMissing));
    }

    #[test]
    fn serde_cannot_make_a_bad_name() {
        assert!(serde_json::from_str::<SecretName>("\"../x\"").is_err());
    }
}
