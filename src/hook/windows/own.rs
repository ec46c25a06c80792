//! What the hook's command line has on Windows alone: the agent's pipe.

use std::ffi::OsString;

use crate::model::ClaimRoute;
use crate::wire::windows::HOOK_PIPE;

use super::arguments::Stage;
use super::error::HookError;

/// The command line, in words.
pub(super) const USAGE: &str = "runsecrets-hook prestart|poststop [--service NAME] [--ask] [--pipe PIPE]";

/// What is said on Windows alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// The agent's pipe.
    pub(super) pipe: OsString,
}

impl Default for Own {
    fn default() -> Self {
        Self { pipe: HOOK_PIPE.into() }
    }
}

impl Own {
    /// A stage that no other platform has: there is none.
    pub(super) fn stage(&mut self, _word: &str) -> Result<Stage, HookError> {
        Err(HookError::Usage)
    }

    /// A flag that no other platform has.
    pub(super) fn flag(
        &mut self,
        flag: &str,
        value: impl FnOnce() -> Result<OsString, HookError>,
    ) -> Result<(), HookError> {
        match flag {
            "--pipe" => self.pipe = value()?,
            _ => return Err(HookError::Usage),
        }
        Ok(())
    }
}

/// By which route the service comes that follows `flag`, if one does.
pub(super) fn route(flag: &str) -> Option<ClaimRoute> {
    (flag == "--service").then_some(ClaimRoute::Argument)
}

#[cfg(test)]
mod tests {
    use super::super::arguments::tests::parse;
    use super::*;

    #[test]
    fn the_pipe_is_read() {
        assert_eq!(parse(&["prestart", "--pipe", "p"]).unwrap().own, Own { pipe: "p".into() });
        assert_eq!(parse(&["poststop"]).unwrap().own, Own { pipe: HOOK_PIPE.into() });
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for texts in [&["poststop", "--pipe"][..], &["prestart", "--run-dir", "x"], &["restored"]] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
