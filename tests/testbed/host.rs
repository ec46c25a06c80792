//! One test's own host: a private mount namespace, a directory, and a runtime with its own state below it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use serde_json::Value;
use tempfile::TempDir;

use super::{Bundle, Outcome, eventually, require};

/// Which runtime a test runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The one of Docker, containerd and CRI-O.
    Runc,
    /// The one of podman on several systems.
    Crun,
}

impl Runtime {
    /// The program's name, which is the package's too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }

    /// Where the program is.
    #[track_caller]
    pub fn program(self) -> PathBuf {
        require(self.name(), self.name())
    }
}

/// The host of one test. Declare it first: what is dropped last cleans up last.
pub struct Host {
    runtime: Runtime,
    dir: TempDir,
    wrapper: OnceCell<Vec<String>>,
    containers: RefCell<BTreeSet<String>>,
    made: Cell<u32>,
}

impl Host {
    /// A host with `runtime`. The calling thread, and what it starts from now on, is in a mount namespace of its own.
    ///
    /// crun wants cgroup v2: where `/sys/fs/cgroup` is something else it is covered, in this namespace only.
    #[track_caller]
    pub fn new(runtime: Runtime) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests mount file systems and start containers: run them as root"
        );
        runtime.program();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        if runtime == Runtime::Crun {
            cover_cgroups();
        }
        let dir = tempfile::Builder::new().prefix("runsecrets-").tempdir().unwrap();
        // A container's mapped root must get through to its root file system.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        Self { runtime, dir, wrapper: OnceCell::new(), containers: RefCell::default(), made: Cell::new(0) }
    }

    /// The host's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The runtime it has.
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// A new directory below the host's own, passable for everyone.
    pub fn new_dir(&self, name: &str) -> PathBuf {
        let number = self.made.replace(self.made.get() + 1);
        let dir = self.path().join(format!("{name}-{number}"));
        fs::create_dir(&dir).unwrap();
        dir
    }

    /// From now on the runtime is called through our wrapper, whose hook talks to the agent in `run_dir`.
    pub fn wrap(&self, run_dir: &Path) {
        let run_dir = run_dir.to_str().unwrap();
        self.wrap_with(&["--run-dir", run_dir, "--hook", env!("CARGO_BIN_EXE_runsecrets-hook")]);
    }

    /// The same with the wrapper's arguments as given; the real runtime is added.
    pub fn wrap_with(&self, arguments: &[&str]) {
        let mut words = vec![env!("CARGO_BIN_EXE_runsecrets-runtime").to_owned(), "--real-runtime".to_owned()];
        words.push(self.runtime.program().to_str().unwrap().to_owned());
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        self.wrapper.set(words).expect("the host is wrapped once");
    }

    /// The runtime's command with its global options.
    pub fn command(&self) -> Command {
        let program = self.runtime.program();
        let mut command = match self.wrapper.get() {
            None => Command::new(program),
            Some(words) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
        };
        command.arg("--root").arg(self.path().join("runtime"));
        if self.runtime == Runtime::Crun {
            command.arg("--cgroup-manager=disabled");
        }
        command.stdin(Stdio::null());
        command
    }

    /// `create`: the container is there, its program is not started.
    pub fn create(&self, bundle: &Bundle, id: &str) -> Outcome {
        self.begin(&["create"], bundle, id)
    }

    /// `run --detach`.
    pub fn run_detached(&self, bundle: &Bundle, id: &str) -> Outcome {
        self.begin(&["run", "--detach"], bundle, id)
    }

    /// `run` to the program's end; the outcome is the program's.
    pub fn run(&self, bundle: &Bundle, id: &str) -> Outcome {
        self.containers.borrow_mut().insert(id.to_owned());
        let mut command = self.command();
        command.arg("run").args(bundle.flags()).arg("--bundle").arg(bundle.path()).arg(id);
        Outcome::of(&mut command)
    }

    /// `start`.
    pub fn start(&self, id: &str) -> Outcome {
        Outcome::of(self.command().args(["start", id]))
    }

    /// `exec`, to the program's end.
    pub fn exec(&self, id: &str, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command().args(["exec", id]).args(arguments))
    }

    /// `kill` with a signal's name.
    pub fn kill(&self, id: &str, signal: &str) -> Outcome {
        Outcome::of(self.command().args(["kill", id, signal]))
    }

    /// `delete`, of a container that has stopped.
    pub fn delete(&self, id: &str) -> Outcome {
        Outcome::of(self.command().args(["delete", id]))
    }

    /// Kills the container, waits until it has stopped, and deletes it: what an engine's `stop` and `rm` come to.
    #[track_caller]
    pub fn stop(&self, id: &str) {
        self.kill(id, "KILL").ok();
        self.wait_stopped(id);
        self.delete(id).ok();
    }

    /// Waits until the runtime says that the container has stopped.
    #[track_caller]
    pub fn wait_stopped(&self, id: &str) {
        eventually("the container has stopped", || self.state(id)["status"] == "stopped");
    }

    /// `state`.
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&Outcome::of(self.command().args(["state", id])).ok()).unwrap()
    }

    /// The container's first process, as the host numbers it.
    #[track_caller]
    pub fn pid(&self, id: &str) -> i32 {
        i32::try_from(self.state(id)["pid"].as_i64().unwrap()).unwrap()
    }

    /// What a container started by [`Host::create`] or [`Host::run_detached`] has written so far.
    pub fn output(&self, id: &str) -> String {
        let text = |suffix| fs::read(self.path().join(format!("{id}.{suffix}"))).unwrap_or_default();
        String::from_utf8_lossy(&[text("out"), text("err")].concat()).into_owned()
    }

    /// The mount points below `path` in the host's own mount namespace, innermost last.
    pub fn mounts_below(&self, path: &Path) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        points.filter(|point| point.starts_with(path)).collect()
    }

    /// A command that leaves a container behind: its output goes to files, as the container keeps them open.
    fn begin(&self, verb: &[&str], bundle: &Bundle, id: &str) -> Outcome {
        self.containers.borrow_mut().insert(id.to_owned());
        let [out, err] = ["out", "err"].map(|suffix| self.path().join(format!("{id}.{suffix}")));
        let mut command = self.command();
        command.args(verb).args(bundle.flags()).arg("--bundle").arg(bundle.path()).arg(id);
        let status = command
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .status()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Outcome {
            command: format!("{command:?}"),
            code: status.code(),
            stdout: fs::read(out).unwrap(),
            stderr: fs::read(err).unwrap(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for id in self.containers.take() {
            let deleted = self.command().args(["delete", "--force", &id]).output();
            // One that was never made, or is gone, is no fault; anything else shows in the next lines.
            drop(deleted);
        }
        for point in self.mounts_below(self.path()).iter().rev() {
            let _ = umount2(point, MntFlags::MNT_DETACH);
        }
    }
}

/// Puts a cgroup v2 tree over whatever else is at `/sys/fs/cgroup` (a hybrid or v1 machine).
fn cover_cgroups() {
    const POINT: &str = "/sys/fs/cgroup";
    if statfs(POINT).unwrap().filesystem_type() == CGROUP2_SUPER_MAGIC {
        return;
    }
    while umount2(POINT, MntFlags::MNT_DETACH).is_ok() {}
    mount(Some("none"), POINT, Some("cgroup2"), MsFlags::empty(), None::<&str>).unwrap();
}
