//! A real agent with its own state, run directory and configuration, and our CLI against it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Host, Outcome, eventually};

/// An agent that runs until it is dropped.
pub struct Agent {
    dir: PathBuf,
    child: Option<Child>,
}

impl Agent {
    /// An agent with the defaults; waits until it answers.
    #[track_caller]
    pub fn start(host: &Host) -> Self {
        Self::start_with(host, "")
    }

    /// An agent with `config` as its configuration file; waits until it answers.
    #[track_caller]
    pub fn start_with(host: &Host, config: &str) -> Self {
        let mut agent = Self::prepare(&host.new_dir("agent"), config);
        agent.start_again();
        agent
    }

    /// An agent in `dir` that is not started yet: for tests with no container, and to start it by [`Agent::command`].
    pub fn prepare(dir: &Path, config: &str) -> Self {
        fs::write(dir.join("config.toml"), config).unwrap();
        Self { dir: dir.to_owned(), child: None }
    }

    /// Starts the agent (again) on the same state; waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the agent runs already");
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let child = self.command().stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let this = &mut *self;
        eventually("the agent answers", || {
            let ended = this.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the agent ended ({ended:?}); its log:\n{}", this.log());
            this.answers()
        });
    }

    /// The agent's command line, with none of the caller's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runsecrets-agent"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg("--config").arg(self.dir.join("config.toml"));
        command.arg("--state-dir").arg(self.state_dir()).arg("--run-dir").arg(self.run_dir());
        command
    }

    /// Runs our CLI against the agent.
    pub fn cli(&self, arguments: &[&str]) -> Outcome {
        self.cli_with(arguments, b"")
    }

    /// The same with `input` on standard input: `agent.cli_with(&["secret", "create", "db", "-"], value)`.
    pub fn cli_with(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runsecrets"));
        command.env("RUNSECRETS_RUN_DIR", self.run_dir()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads no input may be gone before it is written.
        let _ = child.stdin.take().unwrap().write_all(input);
        Outcome::from_output(format!("{command:?}"), child.wait_with_output().unwrap())
    }

    /// Where `agent.sock` and `hook.sock` are.
    pub fn run_dir(&self) -> &'static Path {
        // Paths of a test live as long as the test program: that keeps the tests free of borrows.
        Box::leak(self.dir.join("run").into_boxed_path())
    }

    /// Where the sealed store is.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The socket of the API.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/agent.sock")
    }

    /// The file that has the agent's standard output and error.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    /// What the agent has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The agent's process.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().expect("the agent runs").id()).unwrap()
    }

    /// Ends the agent with SIGTERM and waits for it.
    #[track_caller]
    pub fn terminate(&mut self) {
        let mut child = self.child.take().expect("the agent runs");
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let mut status = None;
        eventually("the agent ends after SIGTERM", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "its log:\n{}", self.log());
    }

    /// Ends the agent with SIGKILL: a crash.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether `GET /_ping` is answered with 200.
    fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.crash();
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}
