//! What can be wrong with a compose file, and with what the agent has already: what failed, on what, then what to do.
//! Texts are shown as they stand in the file: what variables hold may be a password.

use std::fmt;
use std::path::PathBuf;

use crate::model::{ModelError, escaped};

/// Why a compose file was not taken.
#[derive(Debug)]
pub(in crate::cli) enum ComposeError {
    /// There is no compose file in this directory or above it.
    NoFile,
    /// Several files, and one standard output.
    SeveralToShow,
    /// The file is not YAML that can be used.
    Yaml {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A file of variables.
    EnvFile {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A text with variables.
    Interpolation {
        /// What is wrong with it.
        what: &'static str,
    },
    /// `${VARIABLE:?words}`.
    Required {
        /// The variable.
        variable: String,
        /// The words.
        words: String,
    },
    /// Something stands where it cannot be used.
    Wrong {
        /// The place, such as `services.db.secrets`.
        at: String,
        /// What is wrong there, then what to do.
        what: &'static str,
    },
    /// A name or a field of a grant is not valid.
    Field {
        /// The place.
        at: String,
        /// Why.
        cause: ModelError,
    },
    /// A service names a secret that the file does not declare.
    Undefined {
        /// The service.
        service: String,
        /// The secret.
        secret: String,
    },
    /// The project has no name.
    ProjectName,
    /// Two services of the file become one.
    SameService {
        /// The name of both.
        name: String,
    },
    /// The variable of a secret is not set.
    Unset {
        /// The secret.
        secret: String,
        /// The variable.
        variable: String,
    },
    /// An external secret does not exist.
    NoExternal {
        /// Its name.
        name: String,
    },
    /// A secret or service of this name belongs to somebody else.
    Foreign {
        /// `secret` or `service`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The values of these secrets are not those that are stored.
    Changed {
        /// Their names.
        names: Vec<String>,
    },
    /// A file that is not ours stands where the adjusted one would.
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// No program that could run the file.
    NoProgram,
    /// The program did not start.
    Program {
        /// What was to be run.
        program: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("no compose file was found here or above; name one with: -f FILE"),
            Self::SeveralToShow => {
                f.write_str("several files are not written to standard output; name the first one with: --output FILE")
            }
            Self::Yaml { line, what } => write!(f, "line {line}: {what}"),
            Self::EnvFile { line, what } => write!(f, "the env file, line {line}: {what}"),
            Self::Interpolation { what } => f.write_str(what),
            Self::Required { variable, words } if words.is_empty() => {
                write!(f, "required variable {variable} is missing a value")
            }
            Self::Required { variable, words } => {
                write!(f, "required variable {variable} is missing a value: {}", escaped(words))
            }
            Self::Wrong { at, what } => write!(f, "{}: {what}", escaped(at)),
            Self::Field { at, cause } => write!(f, "{}: {cause}", escaped(at)),
            Self::Undefined { service, secret } => write!(
                f,
                "service \"{}\" refers to undefined secret {}; declare it below the top-level 'secrets:'",
                escaped(service),
                escaped(secret)
            ),
            Self::ProjectName => f.write_str(
                "a project name must consist only of lowercase alphanumeric characters, hyphens, and underscores, and begin with a letter or number; give one with: -p NAME",
            ),
            Self::SameService { name } => {
                write!(f, "two services of the file would both be the service '{name}'; rename one, or the project with -p")
            }
            Self::Unset { secret, variable } => write!(
                f,
                "environment variable \"{}\" required by secret \"{}\" is not set, or empty",
                escaped(variable),
                escaped(secret)
            ),
            Self::NoExternal { name } => {
                write!(f, "external secret '{name}' does not exist; make it with: runsecrets secret create {name} FILE")
            }
            Self::Foreign { kind, name } => write!(
                f,
                "{kind} '{name}' exists and was not made from this project; {}",
                match *kind {
                    "secret" => "declare it 'external: true', or give it another 'name:'",
                    _ => "choose another project name with: -p NAME",
                }
            ),
            Self::Changed { names } => write!(
                f,
                "the value in the file is not the one that is stored: {}; nothing was changed. To give it the new value, also \
                 in containers that run, say --update; to keep both, give the new one a new 'name:'",
                names.join(", ")
            ),
            Self::NotOurs { path } => write!(
                f,
                "{} exists and was not written by this program; move it away, or name another file with: -o FILE",
                path.display()
            ),
            Self::NoProgram => f.write_str(
                "neither 'docker compose' nor docker-compose nor podman-compose was found; name one with: --with PROGRAM",
            ),
            Self::Program { program, cause } => {
                write!(f, "cannot run {program}: {cause}; name the program with: --with PROGRAM")
            }
        }
    }
}

impl std::error::Error for ComposeError {}

impl From<ComposeError> for crate::cli::error::CliError {
    fn from(error: ComposeError) -> Self {
        Self::Compose(error)
    }
}
