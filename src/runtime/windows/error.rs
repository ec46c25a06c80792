//! Everything that can end the wrapper early, each in one line: what failed, on what, then what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::{ModelError, escaped};
use crate::oci::{EditError, OciError};

/// Why a container was not prepared or released.
#[derive(Debug)]
pub(super) enum PrepareError {
    /// The command line is not ours.
    Usage,
    /// The service that is claimed cannot be one.
    Claim(ModelError),
    /// The container's id cannot be one.
    Id(ModelError),
    /// The operator's argument and the annotation name two services.
    TwoClaims {
        /// The argument.
        argument: String,
        /// The annotation.
        annotation: String,
    },
    /// config.json could not be read.
    Read { path: PathBuf, cause: io::Error },
    /// config.json is none.
    Config { path: PathBuf, cause: OciError },
    /// config.json could not be edited.
    Edit { path: PathBuf, cause: EditError },
    /// config.json could not be written.
    Write { path: PathBuf, cause: io::Error },
    /// The container has a mount where ours has to be.
    MountTaken { ours: String, theirs: String },
    /// The exchange with the agent failed.
    Agent { pipe: String, cause: String },
    /// The agent answered something that does not fit.
    Unexpected,
    /// The agent said no.
    Refused { reason: String },
}

fn shown(path: &std::path::Path) -> String {
    escaped(&path.to_string_lossy())
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str(
                "usage: runsecrets-runtime prepare|release BUNDLE [--id ID] [--service NAME] [--ask] [--pipe PIPE]",
            ),
            Self::Claim(cause) => write!(f, "the container claims no possible service: {cause}"),
            Self::Id(cause) => {
                write!(f, "the container's id cannot be told by its bundle's directory: {cause}; give it with --id")
            }
            Self::TwoClaims { argument, annotation } => {
                write!(f, "--service says '{argument}' and the container's annotation says '{annotation}'; give one")
            }
            Self::Read { path, cause } => write!(f, "cannot read '{}': {cause}; is the bundle complete?", shown(path)),
            Self::Config { path, cause } => write!(f, "cannot use '{}': {cause}", shown(path)),
            Self::Edit { path, cause } => write!(f, "cannot edit '{}': {cause}", shown(path)),
            Self::Write { path, cause } => write!(f, "cannot write '{}': {cause}; it is as it was", shown(path)),
            Self::MountTaken { ours, theirs } => write!(
                f,
                "the container has a mount at '{}', where its secrets are to show ('{}'); take it out of config.json",
                escaped(theirs),
                escaped(ours)
            ),
            Self::Agent { pipe, cause } => write!(
                f,
                "cannot ask the agent at '{}': {}; start it with `runsecrets-agent service start`, and run this as an administrator",
                escaped(pipe),
                escaped(cause)
            ),
            Self::Unexpected => {
                f.write_str("the agent gave an answer that does not fit; are wrapper and agent of one version?")
            }
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for PrepareError {}
