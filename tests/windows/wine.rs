//! A Windows of the test's own: a Wine prefix with our programs in it, which ends with the test.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// The programs that `make windows` built, by the name that Windows starts them with.
const PROGRAMS: [&str; 4] = ["runsecrets.exe", "runsecrets-agent.exe", "runsecrets-hook.exe", "runsecrets-runtime.exe"];
/// Where they stand in the prefix, as Windows says it and as it lies here.
const INSTALLED: &str = r"C:\Program Files\runsecrets";

pub(crate) struct Wine {
    prefix: TempDir,
    resident: RefCell<Option<Child>>,
}

impl Wine {
    /// A new prefix with our programs, on the Wine that `PATH` names; it is the one that the run is about.
    pub(crate) fn new() -> Self {
        let prefix = tempfile::Builder::new().prefix("runsecrets-wine-").tempdir().unwrap();
        let wine = Self { prefix, resident: RefCell::default() };
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
        wine.boot();
        wine
    }

    /// Starts a program that stays, and with it Wine's own: those keep the output of whoever is the first to need them, and
    /// whoever reads that would wait for its end for ever.
    fn boot(&self) {
        let sign = self.here(r"C:\booted");
        let mut command = self.wine("cmd");
        command.args(["/k", r"echo x > C:\booted"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        *self.resident.borrow_mut() = Some(command.spawn().unwrap());
        while !sign.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::remove_file(sign).unwrap();
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

    /// The number by which Windows knows the process of the program `name`, if there is one.
    pub(crate) fn pid_of(&self, name: &str) -> Option<u32> {
        let listed = self.wine("wmic").args(["process", "get", "Name,ProcessId"]).output().unwrap();
        // In two bytes a character, all of them ASCII.
        let text = said(&listed).replace('\0', "");
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Where a path on drive C lies on this machine.
    pub(crate) fn here(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(r"C:\").expect("a path on drive C");
        self.prefix.path().join("drive_c").join(below.replace('\\', "/"))
    }
}

impl Wine {
    /// Ends every process and starts Windows anew: what is not on the disk is gone.
    pub(crate) fn restart(&self) {
        self.shut_down();
        self.boot();
    }

    /// Ends every process of the prefix, services included.
    fn shut_down(&self) {
        // There is nobody to tell if it fails.
        for verb in ["-k", "-w"] {
            let _ = Command::new("wineserver").arg(verb).env("WINEPREFIX", self.prefix.path()).status();
        }
        if let Some(mut resident) = self.resident.take() {
            let _ = resident.wait();
        }
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.shut_down();
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
