//! What can go wrong between the plugin and a runtime, in the user's words.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::{ModelError, escaped};

/// Why the plugin does not serve.
#[derive(Debug)]
pub(super) enum NriError {
    /// A path that a runtime is to be told is not absolute, or not UTF-8.
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// What the runtime has handed over is no socket.
    HandedOver {
        /// What it said in the environment.
        value: String,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// Nobody answers at the socket.
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The runtime does not want the plugin.
    Refused {
        /// What it says.
        message: String,
    },
    /// The connection has ended.
    Lost {
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for NriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute { path } => {
                write!(
                    f,
                    "'{}' must be an absolute path in UTF-8: runtimes are told it",
                    escaped(&path.to_string_lossy())
                )
            }
            Self::HandedOver { value, cause } => write!(
                f,
                "NRI_PLUGIN_SOCKET is '{}', which is no socket ({cause}); only a runtime sets it",
                escaped(value)
            ),
            Self::Connect { path, cause } => write!(
                f,
                "cannot connect to NRI at {}: {cause}; does the engine run, and is NRI on in it? \
                 (containerd before 1.7 has none; 1.7 wants `disable = false` in [plugins.\"io.containerd.nri.v1.nri\"])",
                escaped(&path.to_string_lossy())
            ),
            Self::Refused { message } => write!(
                f,
                "the runtime refuses the plugin: {}; see its log, and that no other plugin has this name and index",
                escaped(message)
            ),
            Self::Lost { cause } if cause.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the runtime has closed the connection")
            }
            Self::Lost { cause } => write!(f, "the connection to the runtime is lost: {cause}"),
        }
    }
}

impl std::error::Error for NriError {}

impl From<io::Error> for NriError {
    fn from(cause: io::Error) -> Self {
        Self::Lost { cause }
    }
}

/// A claim that cannot be met: the container must not start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Whose it is, fit for a message.
    pub(super) container: String,
    /// The annotation, fit for a message.
    pub(super) annotation: String,
    /// What is wrong with it.
    pub(super) cause: ModelError,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, annotation, cause } = self;
        write!(f, "{container} claims a service by its annotation {annotation}: {cause}; correct the annotation")
    }
}
