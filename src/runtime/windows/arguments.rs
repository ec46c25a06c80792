//! The command line of the wrapper on Windows: before a container is created, and when it has gone.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::model::{ContainerId, ServiceName};

use super::error::PrepareError;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Have the secrets put there, and add the mount to config.json.
    Prepare,
    /// Have them removed.
    Release,
}

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) verb: Verb,
    pub(super) bundle: PathBuf,
    /// The service that the operator says the container is.
    pub(super) service: Option<ServiceName>,
    /// Whether the agent is asked about a container that claims nothing.
    pub(super) ask: bool,
    /// The container's id; else the name of the bundle's directory.
    pub(super) id: Option<ContainerId>,
    /// The agent's pipe, if it is not the usual one.
    pub(super) pipe: Option<OsString>,
}

impl Arguments {
    /// Parses `prepare|release BUNDLE [--id ID] [--service NAME] [--ask] [--pipe PIPE]`.
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, PrepareError> {
        let mut arguments = arguments.into_iter();
        let verb = match arguments.next().as_deref().and_then(|verb| verb.to_str()) {
            Some("prepare") => Verb::Prepare,
            Some("release") => Verb::Release,
            _ => return Err(PrepareError::Usage),
        };
        let (mut bundle, mut service, mut ask, mut id, mut pipe) = (None, None, false, None, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(PrepareError::Usage);
            match argument.to_str() {
                Some("--service") => service = Some(ServiceName::parse(text(&value()?)?).map_err(PrepareError::Claim)?),
                Some("--id") => id = Some(ContainerId::parse(text(&value()?)?).map_err(PrepareError::Id)?),
                Some("--pipe") => pipe = Some(value()?),
                Some("--ask") => ask = true,
                Some(flag) if flag.starts_with('-') => return Err(PrepareError::Usage),
                _ if bundle.is_none() => bundle = Some(PathBuf::from(argument)),
                _ => return Err(PrepareError::Usage),
            }
        }
        let bundle = bundle.ok_or(PrepareError::Usage)?;
        Ok(Self { verb, bundle, service, ask, id, pipe })
    }

    /// The container's id: as told, or by its bundle, which containerd has in a directory of that name.
    pub(super) fn container(&self) -> Result<ContainerId, PrepareError> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let name = self.bundle.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ContainerId::parse(name).map_err(PrepareError::Id)
    }
}

fn text(value: &OsString) -> Result<&str, PrepareError> {
    value.to_str().ok_or(PrepareError::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Arguments, PrepareError> {
        Arguments::parse(texts.iter().map(OsString::from))
    }

    #[test]
    fn every_flag_is_read() {
        let parsed = parse(&["prepare", "--service", "web", "b/c1", "--ask", "--pipe", "p"]).unwrap();
        assert_eq!((parsed.verb, &parsed.bundle, parsed.ask), (Verb::Prepare, &PathBuf::from("b/c1"), true));
        assert_eq!((parsed.service.as_ref().unwrap().as_str(), parsed.pipe.as_deref().unwrap()), ("web", "p".as_ref()));
        assert_eq!(parsed.container().unwrap().as_str(), "c1");
        assert_eq!(parse(&["release", "b", "--id", "c2"]).unwrap().container().unwrap().as_str(), "c2");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for texts in [
            &[][..],
            &["create", "b"],
            &["prepare"],
            &["prepare", "a", "b"],
            &["prepare", "b", "--what"],
            &["prepare", "b", "--service"],
            &["prepare", "b", "--service", "../x"],
            &["release", "b", "--id", "a/b"],
        ] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
