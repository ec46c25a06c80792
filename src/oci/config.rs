//! The parts of config.json that a hook needs; the rest is skipped without being built.
//!
//! Source: OCI runtime specification, config.md.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::error::OciError;

/// The most bytes of a config.json: the largest seen, with long seccomp lists, have some hundred KiB.
pub const MAX_CONFIG: usize = 16 * 1024 * 1024;

/// The parts of a config.json that we read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// The container's root file system.
    #[serde(default)]
    pub root: Option<Root>,
    /// The container's annotations.
    #[serde(default, deserialize_with = "or_null")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    linux: Option<Linux>,
}

/// `root`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Root {
    /// Its path, absolute or from the bundle.
    pub path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Linux {
    #[serde(default, rename = "mountLabel")]
    mount_label: Option<String>,
}

impl Config {
    /// Reads a config.json.
    ///
    /// # Errors
    /// See [`OciError`].
    pub fn parse(text: &[u8]) -> Result<Self, OciError> {
        if text.len() > MAX_CONFIG {
            return Err(OciError::TooLong { limit: MAX_CONFIG });
        }
        serde_json::from_slice(text).map_err(|error| OciError::of(&error))
    }

    /// The SELinux label for the container's mounts, where it has one.
    pub fn mount_label(&self) -> Option<&str> {
        self.linux.as_ref()?.mount_label.as_deref().filter(|label| !label.is_empty())
    }
}

/// Go writes an absent map as `null`.
pub(super) fn or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_we_need_are_read_and_the_rest_is_skipped() {
        let text = r#"{"ociVersion":"1.2.0","process":{"args":["x"],"new":1},"root":{"path":"rootfs","readonly":true},
            "annotations":{"io.runsecrets.service":"web"},"linux":{"mountLabel":"system_u:object_r:x:s0","seccomp":{}}}"#;
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.root.as_ref().unwrap().path, PathBuf::from("rootfs"));
        assert_eq!(config.annotations["io.runsecrets.service"], "web");
        assert_eq!(config.mount_label(), Some("system_u:object_r:x:s0"));
    }

    #[test]
    fn dockers_nulls_and_absent_parts_are_nothing() {
        let config = Config::parse(br#"{"annotations":null,"linux":{"mountLabel":""}}"#).unwrap();
        assert!(config.annotations.is_empty() && config.root.is_none() && config.mount_label().is_none());
    }

    #[test]
    fn truncated_and_oversize_texts_are_refused() {
        assert!(Config::parse(b"{\"root\":").unwrap_err().to_string().contains("cut off"));
        assert_eq!(Config::parse(&vec![b' '; MAX_CONFIG + 1]), Err(OciError::TooLong { limit: MAX_CONFIG }));
    }
}
