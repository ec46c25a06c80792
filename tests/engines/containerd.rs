//! containerd with directories and a socket of its own; it goes away with its tasks when it is dropped.
#![allow(dead_code)] // each test program uses its own part

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::image;
use crate::testbed::running_agent::LIMIT;
use crate::testbed::{Bed, Rootfs, program, words};

pub(crate) struct Containerd {
    directory: TempDir,
    /// A namespace of its own: runc's root and the cgroups are `/run/containerd/runc/NAMESPACE` and `/NAMESPACE`,
    /// whatever containerd it is.
    namespace: String,
    wrapper: PathBuf,
    daemon: Child,
}

impl Containerd {
    /// Starts it, with a script that calls the wrapper as `bed`'s agent needs it.
    pub(crate) fn start(bed: &Bed) -> Self {
        Self::configured(bed, None, |_| "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n".to_owned())
    }

    /// Starts it with these lines of configuration, which may name files of `directory`. The CRI has the `namespace` k8s.io.
    pub(crate) fn configured(bed: &Bed, namespace: Option<&str>, lines: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let wrapper = Self::wrapper_in(directory.path());
        bed.write_wrapper(&wrapper, "");
        let (lines, opt) = (lines(directory.path()), path("opt"));
        let config = format!(
            "version = 2\noom_score = 0\n{lines}[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{}\"\n",
            opt.display()
        );
        std::fs::write(path("config.toml"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new(program("containerd", "containerd"));
        command.arg("--config").arg(path("config.toml")).arg("--root").arg(path("root"));
        command.arg("--state").arg(path("state")).arg("--address").arg(path("sock"));
        let daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let unique = directory.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let namespace = namespace.map_or_else(|| format!("runsecrets-{unique}"), str::to_owned);
        let mut engine = Self { directory, namespace, wrapper, daemon };
        let start = Instant::now();
        while !engine.ctr(&["version"]).status.success() {
            let gone = engine.daemon.try_wait().unwrap();
            assert!(
                gone.is_none() && start.elapsed() < LIMIT,
                "containerd did not come up ({gone:?}):\n{}",
                engine.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        engine
    }

    /// The script that calls the wrapper; it is there before the configuration is read.
    pub(crate) fn wrapper_in(directory: &Path) -> PathBuf {
        directory.join("wrapper")
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Where it keeps what it knows.
    pub(crate) fn directories(&self) -> [PathBuf; 2] {
        ["root", "state"].map(|name| self.directory.path().join(name))
    }

    /// The first number of its version.
    pub(crate) fn major(&self) -> u32 {
        let said = self.ctr_ok(&["version"]);
        let version = said.lines().find_map(|line| line.trim().strip_prefix("Version:")).unwrap();
        version.trim().trim_start_matches('v').split('.').next().unwrap().parse().unwrap()
    }

    /// `ctr`'s answer.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> Output {
        self.ctr_by(Command::new(program("ctr", "containerd")), arguments)
    }

    /// The same where /etc/cdi is `devices`: in a mount namespace of its own, the machine's is not touched.
    pub(crate) fn ctr_with_devices(&self, devices: &Path, arguments: &[&str]) -> Output {
        let layers = tempfile::tempdir().unwrap();
        let script = "set -e; mount -t tmpfs none \"$1\"; mkdir -p \"$1/upper/cdi\" \"$1/work\"; \
                      cp \"$2\"/* \"$1/upper/cdi\"; \
                      mount -t overlay none -o \"lowerdir=/etc,upperdir=$1/upper,workdir=$1/work\" /etc; shift 2; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]).arg(layers.path()).arg(devices);
        command.arg(program("ctr", "containerd"));
        self.ctr_by(command, arguments)
    }

    fn ctr_by(&self, mut command: Command, arguments: &[&str]) -> Output {
        // Into files: a shim inherits the descriptors, and would keep a pipe open.
        let [out, err] = ["out", "err"].map(|_| tempfile::NamedTempFile::new().unwrap());
        command.arg("--address").arg(self.socket()).args(["--namespace", &self.namespace]);
        command.args(arguments).stdin(Stdio::null());
        let status = command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap()).status().unwrap();
        let [stdout, stderr] = [out, err].map(|file| std::fs::read(file.path()).unwrap());
        Output { status, stdout, stderr }
    }

    /// The same, which must be a success.
    pub(crate) fn ctr_ok(&self, arguments: &[&str]) -> String {
        let output = self.ctr(arguments);
        assert!(output.status.success(), "ctr {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Imports `rootfs` as the image of the tasks.
    pub(crate) fn import(&self, rootfs: &Rootfs) {
        let files = tempfile::tempdir().unwrap();
        let archive = image::archive(rootfs, files.path());
        // containerd 2 imports by its transfer service, which knows the snapshotter of its configuration only.
        let local = words(&self.ctr(&["image", "import", "--help"])).contains("--local");
        let local = if local { &["--local"][..] } else { &[] };
        let options = ["image", "import", "--snapshotter", "native"];
        self.ctr_ok(&[&options[..], local, &[archive.to_str().unwrap()]].concat());
    }

    /// Runs a task that sleeps; what the user sees if it does not come up.
    pub(crate) fn run(&self, id: &str, more: &[&str]) -> Result<(), String> {
        let wrapper = self.wrapper.to_str().unwrap();
        let options = ["run", "--detach", "--null-io", "--snapshotter", "native", "--runc-binary", wrapper];
        let output = self.ctr(&[&options[..], more, &[image::IMAGE, id, "sleep", "1000"]].concat());
        if output.status.success() { Ok(()) } else { Err(words(&output)) }
    }

    /// The same, at work.
    pub(crate) fn begin(&self, id: &str, more: &[&str]) -> Child {
        let mut command = Command::new(program("ctr", "containerd"));
        command.arg("--address").arg(self.socket()).args(["--namespace", &self.namespace]);
        command.args(["run", "--detach", "--null-io", "--snapshotter", "native", "--runc-binary"]).arg(&self.wrapper);
        command.args(more).args([image::IMAGE, id, "sleep", "1000"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What a command in the task prints; what the user sees if it fails. It is run again where `ctr` has lost its words:
    /// it gives its pipes up as soon as it hears of the end, read or not.
    pub(crate) fn exec(&self, id: &str, arguments: &[&str]) -> Result<String, String> {
        let marked = ["sh", "-c", "\"$@\" && printf /end", "sh"];
        let start = Instant::now();
        loop {
            let output = self.ctr(&[&["task", "exec", "--exec-id", "probe", id], &marked[..], arguments].concat());
            if !output.status.success() {
                return Err(words(&output));
            }
            let printed = String::from_utf8(output.stdout).unwrap();
            match printed.strip_suffix("/end") {
                Some(printed) => return Ok(printed.to_owned()),
                None => assert!(start.elapsed() < LIMIT, "{arguments:?} in {id}: never whole: {printed}"),
            }
        }
    }

    /// Kills the task's process, and waits until containerd knows; the task is not deleted.
    pub(crate) fn kill(&self, id: &str) {
        self.ctr_ok(&["task", "kill", "--signal", "SIGKILL", id]);
        let start = Instant::now();
        while !self.task_is(id, "STOPPED") {
            assert!(start.elapsed() < LIMIT, "{id} does not stop");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Whether `ctr task ls` has it so.
    pub(crate) fn task_is(&self, id: &str, state: &str) -> bool {
        self.ctr_ok(&["task", "ls"]).lines().any(|line| line.starts_with(id) && line.contains(state))
    }

    /// Where the container's own files are, on the host.
    pub(crate) fn snapshot_path(&self, id: &str) -> PathBuf {
        let mounts = self.ctr_ok(&["snapshot", "--snapshotter", "native", "mounts", "/t", id]);
        mounts.split_whitespace().find(|word| word.contains("snapshots/")).unwrap().into()
    }

    /// Kills the shim of a task with SIGKILL.
    pub(crate) fn kill_shim(&self, id: &str) {
        let pid = self.ctr_ok(&["task", "ls"]).lines().find(|line| line.starts_with(id)).map(|line| {
            let pid = line.split_whitespace().nth(1).unwrap();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
            let command = std::fs::read_to_string(format!("/proc/{parent}/cmdline")).unwrap();
            assert!(command.contains("containerd-shim"), "{command}");
            parent.parse().unwrap()
        });
        kill(Pid::from_raw(pid.unwrap()), Signal::SIGKILL).unwrap();
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let listed = self.ctr(&["container", "ls", "-q"]).stdout;
        for id in String::from_utf8_lossy(&listed).split_whitespace() {
            self.ctr(&["task", "delete", "--force", id]);
            self.ctr(&["container", "delete", id]);
        }
        let _ = kill(Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), Signal::SIGTERM);
        let _ = self.daemon.wait();
        let _ = std::fs::remove_dir(Path::new("/run/containerd/runc").join(&self.namespace));
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for cgroups in hierarchies.chain(["/sys/fs/cgroup".into()]) {
            let _ = std::fs::remove_dir(cgroups.join(&self.namespace));
        }
    }
}
