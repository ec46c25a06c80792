//! The container's state, as a runtime writes it to a hook's standard input.
//!
//! Source: OCI runtime specification, runtime.md#state.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::error::OciError;

/// The most bytes of a state: annotations are the only part that grows.
pub const MAX_STATE: usize = 1024 * 1024;

/// The parts of a state that we use. Its `status` is not one of them: no two runtimes agree on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct State {
    /// The container's id.
    pub id: String,
    /// The first process, in the runtime's pid namespace; none where the runtime says 0.
    #[serde(default)]
    pub pid: Option<i32>,
    /// The bundle's path.
    #[serde(default)]
    pub bundle: Option<PathBuf>,
    /// The container's annotations.
    #[serde(default, deserialize_with = "super::config::or_null")]
    pub annotations: BTreeMap<String, String>,
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    /// See [`OciError`].
    pub fn parse(text: &[u8]) -> Result<Self, OciError> {
        if text.len() > MAX_STATE {
            return Err(OciError::TooLong { limit: MAX_STATE });
        }
        let mut state: Self = serde_json::from_slice(text).map_err(|error| OciError::of(&error))?;
        state.pid = state.pid.filter(|pid| *pid > 0);
        state.bundle = state.bundle.filter(|bundle| !bundle.as_os_str().is_empty());
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtimes_form_is_read() {
        let runc =
            r#"{"ociVersion":"1.0.2-dev","id":"c","status":"creating","pid":7,"bundle":"/b","annotations":{"k":"v"}}"#;
        let crun = r#"{"ociVersion":"1.0","id":"c","status":"created","pid":7,"root":"rootfs","bundle":"/b","annotations":{"k":"v"}}"#;
        let youki = r#"{"ociVersion":"1.1.0","id":"c","status":"creating","pid":7,"bundle":"/b","annotations":{"k":"v"},"x":[1]}"#;
        for text in [runc, crun, youki] {
            let state = State::parse(text.as_bytes()).unwrap();
            assert_eq!((state.id.as_str(), state.pid, state.annotations.len()), ("c", Some(7), 1), "{text}");
        }
    }

    #[test]
    fn what_a_runtime_leaves_out_is_nothing() {
        let state = State::parse(br#"{"id":"c","pid":0,"bundle":"","annotations":null,"status":"starting"}"#).unwrap();
        assert_eq!((state.pid, state.bundle, state.annotations.len()), (None, None, 0));
    }

    #[test]
    fn truncated_oversize_and_foreign_texts_are_told_apart() {
        let refused = |text: &[u8]| State::parse(text).unwrap_err().to_string();
        assert!(refused(br#"{"id":"c","#).contains("cut off"));
        assert!(refused(b"").contains("cut off"));
        assert!(refused(b"hello").contains("not JSON"));
        assert!(refused(br#"{"id":7}"#).contains("form"));
        assert!(refused(br#"{"pid":7}"#).contains("form"));
        assert!(refused(&vec![b' '; 10 * 1024 * 1024]).contains("longer than 1048576"));
    }

    #[test]
    fn nothing_of_the_text_is_quoted() {
        assert!(!State::parse(br#"{"id":"c","pid":"hunter2"}"#).unwrap_err().to_string().contains("hunter2"));
    }
}
