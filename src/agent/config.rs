//! The configuration file: every key with its meaning, default and limits. It is read whole before anything is done,
//! and a key that is not known is an error. It holds no secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::delivery::Protection;
use super::docker::MAX_DAEMONS;
use crate::model::{HOOK, RUN_DIR};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/runsecrets/config.toml";
/// The most bytes that a configuration file may have.
const MAX_FILE: u64 = 1024 * 1024;

/// The whole configuration. `packaging/config.toml` is a complete example.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Where things are.
    pub paths: Paths,
    /// What is logged.
    pub log: Log,
    /// Who may use the admin socket.
    pub api: Api,
    /// Connections and time-outs.
    pub limits: Limits,
    /// What is kept of secrets.
    pub secrets: Secrets,
    /// How secrets reach containers.
    pub delivery: Delivery,
    /// Containers of other users than root.
    pub rootless: Rootless,
    /// Where the root key comes from.
    pub root_key: RootKey,
    /// Whose containers are known by their labels.
    pub docker: Docker,
    /// Services as CDI devices.
    pub cdi: Cdi,
}

/// Where things are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Paths {
    /// The sealed store (0700). Default `/var/lib/runsecrets`; absolute. `--state-dir` wins.
    #[serde(deserialize_with = "absolute_path")]
    pub state_dir: PathBuf,
    /// The sockets (0711). Default `/run/runsecrets`; absolute. `--run-dir` wins.
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

/// Who may use the admin socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Api {
    /// Members of this group may use `agent.sock`, besides root. Default `runsecrets`; where no such group exists, or
    /// the text is empty, root alone.
    pub group: String,
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

/// How secrets reach containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Delivery {
    /// Bytes that the file system of one container may have. Default: as many as its secrets need; 64 KiB to 256 MiB.
    pub size_limit: Option<Bounded<65_536, 268_435_456>>,
    /// Whether a file system that the kernel may swap is better than none. Default false.
    pub allow_swap: bool,
    /// Whether containers get the directory `/run/secrets/..current`, in which secrets that are changed together are of one
    /// time. Default false.
    pub generations: bool,
    /// Which file system holds the secrets. Default `auto`.
    pub filesystem: Filesystem,
}

/// Which file system holds the secrets of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// tmpfs with `noswap` where the kernel has it (6.4), otherwise ramfs.
    #[default]
    Auto,
    /// tmpfs only.
    Tmpfs,
    /// ramfs only.
    Ramfs,
}

impl Delivery {
    /// The file systems that may be used, best first.
    pub fn filesystems(&self) -> Vec<Protection> {
        let mut allowed = match self.filesystem {
            Filesystem::Auto => vec![Protection::Noswap, Protection::Ramfs],
            Filesystem::Tmpfs => vec![Protection::Noswap],
            Filesystem::Ramfs => vec![Protection::Ramfs],
        };
        if self.allow_swap {
            allowed.push(Protection::Swappable);
        }
        allowed
    }
}

/// Containers of other users than root: what `podman` and `runc` start without privileges.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Rootless {
    /// Whether there is a socket for them, `user.sock` (0666). Default false. A user gets the secrets only of services that
    /// are open to it.
    pub enabled: bool,
    /// Who may use it, by name or number. Default: every user.
    pub users: Option<Vec<UserText>>,
    /// Connections of one user at one time. Default 16; 1 to 64.
    pub connections: Bounded<1, 64>,
    /// Containers of one user that hold secrets at one time. Default 64; 1 to 4096.
    pub containers: Bounded<1, 4096>,
    /// Bytes of RAM for them. Default 64 MiB; 64 KiB to 4 GiB.
    pub bytes: Bounded<65_536, 4_294_967_296>,
}

/// A user, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum UserText {
    /// The number.
    Number(u32),
    /// The name, looked up when the agent starts.
    Name(String),
}

/// Where the root key comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RootKey {
    /// The key file: 32 random bytes, 0400 or 0600, made at the first start. Default `root.key` in the state directory;
    /// absolute.
    #[serde(deserialize_with = "optional_absolute_path")]
    pub file: Option<PathBuf>,
}

/// Whose containers are known by their labels.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Docker {
    /// The sockets of the daemons that are asked for the labels of a container whose hook asks (`--ask`). Default none:
    /// labels count for nothing; at most 4, each absolute.
    #[serde(deserialize_with = "sockets")]
    pub socket: Vec<PathBuf>,
}

/// Services as CDI devices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Cdi {
    /// The file that is kept as the services are. Default none; absolute. Engines look in `/etc/cdi` and `/var/run/cdi`.
    #[serde(deserialize_with = "optional_absolute_path")]
    pub file: Option<PathBuf>,
    /// The hook's program, as the file says it. Default where it is installed; absolute.
    #[serde(deserialize_with = "absolute_path")]
    pub hook: PathBuf,
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

impl Default for Paths {
    fn default() -> Self {
        Self { state_dir: "/var/lib/runsecrets".into(), run_dir: RUN_DIR.into() }
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

impl Default for Cdi {
    fn default() -> Self {
        Self { file: None, hook: HOOK.into() }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { group: "runsecrets".to_owned() }
    }
}

impl Default for Rootless {
    fn default() -> Self {
        Self {
            enabled: false,
            users: None,
            connections: Bounded::new(16),
            containers: Bounded::new(64),
            bytes: Bounded::new(67_108_864),
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

/// One absolute path, or a list of them.
fn sockets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sockets {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Sockets::deserialize(deserializer)? {
        Sockets::One(text) => vec![text],
        Sockets::Several(texts) => texts,
    };
    if texts.len() > MAX_DAEMONS {
        return Err(de::Error::custom(format_args!("more than {MAX_DAEMONS} sockets")));
    }
    texts.iter().map(|text| absolute(text)).collect::<Result<_, _>>().map_err(de::Error::custom)
}

fn optional_absolute_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    absolute_path(deserializer).map(Some)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
