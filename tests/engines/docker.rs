//! dockerd with directories, a configuration and a socket of its own; its containers go away with it.
#![allow(dead_code)] // each test program uses its own part

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::image;
use crate::testbed::running_agent::LIMIT;
use crate::testbed::{Bed, Rootfs, WRAPPER, hook, program, words};

pub(crate) struct Docker {
    directory: TempDir,
    daemon: Child,
}

impl Docker {
    /// Starts it with the runtime `runsecrets`, with `runsecrets-env`, which also reads the claim in the environment, and
    /// with `runsecrets-ask`, whose hook asks the agent.
    pub(crate) fn start(bed: &Bed) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), bed, &[])
    }

    /// The socket of the daemon that has `directory`.
    pub(crate) fn socket(directory: &TempDir) -> PathBuf {
        directory.path().join("sock")
    }

    /// The file with the daemon's process id.
    pub(crate) fn pid_file(directory: &TempDir) -> PathBuf {
        directory.path().join("pid")
    }

    /// The same in `directory`, and with more runtimes: a name and a program.
    pub(crate) fn start_in(directory: TempDir, bed: &Bed, more: &[(&str, &Path)]) -> Self {
        let real = bed.runtime.path();
        let common =
            ["--real-runtime".as_ref(), &*real, "--hook".as_ref(), &hook(), "--run-dir".as_ref(), &bed.place.run()]
                .map(|argument: &Path| argument.to_str().unwrap().to_owned());
        let runtime = |more: &[&str]| {
            let more = more.iter().map(|&argument| argument.to_owned());
            serde_json::json!({"path": WRAPPER, "runtimeArgs": common.iter().cloned().chain(more).collect::<Vec<_>>()})
        };
        let mut runtimes = serde_json::json!({
            "runsecrets": runtime(&[]),
            "runsecrets-env": runtime(&["--claim-from-environment"]),
            "runsecrets-ask": runtime(&["--ask"]),
        });
        for (name, program) in more {
            runtimes[name] = serde_json::json!({"path": program});
        }
        Self::with_in(directory, serde_json::json!({"runtimes": runtimes}))
    }

    /// Starts it with `config`, beside what it needs here.
    pub(crate) fn with(config: serde_json::Value) -> Self {
        Self::with_in(tempfile::tempdir().unwrap(), config)
    }

    fn with_in(directory: TempDir, mut config: serde_json::Value) -> Self {
        let path = |name: &str| directory.path().join(name);
        let mut needed = serde_json::json!({
            "iptables": false, "ip6tables": false, "bridge": "none",
            "data-root": path("data"), "exec-root": path("exec"), "pidfile": path("pid"),
            "hosts": [format!("unix://{}", path("sock").display())],
        });
        if config.get("storage-driver").is_none() {
            needed["storage-driver"] = "vfs".into();
        }
        let dockerd = program("dockerd", "docker.io");
        let help = words(&Command::new(&dockerd).arg("--help").output().unwrap());
        // Until Docker 24 it lowers its own score, which needs a capability; later ones do not know the word.
        if help.contains("--oom-score-adjust") {
            needed["oom-score-adjust"] = 0.into();
        }
        if help.contains("--cdi-spec-dir") {
            needed["features"] = serde_json::json!({"cdi": true}); // from 28.3 on without being asked
            needed["cdi-spec-dirs"] = serde_json::json!([path("cdi")]);
        }
        std::fs::create_dir(path("cdi")).unwrap();
        config.as_object_mut().unwrap().extend(needed.as_object().unwrap().clone());
        std::fs::write(path("daemon.json"), serde_json::to_string_pretty(&config).unwrap()).unwrap();
        std::fs::create_dir(path("client")).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new(dockerd);
        command.arg("--config-file").arg(path("daemon.json")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = command.spawn().unwrap();
        let mut engine = Self { directory, daemon };
        let start = Instant::now();
        while !engine.docker(&["version"]).status.success() {
            let gone = engine.daemon.try_wait().unwrap();
            let log = || std::fs::read_to_string(engine.directory.path().join("log")).unwrap();
            assert!(gone.is_none() && start.elapsed() < LIMIT, "dockerd did not come up ({gone:?}):\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        engine
    }

    /// The first number of its version.
    pub(crate) fn major(&self) -> u32 {
        let version = self.ok(&["version", "--format", "{{.Server.Version}}"]);
        version.split('.').next().unwrap().parse().unwrap()
    }

    /// Where it looks for the files of CDI devices, if it knows of them.
    pub(crate) fn devices(&self) -> PathBuf {
        self.directory.path().join("cdi")
    }

    /// Where it keeps what it knows: data-root, exec-root, and its log.
    pub(crate) fn directories(&self) -> [PathBuf; 3] {
        ["data", "exec", "log"].map(|name| self.directory.path().join(name))
    }

    /// Tells a client of Docker's to talk to this one.
    pub(crate) fn told_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("DOCKER_HOST", format!("unix://{}", self.directory.path().join("sock").display()));
        command.env("DOCKER_CONFIG", self.directory.path().join("client")).env_remove("DOCKER_CONTEXT")
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("daemon.json")
    }

    /// What `systemctl reload docker` does; waits until it has been done for the time `count`.
    pub(crate) fn reload(&self, count: usize) {
        kill(Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), Signal::SIGHUP).unwrap();
        let start = Instant::now();
        let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        while log().matches("Reloaded configuration").count() < count {
            assert!(start.elapsed() < LIMIT, "dockerd did not reload:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The client's answer.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Output {
        let [out, err] = ["out", "err"].map(|_| tempfile::NamedTempFile::new().unwrap());
        let mut command = Command::new(program("docker", "docker.io"));
        self.told_to(&mut command).args(arguments).stdin(Stdio::null());
        let status = command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap()).status().unwrap();
        let [stdout, stderr] = [out, err].map(|file| std::fs::read(file.path()).unwrap());
        Output { status, stdout, stderr }
    }

    /// The same, which must be a success.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(output.status.success(), "docker {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, which must fail: what the user sees.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(!output.status.success(), "docker {arguments:?}: {}", words(&output));
        words(&output)
    }

    /// Imports `rootfs` as the image `name`.
    pub(crate) fn import(&self, rootfs: &Rootfs, name: &str) {
        self.import_with(rootfs, name, "ENV PATH=/usr/bin:/bin");
    }

    /// The same with this instruction of a Dockerfile.
    pub(crate) fn import_with(&self, rootfs: &Rootfs, name: &str, instruction: &str) {
        let files = tempfile::tempdir().unwrap();
        let layer = image::layer(rootfs, files.path());
        self.ok(&["import", "--change", instruction, layer.to_str().unwrap(), name]);
    }

    /// Sends the daemon this signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // A test may have stopped it.
        let _ = kill(Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), Signal::SIGCONT);
        let listed = self.docker(&["ps", "-aq"]).stdout;
        for id in String::from_utf8_lossy(&listed).split_whitespace() {
            self.docker(&["rm", "-f", id]);
        }
        let _ = kill(Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), Signal::SIGTERM);
        let _ = self.daemon.wait();
    }
}
