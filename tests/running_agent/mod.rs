//! A real agent process in a place of its own, for the tests of its outside. It is stopped when it is dropped.
#![allow(dead_code, unreachable_pub)] // each test program uses its own part

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a test waits for what must come before it fails; nothing is ever expected *within* a time.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The agent's binary.
pub const AGENT: &str = env!("CARGO_BIN_EXE_runsecrets-agent");

/// A directory for one agent: state, run, configuration.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Others may pass through, as they may through /run and /var/lib.
        set_mode(directory.path(), 0o755);
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn run(&self) -> PathBuf {
        self.path("run")
    }

    pub fn admin(&self) -> PathBuf {
        self.run().join("agent.sock")
    }

    pub fn hook(&self) -> PathBuf {
        self.run().join("hook.sock")
    }

    /// A configuration with these lines.
    pub fn configure(&self, lines: &str) {
        std::fs::write(self.path("config.toml"), lines).unwrap();
    }

    /// The command that starts the agent here.
    pub fn command(&self) -> Command {
        let mut command = Command::new(AGENT);
        command.env_clear().arg("--state-dir").arg(self.state()).arg("--run-dir").arg(self.run());
        let config = self.path("config.toml");
        if !config.exists() {
            std::fs::write(&config, "").unwrap();
        }
        command.arg("--config").arg(config);
        command
    }

    /// Starts an agent that must refuse to run; its exit code and what it said.
    pub fn refused(&self) -> (i32, String) {
        let output = self.command().output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Starts the agent and waits until it says that it serves.
    pub fn start(&self) -> Agent {
        self.start_with(&mut self.command())
    }

    /// Starts `command` and waits until it says that it serves.
    pub fn start_with(&self, command: &mut Command) -> Agent {
        let path = self.path("notify.sock");
        let _ = std::fs::remove_file(&path);
        let notify = UnixDatagram::bind(&path).unwrap();
        notify.set_read_timeout(Some(LIMIT)).unwrap();
        let mut child = command.env("NOTIFY_SOCKET", &path).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let mut agent = Agent { child, log, notify, admin: self.admin(), hook: self.hook() };
        // An agent that ends instead of serving sends nothing: look at both.
        agent.notify.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut message = [0; 256];
        let len = loop {
            match agent.notify.recv(&mut message) {
                Ok(len) => break len,
                Err(_) => assert!(agent.child.try_wait().unwrap().is_none(), "{}", agent.log.text()),
            }
        };
        assert!(message[..len].starts_with(b"READY=1\n"), "{}", String::from_utf8_lossy(&message[..len]));
        agent.notify.set_read_timeout(Some(LIMIT)).unwrap();
        agent
    }
}

/// What a process writes to standard error, as it comes.
#[derive(Clone)]
pub struct Log(Arc<(Mutex<String>, Condvar)>);

impl Log {
    fn follow(source: impl Read + Send + 'static) -> Self {
        let log = Self(Arc::new((Mutex::new(String::new()), Condvar::new())));
        let ours = log.clone();
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = String::new();
            while source.read_line(&mut line).is_ok_and(|count| count > 0) {
                ours.0.0.lock().unwrap().push_str(&line);
                ours.0.1.notify_all();
                line.clear();
            }
        });
        log
    }

    pub fn text(&self) -> String {
        self.0.0.lock().unwrap().clone()
    }

    /// Waits for a line with `part`.
    pub fn wait_for(&self, part: &str) {
        let (text, changed) = &*self.0;
        let waited = changed.wait_timeout_while(text.lock().unwrap(), LIMIT, |text| !text.contains(part)).unwrap();
        assert!(!waited.1.timed_out(), "no '{part}' in: {}", *waited.0);
    }
}

/// A running agent.
pub struct Agent {
    pub child: Child,
    pub log: Log,
    pub notify: UnixDatagram,
    admin: PathBuf,
    hook: PathBuf,
}

impl Agent {
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.child.wait().unwrap()
    }

    /// A connection to the admin socket.
    pub fn connect(&self) -> UnixStream {
        connect(&self.admin)
    }

    /// A connection to the hook socket.
    pub fn connect_hook(&self) -> UnixStream {
        connect(&self.hook)
    }

    /// One request and its answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        self.try_request(method, path, body).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// One request and its answer; `None` when the agent is gone before it has answered.
    pub fn try_request(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let mut stream = UnixStream::connect(&self.admin).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        // The agent may answer and close before it has read a body that it refuses.
        let _ = stream.write_all(body.as_bytes());
        Answer::try_read(stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.request("POST", path, &body.to_string())
    }

    /// Stores a secret and returns its id.
    pub fn create(&self, name: &str, base64: &str) -> String {
        let answer = self.post("/secrets/create", &serde_json::json!({"Name": name, "Data": base64}));
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["ID"].as_str().unwrap().to_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads to the end of the connection.
    pub fn read(stream: UnixStream) -> Self {
        Self::try_read(stream).expect("an HTTP answer before the end of the connection")
    }

    fn try_read(mut stream: UnixStream) -> Option<Self> {
        let mut bytes = Vec::new();
        // A reset after the answer is the end as well.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Runs a program that a test needs; where it is missing, the test fails with the line that installs it.
pub fn run(command: &mut Command, package: &str) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("cannot run {:?}: {error}; apt-get install -y {package}", command.get_program());
    })
}

/// Gives a file or directory this mode.
pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Writes a program. Not by this process: whatever one of its threads starts at that moment would have the file open for
/// writing, too, until it has become its own program; and the kernel starts no file that somebody may write (ETXTBSY).
pub fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "rm -f \"$1\" && cat > \"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "cannot write {}", path.display());
}

/// Copies a program, with its mode; not by this process, for the same reason.
pub fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success(), "cannot copy {}", from.display());
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
