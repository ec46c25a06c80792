//! Everything that can end the hook early, each in one line: what failed, on what, then what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::{ModelError, escaped};
use crate::oci::OciError;
use crate::wire::windows::PipeError;

use super::own::USAGE;

/// Why the hook could not do its work.
#[derive(Debug)]
pub(super) enum HookError {
    /// The command line is not ours.
    Usage,
    /// The state on standard input.
    State(OciError),
    /// The state could not be read.
    StateRead { cause: io::Error },
    /// The state has no bundle, or config.json is missing or cannot be read.
    ConfigRead { path: PathBuf, cause: io::Error },
    /// config.json is not what it should be.
    Config { path: PathBuf, cause: OciError },
    /// The state lacks what a delivery needs.
    StateLacks { what: &'static str },
    /// The container claims a service in a way that cannot be one.
    Claim(ModelError),
    /// The operator's argument and the annotation name two services.
    TwoClaims { argument: String, annotation: String },
    /// config.json has no mount of the secrets, or one that can be written to.
    Unmounted { source: String, at: String },
    /// The exchange with the agent failed.
    Agent { pipe: String, cause: PipeError },
    /// The agent answered something that does not fit.
    Unexpected,
    /// The agent said no.
    Refused { reason: String },
}

fn shown(path: &std::path::Path) -> String {
    escaped(&path.to_string_lossy())
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => write!(f, "usage: {USAGE}"),
            Self::State(cause) => write!(f, "cannot use the state on standard input: {cause}"),
            Self::StateRead { cause } => write!(f, "cannot read the state from standard input: {cause}"),
            Self::ConfigRead { path, cause } => {
                write!(f, "cannot read '{}': {cause}; is the bundle complete?", shown(path))
            }
            Self::Config { path, cause } => write!(f, "cannot use '{}': {cause}", shown(path)),
            Self::StateLacks { what } => {
                write!(f, "the runtime's state has no {what}; register this hook at prestart and poststop")
            }
            Self::Claim(cause) => write!(f, "the container claims no possible service: {cause}"),
            Self::TwoClaims { argument, annotation } => write!(
                f,
                "the hook's argument says service '{argument}' and the container's annotation says '{annotation}'; give one"
            ),
            Self::Unmounted { source, at } => write!(
                f,
                "config.json does not mount '{}' at '{}' read-only; run `runsecrets-runtime prepare BUNDLE` before the container is created",
                escaped(source),
                escaped(at)
            ),
            Self::Agent { pipe, cause } => write!(
                f,
                "cannot ask the agent at '{}': {cause}; start it with `runsecrets-agent service start`",
                escaped(pipe)
            ),
            Self::Unexpected => {
                f.write_str("the agent gave an answer that does not fit; are hook and agent of one version?")
            }
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for HookError {}
