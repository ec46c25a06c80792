//! The root file system of a release: made by `.ci/make-root`, entered by `.ci/enter-root`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The engines, each with the package that brings it.
pub(crate) const ENGINES: [(&str, &str); 6] = [
    ("runc", "runc"),
    ("crun", "crun"),
    ("podman", "podman"),
    ("containerd", "containerd"),
    ("Docker", "docker.io"),
    ("etcd", "etcd-server"),
];

pub(crate) struct Root {
    path: PathBuf,
}

impl Root {
    /// Makes it below `directory`, or adds what is missing in one that is there.
    pub(crate) fn make(directory: &Path, release: &str) -> Result<Self, String> {
        let path = directory.join(release);
        let mut command = Command::new(script("make-root"));
        command.arg(release).arg(&path).arg(directory.join("packages")).stdin(Stdio::null());
        let status = command.status().map_err(|error| format!("make-root: {error}"))?;
        if status.success() {
            Ok(Self { path })
        } else {
            Err(format!("the root of {release} could not be made: {status}"))
        }
    }

    /// A command in it, which sees the checkout and what was built at the paths that they have here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(script("enter-root"));
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        command.arg("--bind").arg(checkout);
        let built = Path::new(env!("CARGO_BIN_EXE_runsecrets")).parent().unwrap_or(checkout);
        if !built.starts_with(checkout) {
            command.arg("--bind").arg(built);
        }
        command.arg(&self.path).stdin(Stdio::null());
        command
    }

    /// The upstream versions of `ENGINES`, in their order.
    pub(crate) fn versions(&self) -> Result<Vec<String>, String> {
        ENGINES.iter().map(|(_, package)| self.version(package)).collect()
    }

    fn version(&self, package: &str) -> Result<String, String> {
        let mut command = self.command();
        command.args(["dpkg-query", "--show", "--showformat=${source:Upstream-Version}", package]);
        let output = command.output().map_err(|error| format!("enter-root: {error}"))?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        // What Debian has left out of the source is said behind a + or a ~.
        let version = version.split(['+', '~']).next().unwrap_or_default().to_owned();
        if output.status.success() { Ok(version) } else { Err(format!("{package} is not in {}", self.path.display())) }
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci").join(name)
}
