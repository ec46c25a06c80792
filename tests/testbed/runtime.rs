//! runc and crun, each as it runs on a machine without systemd and on one with.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::running_agent::LIMIT;
use super::{Bundle, User, program, words};

/// Where the state of every runtime under test is.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A runtime under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    Runc,
    Crun,
}

impl Runtime {
    pub fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }

    /// What a shell has to do in a new mount namespace before this runtime can work there: crun wants the unified cgroup
    /// hierarchy, which a machine may have in another place.
    pub fn preparation(self) -> &'static str {
        match self {
            Self::Runc => "",
            Self::Crun => {
                "[ -e /sys/fs/cgroup/cgroup.controllers ] || { umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; } ;"
            }
        }
    }

    /// What it is always told.
    pub fn own_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Runc => &[],
            Self::Crun => &["--cgroup-manager=disabled"],
        }
    }

    /// A command in a mount namespace of its own, in which `program` (this runtime, or a wrapper of it) can work.
    pub fn command_of(self, program: &Path, root: &Path) -> Command {
        let mut command = Command::new("unshare");
        let script = format!("{} exec \"$@\"", self.preparation());
        command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(program).args(self.own_arguments()).arg("--root").arg(root);
        command
    }

    pub fn path(self) -> PathBuf {
        program(self.name(), self.name())
    }
}

/// A container, from its creation on.
pub struct Container {
    pub runtime: Runtime,
    pub id: String,
    program: PathBuf,
    root: tempfile::TempDir,
    /// Kept as long as the container.
    files: Bundle,
    bundle: PathBuf,
    /// Whose it is, if it is not root's.
    user: Option<Rc<User>>,
    gone: bool,
}

impl Container {
    /// Creates and starts a container; what the runtime says if it does not come up.
    pub fn run(runtime: Runtime, bundle: &Bundle) -> Result<Self, String> {
        Self::run_by(runtime, &runtime.path(), bundle)
    }

    /// The same through `program`, which stands before the runtime.
    pub fn run_by(runtime: Runtime, program: &Path, bundle: &Bundle) -> Result<Self, String> {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        Self::run_as(runtime, program, bundle, &format!("testbed-{}-{number}", std::process::id()))
    }

    /// The same with this id.
    pub fn run_as(runtime: Runtime, program: &Path, bundle: &Bundle, id: &str) -> Result<Self, String> {
        let (container, mut starting) = Self::begin(runtime, program, bundle, id);
        if starting.wait().unwrap().success() {
            return Ok(container);
        }
        Err(container.words_of_start())
    }

    /// The same without waiting: the container to be, and the runtime at work.
    pub fn begin(runtime: Runtime, program: &Path, bundle: &Bundle, id: &str) -> (Self, Child) {
        Self {
            runtime,
            id: id.to_owned(),
            program: program.to_owned(),
            root: tempfile::tempdir().unwrap(),
            files: bundle.clone(),
            bundle: bundle.write(),
            user: None,
            gone: false,
        }
        .begin_to_run()
    }

    /// The same for a user: `bundle` is made one of the user's.
    pub fn begin_of(user: &Rc<User>, bundle: &Bundle, id: &str) -> (Self, Child) {
        // What crun is told to have a hook's words written to.
        user.write(&user.path("err"), b"");
        Self {
            runtime: user.runtime,
            id: id.to_owned(),
            program: user.runtime.path(),
            root: tempfile::tempdir().unwrap(),
            files: bundle.clone(),
            bundle: user.bundle(bundle.clone()),
            user: Some(Rc::clone(user)),
            gone: false,
        }
        .begin_to_run()
    }

    fn begin_to_run(self) -> (Self, Child) {
        let container = self;
        // Not through pipes: the container keeps them open.
        let (out, err) = (container.bundle.join("out"), container.bundle.join("err"));
        let mut command = container.command();
        command.args(["run", "--detach", "--bundle"]).arg(&container.bundle).arg(&container.id);
        let _ = (std::fs::remove_file(&out), std::fs::remove_file(&err));
        // In append mode: crun opens it a second time for its hooks.
        let open = |path: &Path| File::options().append(true).create(true).open(path).unwrap();
        // Not /dev/null: crun gives what it is given to the root of a user namespace, and /dev/null would be the host's.
        open(&container.bundle.join("in"));
        let input = File::open(container.bundle.join("in")).unwrap();
        let outputs = [open(&out), open(&err)];
        if let Some(user) = &container.user {
            user.own(&container.bundle);
        }
        let [out, err] = outputs;
        let child = command.stdin(input).stdout(out).stderr(err).spawn().unwrap();
        (container, child)
    }

    /// What the runtime and the hook said when it was started.
    pub fn words_of_start(&self) -> String {
        let hooks = self.user.as_ref().map(|user| user.path("err"));
        let paths = ["err", "out"].map(|name| self.bundle.join(name)).into_iter().chain(hooks);
        paths.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
    }

    pub fn command(&self) -> Command {
        match &self.user {
            None => self.runtime.command_of(&self.program, self.root.path()),
            Some(user) => user.runtime_command(),
        }
    }

    /// The bundle's directory.
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// The same container, from here on by `program`.
    pub fn by(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// What a program in the container says; it must succeed.
    pub fn exec(&self, arguments: &[&str]) -> String {
        let output = self.try_exec(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn try_exec(&self, arguments: &[&str]) -> Output {
        self.command().arg("exec").arg(&self.id).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What the runtime's `state` says.
    pub fn state(&self) -> String {
        let output = self.command().args(["state", &self.id]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same; none when the runtime knows nothing of it.
    pub fn try_state(&self) -> Option<serde_json::Value> {
        let output = self.command().args(["state", &self.id]).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Where the runtime keeps what it knows of the container.
    pub fn runtime_directory(&self) -> &Path {
        self.root.path()
    }

    /// The number of the first process.
    pub fn pid(&self) -> i32 {
        let state: serde_json::Value = serde_json::from_str(&self.state()).unwrap();
        let pid = i32::try_from(state["pid"].as_i64().unwrap()).unwrap();
        self.user.as_ref().map_or(Some(pid), |user| user.pid_outside(pid)).unwrap()
    }

    /// Whether its first process has not ended.
    pub fn is_running(&self) -> bool {
        let state: serde_json::Value = serde_json::from_str(&self.state()).unwrap();
        state["status"] == "running"
    }

    /// What the container has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.bundle.join("out")).unwrap()
    }

    /// Kills it and deletes it, as an engine does.
    pub fn stop(self) {
        self.kill();
        self.delete();
    }

    /// Deletes it; its process has ended.
    pub fn delete(mut self) {
        let delete = || self.command().args(["delete", &self.id]).output().unwrap();
        let (start, mut output) = (std::time::Instant::now(), delete());
        // One of a user's has been taken in by the first of the user's processes, which has to let go of it.
        while self.user.is_some() && !output.status.success() && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(10));
            output = delete();
        }
        assert!(output.status.success(), "{}", words(&output));
        self.gone = true;
    }

    /// Leaves it to itself: its runtime is never told that it has ended.
    pub fn abandon(mut self) {
        self.gone = true;
    }

    /// Kills the first process and waits for its end; the runtime is not told to delete anything.
    pub fn kill(&self) {
        let pid = self.pid();
        let output = self.command().args(["kill", &self.id, "KILL"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        while is_running(pid) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether a process has not ended: a zombie has.
fn is_running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z") && !rest.starts_with(" X"))
    })
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.gone {
            let _ = self.command().args(["delete", "--force", &self.id]).output();
        }
    }
}
