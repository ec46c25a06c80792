//! Which engines are on this machine and how each is wired to us, for `doctor`. It reads files and asks each program for
//! its version; it changes nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::wiring::wiring;

/// An engine that `configure` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// dockerd.
    Docker,
    /// containerd, also where dockerd runs it.
    Containerd,
    /// podman.
    Podman,
    /// CRI-O.
    Crio,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Docker, Self::Containerd, Self::Podman, Self::Crio];

    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Podman => "podman",
            Self::Crio => "crio",
        }
    }

    /// The name of its program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "dockerd",
            other => other.name(),
        }
    }

    /// Its main configuration file.
    #[must_use]
    pub fn config(self) -> &'static str {
        match self {
            Self::Docker => "/etc/docker/daemon.json",
            Self::Containerd => "/etc/containerd/config.toml",
            Self::Podman => "/etc/containers/containers.conf",
            Self::Crio => "/etc/crio/crio.conf",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an engine comes to call us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wired {
    /// Not at all.
    No,
    /// By a runtime of its configuration that is our wrapper.
    Runtime {
        /// The wrapper's program, as the engine has it.
        path: PathBuf,
    },
    /// By files of oci-hooks(5) in a directory that it reads.
    Hooks {
        /// The directory, as the engine has it.
        dir: PathBuf,
    },
    /// By a CDI file alone: containers ask for the device `runsecrets.io/service=NAME`.
    Cdi,
    /// It should be, and is not: why, and what to do.
    Broken(String),
}

/// An engine that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub engine: Engine,
    /// Its program.
    pub program: PathBuf,
    /// What its program says its version is; none where it does not answer.
    pub version: Option<String>,
    /// The file that wires it, or its main file where none does (which need not exist).
    pub config: PathBuf,
    /// How it is wired.
    pub wired: Wired,
}

/// Where programs are.
pub(super) const PROGRAM_DIRS: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];

/// The engines that are below `root` (`/` but in tests), each once, in the order of [`Engine::ALL`].
#[must_use]
pub fn survey(root: &Path) -> Vec<Found> {
    Engine::ALL.into_iter().filter_map(|engine| found(engine, root)).collect()
}

fn found(engine: Engine, root: &Path) -> Option<Found> {
    let program = program(engine, root)?;
    let version = version(&program);
    let (config, wired) = wiring(engine, root);
    Some(Found { engine, program, version, config, wired })
}

/// `path`, which is absolute, below `root`.
pub(super) fn below(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    root.join(path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()))
}

/// The engine's program, if it is there.
fn program(engine: Engine, root: &Path) -> Option<PathBuf> {
    PROGRAM_DIRS.iter().map(|dir| root.join(dir).join(engine.program())).find(|path| path.is_file())
}

/// The first two numbers of the version of the engine's program.
pub(super) fn installed_version(engine: Engine, root: &Path) -> Option<(u32, u32)> {
    let version = version(&program(engine, root)?)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The first word of `PROGRAM --version` that begins with a digit, perhaps after a `v`, without a comma behind it.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut words = text.split_whitespace().map(|word| word.trim_start_matches('v').trim_end_matches(','));
    words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}
