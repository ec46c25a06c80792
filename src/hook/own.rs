//! What the hook's command line has on Linux alone: where the agent is, a service from the container's environment, the word
//! that CRIU has restored the container, and a trace.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::model::{ClaimRoute, RUN_DIR};

use super::arguments::Stage;
use super::error::HookError;

/// The command line, in words.
pub(super) const USAGE: &str =
    "runsecrets-hook create-runtime|prestart|poststop [--service NAME] [--ask] [--run-dir DIR] [--trace FILE]";

/// What is said on Linux alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// Where the agent's sockets are.
    pub(super) run_dir: PathBuf,
    /// The container runs already: CRIU has restored it. What the wrapper says; no runtime has such a stage.
    pub(super) is_restored: bool,
    /// Where the duration of each step is appended, one JSON object a line.
    pub(super) trace: Option<PathBuf>,
}

impl Default for Own {
    fn default() -> Self {
        Self { run_dir: PathBuf::from(RUN_DIR), is_restored: false, trace: None }
    }
}

impl Own {
    /// A stage that no other platform has.
    pub(super) fn stage(&mut self, word: &str) -> Result<Stage, HookError> {
        match word {
            "restored" => {
                self.is_restored = true;
                Ok(Stage::Deliver)
            }
            _ => Err(HookError::Usage),
        }
    }

    /// A flag that no other platform has.
    pub(super) fn flag(
        &mut self,
        flag: &str,
        value: impl FnOnce() -> Result<OsString, HookError>,
    ) -> Result<(), HookError> {
        match flag {
            "--run-dir" => self.run_dir = absolute(value()?)?,
            "--trace" => self.trace = Some(absolute(value()?)?),
            _ => return Err(HookError::Usage),
        }
        Ok(())
    }
}

/// By which route the service comes that follows `flag`, if one does.
pub(super) fn route(flag: &str) -> Option<ClaimRoute> {
    match flag {
        "--service" => Some(ClaimRoute::Argument),
        "--service-from-environment" => Some(ClaimRoute::Environment),
        _ => None,
    }
}

fn absolute(value: OsString) -> Result<PathBuf, HookError> {
    let path = PathBuf::from(value);
    if path.is_absolute() { Ok(path) } else { Err(HookError::Usage) }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::tests::parse;
    use super::*;

    #[test]
    fn every_flag_is_read() {
        let own = parse(&["prestart", "--run-dir", "/r", "--trace", "/t"]).unwrap().own;
        assert_eq!(own, Own { run_dir: "/r".into(), is_restored: false, trace: Some("/t".into()) });
        let restored = parse(&["restored", "--service-from-environment", "web"]).unwrap();
        assert!(restored.stage == Stage::Deliver && restored.own.is_restored);
        assert_eq!(restored.service.unwrap().1, ClaimRoute::Environment);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for texts in
            [&["poststop", "--run-dir", "relative"][..], &["prestart", "--trace"], &["prestart", "--pipe", "x"]]
        {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
