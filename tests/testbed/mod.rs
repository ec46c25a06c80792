//! The test bed of all end-to-end tests: real runtimes, real programs in root file systems, a real agent. Nothing here
//! stands in for a component; one that is missing fails the test with the line that installs it. Everything a test
//! makes lies in its own directory and its own mount namespace, and goes away when the test ends, also by a panic.
//!
//! ```ignore
//! mod testbed;
//! use testbed::*;
//!
//! on_runc_and_crun! {
//!     fn a_container_reads_its_secret(host) {
//!         let agent = Agent::start(&host);
//!         let rootfs = Rootfs::busybox(&host);
//!         let bundle = Bundle::of(&host, &rootfs).args(&["sleep", "600"]).our_hooks(agent.run_dir()).write();
//!         host.run_detached(&bundle, "web").ok();
//!     }
//! }
//! ```
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)] // each test program uses its own part of the bed
#![allow(clippy::unwrap_used, clippy::print_stderr)] // these are tests, in functions that clippy does not see as such

mod agent;
mod bundle;
mod canary;
mod host;
mod rootfs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub use agent::Agent;
pub use bundle::{Bundle, BundleBuilder};
pub use canary::Canary;
pub use host::{Host, Runtime};
pub use rootfs::Rootfs;

/// How long the bed waits for something that must happen: generous, because it is no measurement.
const PATIENCE: Duration = Duration::from_secs(20);

/// Turns one test body into two tests, `NAME::runc` and `NAME::crun`; the body gets a `&Host` by the name it gives.
macro_rules! on_runc_and_crun {
    ($($(#[$attribute:meta])* fn $name:ident($host:ident) $body:block)*) => {$(
        mod $name {
            use super::*;
            fn body($host: &$crate::testbed::Host) $body
            $(#[$attribute])*
            #[test]
            fn runc() {
                body(&$crate::testbed::Host::new($crate::testbed::Runtime::Runc));
            }
            $(#[$attribute])*
            #[test]
            fn crun() {
                body(&$crate::testbed::Host::new($crate::testbed::Runtime::Crun));
            }
        }
    )*};
}
pub(crate) use on_runc_and_crun;

/// What a command did.
#[must_use]
#[derive(Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}"));
        Self::from_output(shown, output)
    }

    /// The same from an output that was had otherwise.
    pub fn from_output(command: String, output: Output) -> Self {
        Self { command, code: output.status.code(), stdout: output.stdout, stderr: output.stderr }
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\nstdout: {}\nstderr: {}", self.command, self.out(), self.err());
        self.out()
    }

    /// Standard error (and after it standard output) of a command that must fail.
    #[track_caller]
    pub fn fails(self) -> String {
        assert_ne!(self.code, Some(0), "succeeded: {}\nstdout: {}\nstderr: {}", self.command, self.out(), self.err());
        format!("{}{}", self.err(), self.out())
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// The path of `program`, or a failure that says which package of Debian has it.
#[track_caller]
pub fn require(program: &str, package: &str) -> PathBuf {
    let found = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{program} is missing; install it: apt-get install -y --no-install-recommends {package}")
    })
}

/// Waits until `holds` is true; fails naming `what` when it does not come to hold.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to hold: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
