//! Labels: text to text, with Docker's checks on the key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// The most bytes that the labels of one object may have, keys and values together.
pub const MAX_LABEL_BYTES: usize = 64 * 1024;

/// The labels of a secret or a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Parses `k=v` or `k` texts, as the command line gives them; a later one wins.
    ///
    /// # Errors
    /// [`ModelError::LabelEmpty`], [`ModelError::LabelWhiteSpace`], [`ModelError::LabelsTooLong`].
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ModelError> {
        let mut labels = BTreeMap::new();
        for text in texts {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            if key.is_empty() {
                return Err(ModelError::LabelEmpty(text.to_owned()));
            }
            if key.contains(char::is_whitespace) {
                return Err(ModelError::LabelWhiteSpace(key.to_owned()));
            }
            labels.insert(key.to_owned(), value.to_owned());
        }
        Self::try_from(labels)
    }

    /// The labels, by key.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether a `k` or `k=v` filter holds.
    pub fn matches(&self, filter: &str) -> bool {
        match filter.split_once('=') {
            Some((key, value)) => self.0.get(key).is_some_and(|have| have == value),
            None => self.0.contains_key(filter),
        }
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = ModelError;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, ModelError> {
        if labels.contains_key("") {
            return Err(ModelError::LabelEmpty("=".to_owned()));
        }
        let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > MAX_LABEL_BYTES {
            return Err(ModelError::LabelsTooLong);
        }
        Ok(Self(labels))
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_docker_reads_them() {
        let labels = Labels::parse(["a=1", "b", "c=x=y"]).unwrap();
        assert!(labels.matches("a=1") && labels.matches("a") && labels.matches("b=") && labels.matches("c=x=y"));
        assert!(!labels.matches("a=2") && !labels.matches("d"));
    }

    #[test]
    fn bad_labels_are_refused() {
        assert_eq!(Labels::parse(["=x"]), Err(ModelError::LabelEmpty("=x".into())));
        assert_eq!(Labels::parse(["a b=x"]), Err(ModelError::LabelWhiteSpace("a b".into())));
    }
}
