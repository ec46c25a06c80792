//! Real containers of runc and crun, with a real agent and the real hook, for the end-to-end tests. Everything goes
//! away when it is dropped, also in a panic.
#![allow(dead_code, unused_imports, unreachable_pub)] // each test program uses its own part

pub mod bundle;
pub mod canary;
pub mod fleet;
pub mod overlay;
pub mod podman;
pub mod rootfs;
#[path = "../running_agent/mod.rs"]
pub mod running_agent;
pub mod runtime;
pub mod user;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use bundle::Bundle;
pub use canary::Canary;
pub use fleet::Fleet;
pub use overlay::Overlay;
pub use podman::Podman;
pub use rootfs::Rootfs;
use running_agent::{Agent, Place};
pub use runtime::{Container, Runtime};
pub use user::User;

/// The hook's binary.
pub const HOOK: &str = env!("CARGO_BIN_EXE_runsecrets-hook");
/// The hook under test: this build's, or the one that `RUNSECRETS_TEST_HOOK` names (as released: static).
pub fn hook() -> PathBuf {
    std::env::var_os("RUNSECRETS_TEST_HOOK").map_or_else(|| PathBuf::from(HOOK), PathBuf::from)
}

/// The CLI's binary.
pub const CLI: &str = env!("CARGO_BIN_EXE_runsecrets");
/// The wrapper's binary.
pub const WRAPPER: &str = env!("CARGO_BIN_EXE_runsecrets-runtime");

/// Makes a test of each function for each runtime, so that a failure names the runtime.
#[macro_export]
macro_rules! on_each_runtime {
    ($($name:ident),+ $(,)?) => {
        mod on_runc { $(#[test] fn $name() { super::$name($crate::testbed::Runtime::Runc); })+ }
        mod on_crun { $(#[test] fn $name() { super::$name($crate::testbed::Runtime::Crun); })+ }
    };
}

/// One agent and one runtime.
pub struct Bed {
    pub runtime: Runtime,
    pub place: Place,
    pub agent: Agent,
}

impl Bed {
    pub fn new(runtime: Runtime) -> Self {
        Self::configured(runtime, "")
    }

    /// With these lines of configuration.
    pub fn configured(runtime: Runtime, lines: &str) -> Self {
        let place = Place::new();
        place.configure(lines);
        let agent = place.start();
        Self { runtime, place, agent }
    }

    /// Stores a secret by the CLI.
    pub fn secret(&self, name: &str, value: &[u8]) {
        let file = self.place.path("value");
        std::fs::write(&file, value).unwrap();
        let output = self.cli(&["secret", "create", name, file.to_str().unwrap()]);
        std::fs::remove_file(&file).unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }

    /// Makes a service by the CLI.
    pub fn service(&self, name: &str, grants: &[&str]) {
        let mut arguments = vec!["service", "create", "--name", name];
        for grant in grants {
            arguments.extend(["--secret", grant]);
        }
        let output = self.cli(&arguments);
        assert!(output.status.success(), "{}", words(&output));
    }

    /// The CLI's answer.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(CLI).arg("--run-dir").arg(self.place.run()).args(arguments).output().unwrap()
    }

    /// The CLI's answer, which must be a success.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `ps` with these arguments says once `holds` of it: a container's start does not wait until the agent has noted it.
    pub fn ps_until(&self, arguments: &[&str], holds: impl Fn(&str) -> bool) -> String {
        let mut said = String::new();
        self.eventually(&format!("what {arguments:?} is to say"), || {
            said = self.cli_ok(arguments);
            holds(&said)
        });
        said
    }

    /// The CLI's answer to these arguments and this standard input, which must be a success.
    pub fn cli_given(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = Command::new(CLI);
        command.arg("--run-dir").arg(self.place.run()).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a program that calls the wrapper with what an installed one would find by itself, and with `more`.
    pub fn write_wrapper(&self, path: &Path, more: &str) {
        let script = format!(
            "#!/bin/sh\nexec {WRAPPER} --real-runtime {} --hook {} --run-dir {} {more} \"$@\"\n",
            self.runtime.path().display(),
            hook().display(),
            self.place.run().display()
        );
        running_agent::write_program(path, &script);
    }

    /// A busybox bundle with our hooks that claims `service`.
    pub fn bundle(&self, service: &str) -> Bundle {
        Bundle::new(Rootfs::busybox()).hooked(&self.place.run()).claiming(service)
    }

    /// Starts `bundle`; it must come up.
    pub fn start(&self, bundle: &Bundle) -> Container {
        self.try_start(bundle).unwrap_or_else(|error| panic!("{error}\nagent: {}", self.agent.log.text()))
    }

    /// Starts `bundle`; what the runtime says if it does not come up.
    pub fn try_start(&self, bundle: &Bundle) -> Result<Container, String> {
        Container::run(self.runtime, bundle)
    }

    /// Starts `bundle`, which must be refused with `part` in what the user sees, and leave nothing behind.
    pub fn refuse(&self, bundle: &Bundle, part: &str) {
        self.refuse_start(bundle, part);
        self.holds_nothing();
    }

    /// The same while other containers hold secrets.
    pub fn refuse_start(&self, bundle: &Bundle, part: &str) {
        let before = bundle.listing();
        let error = match self.try_start(bundle) {
            Ok(_) => panic!("started, though it should be refused with '{part}'"),
            Err(error) => error,
        };
        assert!(error.contains(part), "no '{part}' in: {error}");
        assert_eq!(bundle.listing(), before, "something was left in the bundle after: {error}");
    }

    /// No container is on record, none is listed.
    pub fn holds_nothing(&self) {
        self.eventually("no container holds secrets", || {
            let records = std::fs::read_dir(self.place.run().join("containers")).unwrap().count();
            records == 0 && self.agent.get("/runsecrets/v1/ps").json() == serde_json::json!([])
        });
    }

    /// Waits until `holds`.
    pub fn eventually(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = std::time::Instant::now();
        while !holds() {
            assert!(start.elapsed() < running_agent::LIMIT, "never: {what}; agent: {}", self.agent.log.text());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// What a program said, for a failure's message.
pub fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Says aloud that the engine under test is too old for what the test is about; the test then holds it to its refusal.
pub fn lacks(feature: &str) {
    // Past libtest, which keeps what tests print to itself: `make test-matrix` reads it.
    let _ = writeln!(std::io::stdout(), "engine lacks: {feature}");
}

/// The path of a program that a test needs; where it is missing, the test fails with the line that installs it.
pub fn program(name: &str, package: &str) -> PathBuf {
    for directory in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
        let path = Path::new(directory).join(name);
        if path.exists() {
            return path;
        }
    }
    panic!("{name} is missing; apt-get install -y --no-install-recommends {package}");
}
