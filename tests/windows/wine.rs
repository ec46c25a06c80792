//! A Windows of the test's own: a Wine prefix with our programs in it, which ends with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The programs that `make windows` built, by the name that Windows starts them with.
const PROGRAMS: [&str; 4] = ["runsecrets.exe", "runsecrets-agent.exe", "runsecrets-hook.exe", "runsecrets-runtime.exe"];
/// Where they stand in the prefix, as Windows says it and as it lies here.
const INSTALLED: &str = r"C:\Program Files\runsecrets";

pub(crate) struct Wine {
    prefix: TempDir,
}

impl Wine {
    /// A new prefix with our programs, on the Wine that `PATH` names; it is the one that the run is about.
    pub(crate) fn new() -> Self {
        let wine = Self { prefix: tempfile::Builder::new().prefix("runsecrets-wine-").tempdir().unwrap() };
        assert_eq!(version(), wanted("RUNSECRETS_WINE"), "another Wine than the one that was asked for");
        let made = wine.wine("wineboot").args(["--init"]).output().unwrap();
        assert!(made.status.success(), "wineboot: {}", String::from_utf8_lossy(&made.stderr));
        // Wine 8 lacks the source of random numbers that Rust's std has had since Windows 10.
        let random = wine.here(r"C:\windows\system32\bcryptprimitives.dll");
        if !random.exists() {
            fs::copy(built("bcryptprimitives.dll"), random).unwrap();
        }
        fs::create_dir_all(wine.here(INSTALLED)).unwrap();
        for program in PROGRAMS {
            fs::copy(built(program), wine.here(INSTALLED).join(program)).unwrap();
        }
        wine
    }

    /// One of our programs.
    pub(crate) fn ours(&self, program: &str) -> Command {
        self.wine(&format!("{INSTALLED}\\{program}"))
    }

    /// Any program of this Windows, by its Windows path or by its path here.
    pub(crate) fn wine(&self, program: &str) -> Command {
        let mut command = Command::new("wine");
        command.arg(program).env("WINEPREFIX", self.prefix.path()).env("WINEDEBUG", "-all").stdin(Stdio::null());
        command
    }

    /// Where a path on drive C lies on this machine.
    pub(crate) fn here(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(r"C:\").expect("a path on drive C");
        self.prefix.path().join("drive_c").join(below.replace('\\', "/"))
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Every process of the prefix, services included. There is nobody to tell if it fails.
        let _ = Command::new("wineserver").arg("-k").env("WINEPREFIX", self.prefix.path()).status();
        let _ = Command::new("wineserver").arg("-w").env("WINEPREFIX", self.prefix.path()).status();
    }
}

/// Something that `make windows` built.
pub(crate) fn built(name: &str) -> PathBuf {
    let path = Path::new(&wanted("RUNSECRETS_WINDOWS_PROGRAMS")).join(name);
    assert!(path.exists(), "{} is missing; make windows", path.display());
    path
}

/// The major version of the Wine in `PATH`.
fn version() -> String {
    let output = Command::new("wine").arg("--version").stderr(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("wine: {error}; apt-get install -y --no-install-recommends wine wine64"));
    let text = said(&output);
    text.trim_start_matches("wine-").split('.').next().unwrap_or_default().to_owned()
}

fn wanted(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; make test-windows sets it"))
}

/// What a program wrote to its standard output, with the line ends of this machine.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}
