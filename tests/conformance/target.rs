//! What the suite runs against: started in a place of its own, driven through a command line and through HTTP.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::command::{Client, Ran, demand, ran};

/// What names the target.
const CHOICE: &str = "RUNSECRETS_CONFORMANCE";
/// How long a daemon may take to come up or to go away before the suite gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who answers, and through which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our agent, our CLI.
    Runsecrets,
    /// Our agent, the Docker client as it comes.
    DockerCli,
    /// A swarm of one: Docker's own secrets.
    DockerSwarm,
}

impl Kind {
    /// The targets that are asked for.
    pub(crate) fn chosen() -> Vec<Kind> {
        match std::env::var(CHOICE).as_deref() {
            Err(_) | Ok("") => vec![Kind::Runsecrets, Kind::DockerCli],
            Ok("runsecrets") => vec![Kind::Runsecrets],
            Ok("docker-cli") => vec![Kind::DockerCli],
            Ok("docker-swarm") => vec![Kind::DockerSwarm],
            Ok(other) => panic!("{CHOICE}={other}: runsecrets, docker-cli and docker-swarm are the targets"),
        }
    }

    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::Runsecrets => "our agent through our CLI",
            Kind::DockerCli => "our agent through the Docker client",
            Kind::DockerSwarm => "a real Docker Swarm",
        }
    }
}

/// A running target; it goes away when dropped.
pub(crate) struct Target {
    /// What it is.
    pub(crate) kind: Kind,
    /// What the client is.
    pub(crate) client: Client,
    dir: TempDir,
    socket: PathBuf,
    daemon: Child,
}

/// One secret on a service: source, absolute target, uid, gid, mode.
pub(crate) type Held = (String, String, String, String, u64);

