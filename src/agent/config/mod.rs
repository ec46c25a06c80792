//! The configuration file: every key with its meaning, default and limits. It is read whole before anything is done,
//! and a key that is not known is an error. It holds no secret. `keys` is what one platform has, or has in its own way.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// Defines `Config`: the tables that every platform has, and those that one has besides.
macro_rules! config {
    ($($(#[$doc:meta])* $key:ident: $table:ty,)*) => {
        /// The whole configuration. `packaging/config.toml`, on Windows `windows/config.toml`, is a complete example.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct Config {
            /// Where things are.
            pub paths: Paths,
            /// What is logged.
            pub log: Log,
            /// Where administrators ask, and who may.
            pub api: Api,
            /// Connections and time-outs.
            pub limits: Limits,
            /// What is kept of secrets.
            pub secrets: Secrets,
            /// How secrets reach containers.
            pub delivery: Delivery,
            /// Where the root key comes from.
            pub root_key: RootKey,
            $($(#[$doc])* pub $key: $table,)*
        }
    };
}

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(target_os = "linux", path = "linux.rs")]
mod keys;

pub use keys::*;

/// The most bytes that a configuration file may have.
const MAX_FILE: u64 = 1024 * 1024;

/// Where things are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Paths {
    /// The sealed store and its key, for the agent alone; absolute. `--state-dir` wins. Default `/var/lib/runsecrets`, on
    /// Windows `C:\ProgramData\runsecrets\state`.
    #[serde(deserialize_with = "absolute_path")]
    pub state_dir: PathBuf,
    /// What does not outlive a start of the machine; absolute. `--run-dir` wins. Default `/run/runsecrets`, where the sockets
    /// are; on Windows `C:\ProgramData\runsecrets`, where containers' secrets are.
    #[serde(deserialize_with = "absolute_path")]
    pub run_dir: PathBuf,
}

/// What is logged.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Log {
    /// The least severe lines that are written. Default `info`. No level ever shows a value.
    pub level: Level,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What failed.
    Error,
    /// And what the operator should look at.
    Warn,
    /// And what was changed or delivered.
    #[default]
    Info,
    /// And what was asked.
    Debug,
    /// And what libraries say.
    Trace,
}

/// Connections and time-outs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Connections to `agent.sock` at one time. Default 64; 1 to 1024. Each may bring 1.5 MiB of request.
    pub api_connections: Bounded<1, 1024>,
    /// Connections to `hook.sock` at one time. Default 128; 1 to 1024. Each has a thread.
    pub hook_connections: Bounded<1, 1024>,
    /// Seconds for a client to send the head of a request, and for an idle connection to stay. Default 30; 1 to 600.
    pub header_seconds: Bounded<1, 600>,
    /// Seconds for a client to send the body of a request. Default 30; 1 to 600.
    pub body_seconds: Bounded<1, 600>,
    /// Seconds for a client to take the next piece of an answer. Default 30; 1 to 600.
    pub answer_seconds: Bounded<1, 600>,
    /// Seconds for a hook to send or take the next piece of its conversation. Default 10; 1 to 600.
    pub hook_seconds: Bounded<1, 600>,
    /// Seconds for requests to finish after SIGTERM. Default 10; 0 to 600.
    pub stop_seconds: Bounded<0, 600>,
}

/// What is kept of secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Secrets {
    /// Versions of a value that are kept, the current one among them; older ones are erased with their keys. Default 3; 1
    /// to 100.
    pub kept_versions: Bounded<1, 100>,
}

/// Where the root key comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RootKey {
    /// The key file, made at the first start: 32 random bytes, 0400 or 0600; on Windows encrypted for this machine by the
    /// Data Protection API. Default `root.key` in the state directory; absolute.
    #[serde(deserialize_with = "optional_absolute_path")]
    pub file: Option<PathBuf>,
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    const fn new(value: u64) -> Self {
        assert!(MIN <= value && value <= MAX, "a default lies within its limits");
        Self(value)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number as a count; a count that this machine cannot have is the most it can.
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The number as seconds.
    pub fn seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        match u64::try_from(value) {
            Ok(value) if (MIN..=MAX).contains(&value) => Ok(Self(value)),
            _ => Err(de::Error::custom(format_args!("{value} is not within {MIN} to {MAX}"))),
        }
    }
}

impl Paths {
    /// Checks what the paths are to each other, after the command line has had its say.
    ///
    /// # Errors
    /// [`ConfigError::OneDirectory`].
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.state_dir == self.run_dir {
            true => Err(ConfigError::OneDirectory(self.state_dir.clone())),
            false => Ok(()),
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self { kept_versions: Bounded::new(3) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            api_connections: Bounded::new(64),
            hook_connections: Bounded::new(128),
            header_seconds: Bounded::new(30),
            body_seconds: Bounded::new(30),
            answer_seconds: Bounded::new(30),
            hook_seconds: Bounded::new(10),
            stop_seconds: Bounded::new(10),
        }
    }
}

/// Why a configuration is not usable.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is too long to be a configuration.
    TooLong(PathBuf),
    /// The text is not a configuration.
    Parse {
        /// Which file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The state and the run directory are one: the sockets' directory lets others pass, the store's does not.
    OneDirectory(PathBuf),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, cause } => {
                write!(f, "cannot read the configuration {}: {cause}; name another with --config", file.display())
            }
            Self::TooLong(file) => write!(f, "{} has more than {MAX_FILE} bytes: not a configuration", file.display()),
            Self::Parse { file, line, column, message } => {
                write!(f, "{}:{line}:{column}: {message}", file.display())
            }
            Self::OneDirectory(path) => {
                write!(f, "{} cannot be both the state and the run directory: choose two", path.display())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads `file`, or the default file if it is there, or else takes the defaults.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let read = |cause| ConfigError::Read { file: path.to_owned(), cause };
        match std::fs::metadata(path) {
            Err(cause) if file.is_none() && cause.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(cause) => return Err(read(cause)),
            Ok(metadata) if metadata.len() > MAX_FILE => return Err(ConfigError::TooLong(path.to_owned())),
            Ok(_) => {}
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(read)?)
    }

    /// Reads `text`; `file` is only named in errors.
    ///
    /// # Errors
    /// [`ConfigError::Parse`], [`ConfigError::OneDirectory`].
    pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            ConfigError::Parse { file: file.to_owned(), line, column, message: error.message().replace('\n', ", ") }
        })?;
        config.paths.check()?;
        Ok(config)
    }

    /// The root key's file.
    pub fn root_key_file(&self) -> PathBuf {
        self.root_key.file.clone().unwrap_or_else(|| self.paths.state_dir.join("root.key"))
    }
}

/// Takes an absolute path and nothing else.
///
/// # Errors
/// What is wrong with it, in words.
pub fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let dots = path.components().any(|part| part == std::path::Component::ParentDir);
    match path.is_absolute() && !dots && !text.contains('\0') {
        true => Ok(path),
        false => Err(format!("'{}' is not an absolute path without '..'", text.escape_debug())),
    }
}

fn absolute_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    absolute(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn optional_absolute_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    absolute_path(deserializer).map(Some)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
