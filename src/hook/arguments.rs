//! The hook's command line. It is written by an operator or a generator, not by a container.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::model::{ClaimRoute, RUN_DIR, ServiceName};

use super::error::HookError;

/// What the hook is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `createRuntime` or `prestart`.
    Deliver,
    /// The container runs already: CRIU has restored it. What the wrapper says; no runtime has such a stage.
    Restored,
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
    pub(super) run_dir: PathBuf,
    /// Where the duration of each step is appended, one JSON object a line.
    pub(super) trace: Option<PathBuf>,
}

impl Arguments {
    /// Parses `STAGE [--service NAME | --service-from-environment NAME] [--ask] [--run-dir DIR] [--trace FILE]`.
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, HookError> {
        let mut arguments = arguments.into_iter();
        let stage = match arguments.next().as_deref().and_then(|stage| stage.to_str()) {
            Some("create-runtime" | "createRuntime" | "prestart") => Stage::Deliver,
            Some("restored") => Stage::Restored,
            Some("poststop") => Stage::Withdraw,
            Some("--version") => Stage::Version,
            _ => return Err(HookError::Usage),
        };
        let mut parsed = Self { stage, service: None, ask: false, run_dir: PathBuf::from(RUN_DIR), trace: None };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or(HookError::Usage);
            match flag.to_str() {
                Some("--service") => parsed.service = Some((service(&value()?)?, ClaimRoute::Argument)),
                Some("--service-from-environment") => {
                    parsed.service = Some((service(&value()?)?, ClaimRoute::Environment));
                }
                Some("--ask") => parsed.ask = true,
                Some("--run-dir") => parsed.run_dir = absolute(value()?)?,
                Some("--trace") => parsed.trace = Some(absolute(value()?)?),
                _ => return Err(HookError::Usage),
            }
        }
        Ok(parsed)
    }
}

fn service(value: &OsStr) -> Result<ServiceName, HookError> {
    let text = value.to_str().ok_or(HookError::Usage)?;
    ServiceName::parse(text).map_err(HookError::Claim)
}

fn absolute(value: OsString) -> Result<PathBuf, HookError> {
    let path = PathBuf::from(value);
    if path.is_absolute() { Ok(path) } else { Err(HookError::Usage) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Arguments, HookError> {
        Arguments::parse(texts.iter().map(OsString::from))
    }

    #[test]
    fn every_flag_is_read() {
        let parsed = parse(&["prestart", "--service", "web", "--ask", "--run-dir", "/r", "--trace", "/t"]).unwrap();
        assert_eq!(parsed.stage, Stage::Deliver);
        assert_eq!(parsed.service.unwrap(), (ServiceName::parse("web").unwrap(), ClaimRoute::Argument));
        assert!(parsed.ask && !parse(&["prestart"]).unwrap().ask);
        let parsed_again = parse(&["prestart", "--service-from-environment", "web"]).unwrap();
        assert_eq!(parsed_again.service.unwrap().1, ClaimRoute::Environment);
        assert_eq!((parsed.run_dir, parsed.trace), (PathBuf::from("/r"), Some(PathBuf::from("/t"))));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for texts in [
            &[][..],
            &["start"],
            &["poststop", "--service"],
            &["poststop", "--run-dir", "relative"],
            &["poststop", "--what", "x"],
            &["create-runtime", "--service", "../x"],
        ] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
