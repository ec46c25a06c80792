//! The hook's command line. It is written by an operator or a generator, not by a container.

use std::ffi::{OsStr, OsString};

use crate::model::{ClaimRoute, ServiceName};
use crate::wire::windows::HOOK_PIPE;

use super::error::HookError;

/// What the hook is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `createRuntime` or `prestart`.
    Deliver,
    /// `poststop`.
    Withdraw,
    /// Say which version this is.
    Version,
}

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) stage: Stage,
    /// The service that whoever set this hook up says the container is, and where they have it from.
    pub(super) service: Option<(ServiceName, ClaimRoute)>,
    /// Whether the agent is asked about a container that claims nothing.
    pub(super) ask: bool,
    /// The agent's pipe.
    pub(super) pipe: OsString,
}

impl Arguments {
    /// Parses `STAGE [--service NAME] [--ask] [--pipe PIPE]`.
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, HookError> {
        let mut arguments = arguments.into_iter();
        let stage = match arguments.next().as_deref().and_then(OsStr::to_str) {
            Some("create-runtime" | "createRuntime" | "prestart") => Stage::Deliver,
            Some("poststop") => Stage::Withdraw,
            Some("--version") => Stage::Version,
            _ => return Err(HookError::Usage),
        };
        let mut parsed = Self { stage, service: None, ask: false, pipe: HOOK_PIPE.into() };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or(HookError::Usage);
            match flag.to_str() {
                Some("--service") => {
                    let value = value()?;
                    let name = ServiceName::parse(value.to_str().ok_or(HookError::Usage)?).map_err(HookError::Claim)?;
                    parsed.service = Some((name, ClaimRoute::Argument));
                }
                Some("--ask") => parsed.ask = true,
                Some("--pipe") => parsed.pipe = value()?,
                _ => return Err(HookError::Usage),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Arguments, HookError> {
        Arguments::parse(texts.iter().map(OsString::from))
    }

    #[test]
    fn every_flag_is_read() {
        let parsed = parse(&["prestart", "--service", "web", "--ask", "--pipe", "p"]).unwrap();
        assert_eq!((parsed.stage, parsed.ask, parsed.pipe.to_str()), (Stage::Deliver, true, Some("p")));
        assert_eq!(parsed.service.unwrap(), (ServiceName::parse("web").unwrap(), ClaimRoute::Argument));
        assert_eq!(parse(&["poststop"]).unwrap().pipe, HOOK_PIPE);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for texts in [
            &[][..],
            &["start"],
            &["poststop", "--pipe"],
            &["prestart", "--run-dir", "x"],
            &["prestart", "--service", "../x"],
        ] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
