//! What can go wrong for a user of the command line: what failed, on what, then what to do. Docker's words where it has them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::compose::ComposeError;
use super::reach;
use super::template::TemplateError;
use crate::secret::SecretError;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CliError {
    /// `--host` is of no form that is known here.
    Host,
    /// Nobody listens at the agent's socket.
    NoAgent {
        /// The socket.
        socket: PathBuf,
        /// What connecting said.
        cause: io::Error,
    },
    /// The runtime for the one request could not be made.
    Runtime(io::Error),
    /// The connection broke, or what came is not HTTP.
    Talk {
        /// The socket.
        socket: PathBuf,
        /// What the HTTP client said.
        cause: String,
    },
    /// No answer in time.
    TimedOut {
        /// The socket.
        socket: PathBuf,
    },
    /// The answer is longer than is reasonable.
    AnswerTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer is not the JSON that was expected.
    Answer {
        /// What was asked.
        path: String,
    },
    /// The agent refused, in its own words.
    Refused(String),
    /// What was stored could not be carried over to every container.
    Stale {
        /// How many files could not be changed.
        count: usize,
        /// The first one's container and why.
        first: String,
    },
    /// A template is wrong.
    Template(TemplateError),
    /// `--pretty` together with a template.
    PrettyTemplate,
    /// The file of a secret was not named.
    FileMissing,
    /// The value could not be read.
    Read {
        /// The file, or STDIN.
        from: String,
        /// The call that failed, in Go's words: `open` or `read`.
        call: &'static str,
        /// What it said.
        cause: io::Error,
    },
    /// There is nothing to read.
    Empty {
        /// The file, or STDIN.
        from: String,
    },
    /// The value is longer than a secret may be.
    TooLong,
    /// A driver keeps the value, and one was given all the same.
    DriverAndValue,
    /// The process could not be closed to core files and debuggers.
    Protection(io::Error),
    /// No locked memory for the value.
    Memory(SecretError),
    /// Two grants on one command line want one target.
    DuplicateTarget {
        /// The second one's secret.
        name: String,
    },
    /// An empty reference.
    NoSuch {
        /// `secret` or `service`.
        kind: &'static str,
    },
    /// A label.
    Label(crate::model::ModelError),
    /// A time on the command line.
    Time(String),
    /// There is no service, and a CDI file needs a device.
    NoDevice,
    /// A path that engines will use is relative or not UTF-8.
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// A file could not be written.
    Write {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// A compose file.
    Compose(ComposeError),
    /// A verb of another module, in its own words.
    Brought(Box<dyn std::error::Error>),
    /// Standard output could not be written.
    Output(io::Error),
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => write!(f, "the host must be {}", reach::HOST_FORM),
            Self::NoAgent { socket, cause } if cause.kind() == io::ErrorKind::PermissionDenied => write!(
                f,
                "cannot reach the agent at {}: {cause}; {}",
                socket.display(),
                reach::WHO_MAY
            ),
            Self::NoAgent { socket, cause } => write!(
                f,
                "cannot reach the agent at {}: {cause}; {}",
                socket.display(),
                reach::how_to_start(socket)
            ),
            Self::Runtime(cause) => write!(f, "cannot prepare the request: {cause}"),
            Self::Talk { socket, cause } => {
                write!(f, "the agent at {} broke off: {cause}; see its log", socket.display())
            }
            Self::TimedOut { socket } => {
                write!(f, "the agent at {} did not answer in time; see its log", socket.display())
            }
            Self::AnswerTooLong { limit } => {
                write!(f, "the agent's answer is longer than {limit} bytes; ask for less with --filter")
            }
            Self::Answer { path } => {
                write!(f, "the agent's answer to {path} is not understood; is it the same version as this program?")
            }
            Self::Refused(words) => write!(f, "Error response from daemon: {words}"),
            Self::Stale { count, first } => {
                write!(f, "done, but {count} of the files in running containers could not be changed: {first}")
            }
            Self::Template(error) => write!(f, "{error}"),
            Self::PrettyTemplate => f.write_str("cannot supply extra formatting options to the pretty template"),
            Self::FileMissing => f.write_str("secret file is required"),
            Self::Read { from, call, cause } => {
                write!(f, "error reading from {from}: {call} {from}: {}", go_words(cause))
            }
            Self::Empty { from } => write!(f, "error reading from {from}: data is empty"),
            Self::TooLong => {
                write!(f, "secret data must be larger than 0 and less than {} bytes", crate::secret::MAX_VALUE + 1)
            }
            Self::DriverAndValue => f.write_str("when using secret driver secret data must be empty"),
            Self::Protection(cause) => {
                write!(f, "cannot keep the value out of core files: {cause}; nothing was read")
            }
            Self::Memory(error) => write!(f, "{error}"),
            Self::DuplicateTarget { name } => write!(f, "duplicate secret target for {name} not allowed"),
            Self::NoSuch { kind } => write!(f, "invalid {kind} name or ID: value is empty"),
            Self::Label(error) => write!(f, "{error}"),
            Self::Time(text) => {
                write!(f, "'{text}' is not a time: give Unix seconds, RFC 3339, or how long ago, such as 10m")
            }
            Self::NoDevice => {
                f.write_str("there is no service, and a CDI file cannot be without devices; make one with: runsecrets service create")
            }
            Self::NotAbsolute { path } => {
                write!(f, "'{}' must be an absolute path in UTF-8: engines use it from other directories", path.display())
            }
            Self::Write { path, cause } => write!(f, "cannot write {}: {cause}; the old file is untouched", path.display()),
            Self::Compose(error) => write!(f, "{error}"),
            Self::Brought(cause) => write!(f, "{cause}"),
            Self::Output(cause) => write!(f, "cannot write the output: {cause}"),
        }
    }
}

/// An operating system error as Go words it: lower case, no number.
fn go_words(cause: &io::Error) -> String {
    let words = cause.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl std::error::Error for CliError {}

impl From<TemplateError> for CliError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}