impl Target {
    /// Starts it; a component that is missing is a failure that says what to install.
    pub(crate) fn start(kind: Kind) -> Target {
        let dir = tempfile::tempdir().expect("a directory for the target");
        let path = |name: &str| dir.path().join(name);
        let client = if kind == Kind::Runsecrets { Client::Current } else { dockers_client() };
        fs::create_dir(path("docker-config")).expect("a directory for the client");
        let log = fs::File::create(path("log")).expect("a log");
        let (mut command, socket) = if kind == Kind::DockerSwarm {
            demand("dockerd");
            let socket = path("docker.sock");
            let mut command = Command::new("dockerd");
            command.args(["--iptables=false", "--bridge=none", "--data-root"]).arg(path("data"));
            command.arg("--exec-root").arg(path("exec")).arg("--pidfile").arg(path("pid"));
            command.arg("-H").arg(format!("unix://{}", socket.display()));
            (command, socket)
        } else {
            fs::write(path("config.toml"), "").expect("a configuration");
            let mut command = Command::new(env!("CARGO_BIN_EXE_runsecrets-agent"));
            command.arg("--config").arg(path("config.toml"));
            command.arg("--state-dir").arg(path("state")).arg("--run-dir").arg(path("run"));
            (command, path("run/agent.sock"))
        };
        let errors = log.try_clone().expect("the log");
        let daemon = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let daemon = daemon.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut target = Target { kind, client, dir, socket, daemon };
        target.wait_until_it_answers();
        if kind == Kind::DockerSwarm {
            let init = ["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1"];
            target.docker(&init, b"").ok();
        }
        target
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.socket.exists() || UnixStream::connect(&self.socket).is_err() || self.get("/_ping").0 != 200 {
            let ended = self.daemon.try_wait().expect("the daemon's state");
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("the daemon did not come up ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether Docker itself answers.
    pub(crate) fn is_swarm(&self) -> bool {
        self.kind == Kind::DockerSwarm
    }

    /// Whether our own CLI is the client.
    pub(crate) fn is_our_cli(&self) -> bool {
        self.kind == Kind::Runsecrets
    }

    /// `secret …` through the target's client.
    pub(crate) fn secret(&self, arguments: &[&str]) -> Ran {
        self.secret_with(arguments, b"")
    }

    /// The same with standard input.
    pub(crate) fn secret_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        self.client(&[&["secret"], arguments].concat(), input)
    }

    /// Any command through the target's client.
    pub(crate) fn client(&self, arguments: &[&str], input: &[u8]) -> Ran {
        match self.kind {
            Kind::Runsecrets => self.runsecrets(arguments, input),
            Kind::DockerCli | Kind::DockerSwarm => self.docker(arguments, input),
        }
    }

    /// Creates a secret and gives its id.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, flags: &[&str]) -> String {
        self.secret_with(&[&["create"], flags, &[name, "-"]].concat(), b"the value").ok()
    }

    /// `service create`, with no task in a swarm.
    pub(crate) fn service_create(&self, name: &str, secrets: &[&str]) -> Ran {
        let mut arguments = vec!["service", "create", "--name", name];
        secrets.iter().for_each(|secret| arguments.extend(["--secret", *secret]));
        if self.is_swarm() {
            arguments.extend(["--detach", "--no-resolve-image", "--replicas", "0", "none"]);
        }
        self.service(&arguments)
    }

    /// `service update`.
    pub(crate) fn service_update(&self, name: &str, flags: &[&str]) -> Ran {
        let detached: &[&str] = if self.is_swarm() { &["--detach"] } else { &[] };
        self.service(&[&["service", "update"], detached, flags, &[name]].concat())
    }

    /// `service rm`.
    pub(crate) fn service_remove(&self, name: &str) -> Ran {
        self.service(&["service", "rm", name])
    }

    /// What a service holds, in the order of its targets.
    #[track_caller]
    pub(crate) fn held(&self, service: &str) -> Vec<Held> {
        let json: Value = serde_json::from_str(&self.service(&["service", "inspect", service]).ok()).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let swarm = &json[0]["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"];
        let list = if self.is_swarm() { swarm } else { &json[0]["Secrets"] };
        let mut held: Vec<Held> = list
            .as_array()
            .cloned()
            .unwrap_or_default()
            .iter()
            .map(|secret| {
                if self.is_swarm() {
                    let file = &secret["File"];
                    // What dockerd does with a target that is not absolute.
                    let target = Path::new("/run/secrets").join(text(&file["Name"])).display().to_string();
                    (
                        text(&secret["SecretName"]),
                        target,
                        text(&file["UID"]),
                        text(&file["GID"]),
                        file["Mode"].as_u64().unwrap_or(u64::MAX),
                    )
                } else {
                    let mode = u64::from_str_radix(&text(&secret["Mode"]), 8).unwrap_or(u64::MAX);
                    (text(&secret["Source"]), text(&secret["Target"]), text(&secret["UID"]), text(&secret["GID"]), mode)
                }
            })
            .collect();
        held.sort_by(|a, b| a.1.cmp(&b.1));
        held
    }

    /// Services are ours where the agent is ours: the Docker client's are for a swarm.
    fn service(&self, arguments: &[&str]) -> Ran {
        if self.is_swarm() { self.docker(arguments, b"") } else { self.runsecrets(arguments, b"") }
    }

    /// The same command through Docker's client and through ours, at the same socket.
    pub(crate) fn both(&self, arguments: &[&str]) -> (Ran, Ran) {
        let mut ours = Command::new(env!("CARGO_BIN_EXE_runsecrets"));
        ours.arg("-H").arg(format!("unix://{}", self.socket.display())).args(arguments);
        (self.docker(arguments, b""), ran(ours, b""))
    }

    fn docker(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.socket.display())).args(arguments);
        for variable in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS_VERIFY"] {
            command.env_remove(variable);
        }
        command.env("DOCKER_CONFIG", self.dir.path().join("docker-config"));
        Ran { client: self.client, ..ran(command, input) }
    }

    fn runsecrets(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runsecrets"));
        command.arg("--run-dir").arg(self.dir.path().join("run")).args(arguments);
        ran(command, input)
    }

    /// `GET` by HTTP: the status and the JSON.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.http("GET", path, "")
    }

    /// One request by HTTP/1.0, so that the end of the connection is the end of the answer.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).expect("the socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {head:?}")), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Removes every service and every secret.
    pub(crate) fn clean(&self) {
        let ids = |listed: String| -> Vec<String> { listed.split_whitespace().map(str::to_owned).collect() };
        for service in ids(self.service(&["service", "ls", "--format", "{{.Name}}"]).ok()) {
            self.service_remove(&service).ok();
        }
        let secrets = ids(self.secret(&["ls", "-q"]).ok());
        if !secrets.is_empty() {
            let all: Vec<&str> = secrets.iter().map(String::as_str).collect();
            self.secret(&[&["rm"], all.as_slice()].concat()).ok();
        }
    }
}

/// What the `docker` that is installed is.
fn dockers_client() -> Client {
    demand("docker");
    let mut command = Command::new("docker");
    command.arg("--version");
    let said = ran(command, b"").ok();
    let major = said.split(' ').nth(2).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match major.unwrap_or_else(|| panic!("no version: {said}")) {
        ..23 => Client::Before23,
        23..28 => Client::Before28,
        28.. => Client::Current,
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).map(Pid::from_raw);
        let deadline = Instant::now() + PATIENCE;
        if pid.is_ok_and(|pid| kill(pid, Signal::SIGTERM).is_ok()) {
            while Instant::now() < deadline && matches!(self.daemon.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
