//! The hook's command line. It is written by an operator or a generator, not by a container. What one platform has for itself
//! is in `own`.

use std::ffi::{OsStr, OsString};

use crate::model::{ClaimRoute, ServiceName};

use super::error::HookError;
use super::own::{Own, route};

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
    /// What this platform has.
    pub(super) own: Own,
}

impl Arguments {
    /// Parses `STAGE [--service NAME] [--ask]` and what this platform has.
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, HookError> {
        let mut arguments = arguments.into_iter();
        let mut own = Own::default();
        let stage = match arguments.next().as_deref().and_then(OsStr::to_str) {
            Some("create-runtime" | "createRuntime" | "prestart") => Stage::Deliver,
            Some("poststop") => Stage::Withdraw,
            Some("--version") => Stage::Version,
            Some(other) => own.stage(other)?,
            None => return Err(HookError::Usage),
        };
        let mut parsed = Self { stage, service: None, ask: false, own };
        while let Some(flag) = arguments.next() {
            let flag = flag.to_str().ok_or(HookError::Usage)?;
            let mut value = || arguments.next().ok_or(HookError::Usage);
            match (flag, route(flag)) {
                (_, Some(route)) => parsed.service = Some((service(&value()?)?, route)),
                ("--ask", _) => parsed.ask = true,
                _ => parsed.own.flag(flag, value)?,
            }
        }
        Ok(parsed)
    }
}

fn service(value: &OsStr) -> Result<ServiceName, HookError> {
    let text = value.to_str().ok_or(HookError::Usage)?;
    ServiceName::parse(text).map_err(HookError::Claim)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn parse(texts: &[&str]) -> Result<Arguments, HookError> {
        Arguments::parse(texts.iter().map(OsString::from))
    }

    #[test]
    fn every_flag_is_read() {
        let parsed = parse(&["prestart", "--service", "web", "--ask"]).unwrap();
        assert_eq!((parsed.stage, parsed.ask, parsed.own), (Stage::Deliver, true, Own::default()));
        assert_eq!(parsed.service.unwrap(), (ServiceName::parse("web").unwrap(), ClaimRoute::Argument));
        assert!(!parse(&["createRuntime"]).unwrap().ask);
        assert_eq!(parse(&["poststop"]).unwrap().stage, Stage::Withdraw);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for texts in [
            &[][..],
            &["start"],
            &["poststop", "--service"],
            &["poststop", "--what", "x"],
            &["create-runtime", "--service", "../x"],
        ] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
