//! The keys of the configuration on Linux.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use super::{Bounded, Limits, Log, Paths, RootKey, Secrets, absolute, absolute_path, optional_absolute_path};
use crate::agent::delivery::Protection;
use crate::agent::docker::MAX_DAEMONS;
use crate::model::{HOOK, RUN_DIR};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/runsecrets/config.toml";

config! {
    /// Containers of other users than root.
    rootless: Rootless,
    /// Whose containers are known by their labels.
    docker: Docker,
    /// Services as CDI devices.
    cdi: Cdi,
}

/// Who may use the admin socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Api {
    /// Members of this group may use `agent.sock`, besides root. Default `runsecrets`; where no such group exists, or
    /// the text is empty, root alone.
    pub group: String,
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

impl Default for Paths {
    fn default() -> Self {
        Self { state_dir: "/var/lib/runsecrets".into(), run_dir: RUN_DIR.into() }
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
