//! What can go wrong with an engine's files: what failed, on what, then what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::survey::Engine;

/// Why a text could not be edited.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EditError {
    /// It is not JSON.
    Json(String),
    /// It is not TOML.
    Toml(String),
    /// Something is not what the engine takes there.
    Shape {
        /// Where.
        key: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A version of containerd's configuration that is not known here.
    Version(String),
    /// A version that the containerd of this machine takes no plugins' settings from.
    Outdated,
    /// The default runtime is one that our wrapper cannot stand for.
    DefaultRuntime {
        /// Its name.
        name: String,
        /// Its type.
        kind: String,
    },
    /// What is to be removed is the engine's default.
    InUse {
        /// The key that names it.
        key: &'static str,
        /// What it names.
        name: String,
    },
    /// A later file has a list of its own, which would replace ours.
    Overridden {
        /// That file.
        by: PathBuf,
    },
    /// What was made of the text does not say what it should.
    Outcome,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(cause) => write!(f, "it is not JSON: {cause}; correct it, the engine would not take it either"),
            Self::Toml(cause) => write!(f, "it is not TOML: {cause}; correct it, the engine would not take it either"),
            Self::Shape { key, expected } => write!(f, "{key} should be {expected}; correct it"),
            Self::Version(version) => {
                write!(
                    f,
                    "version {version} of this configuration is not known here; add the runtime by hand (see the README)"
                )
            }
            Self::Outdated => f.write_str(
                "containerd 2 takes nothing of its plugins' tables from a file of version 1, and does not say so; write what `containerd config migrate` prints in its place first",
            ),
            Self::DefaultRuntime { name, kind } => write!(
                f,
                "the default runtime {name} is of the type {kind}, which calls no runc: its options cannot be taken over; name a runtime of io.containerd.runc.v2 as the default, or add ours by hand"
            ),
            Self::InUse { key, name } => {
                write!(f, "{key} names {name}, and the engine would not start without it; set another default first")
            }
            Self::Overridden { by } => write!(
                f,
                "{} is read later, and its hooks_dir would replace ours; give --config {}",
                by.display(),
                by.display()
            ),
            Self::Outcome => {
                f.write_str("it is written in a way that is not understood here; edit it by hand (see the README)")
            }
        }
    }
}

impl std::error::Error for EditError {}

/// Why an engine could not be configured.
#[derive(Debug)]
pub(super) enum ConfigureError {
    /// A flag that means nothing for this engine.
    Flag {
        /// The flag.
        flag: &'static str,
        /// The engine.
        engine: Engine,
        /// What to do in its place.
        instead: &'static str,
    },
    /// A path that an engine will use is relative, or not UTF-8.
    NotAbsolute {
        /// The flag that has it.
        flag: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file could not be edited.
    Edit {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: EditError,
    },
    /// A file could not be written.
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Somebody else wrote the file in the meantime.
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for ConfigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag { flag, engine, instead } => write!(f, "{flag} is not for {engine}: {instead}"),
            Self::NotAbsolute { flag, path } => {
                write!(
                    f,
                    "{flag}: '{}' must be an absolute path in UTF-8: engines use it from other directories",
                    path.display()
                )
            }
            Self::Read { path, cause } => write!(f, "cannot read {}: {cause}; nothing was changed", path.display()),
            Self::Edit { path, cause } => write!(f, "cannot edit {}: {cause}; nothing was changed", path.display()),
            Self::Write { path, cause } => {
                write!(f, "cannot write {}: {cause}; the old file is untouched", path.display())
            }
            Self::Changed { path } => {
                write!(f, "{} was changed by somebody else in the meantime; it is untouched, try again", path.display())
            }
        }
    }
}

impl std::error::Error for ConfigureError {}
