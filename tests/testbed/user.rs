//! A user without privileges, with a passwd, subuid and subgid of the test's, in a mount and a pid namespace of its own:
//! everything that it has started ends with it.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Bundle, Rootfs, Runtime, program, words};

/// The image that podman's containers are started from.
pub const IMAGE: &str = "localhost/busybox";

/// The uid of the next user: nobody's on any machine that tests run on.
static NEXT: AtomicU32 = AtomicU32::new(61_101);

/// The first subordinate id of every user, and how many there are.
pub const SUBORDINATE: u32 = 2_000_000;
const SUBORDINATES: u32 = 65_536;

/// A user and what belongs to it.
pub struct User {
    pub uid: u32,
    pub runtime: Runtime,
    directory: tempfile::TempDir,
    holder: Child,
    /// Kept as long as the user.
    bundles: RefCell<Vec<Bundle>>,
}

impl User {
    /// A user whose runtime is `runtime`.
    pub fn new(runtime: Runtime) -> Self {
        for (name, package) in [("newuidmap", "uidmap"), ("setpriv", "util-linux")] {
            program(name, package);
        }
        let uid = NEXT.fetch_add(1, Ordering::SeqCst);
        let directory = tempfile::tempdir().unwrap();
        super::running_agent::set_mode(directory.path(), 0o755);
        let at = directory.path().display();
        let script = format!(
            "set -e; mkdir {at}/layers; mount -t tmpfs none {at}/layers; mkdir {at}/layers/etc {at}/layers/work; \
             chmod 755 {at}/layers/etc; cd {at}/layers/etc; \
             {{ cat /etc/passwd; echo 'tester:x:{uid}:{uid}::{at}/home:/bin/sh'; }} > passwd; \
             {{ cat /etc/group; echo 'tester:x:{uid}:'; }} > group; \
             echo 'tester:{SUBORDINATE}:{SUBORDINATES}' > subuid; cp subuid subgid; chmod 644 *; cd /; \
             mount -t overlay none -o lowerdir=/etc,upperdir={at}/layers/etc,workdir={at}/layers/work /etc; \
             mount -t tmpfs -o mode=1777 none /dev/shm; \
             mknod {at}/null c 1 3; chmod 666 {at}/null; mount --bind {at}/null /dev/null; \
             mkdir {at}/home {at}/xdg; chown {uid}:{uid} {at}/home {at}/xdg; chmod 700 {at}/home {at}/xdg; {} \
             echo ready; exec cat",
            runtime.preparation()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]);
        command.args(["sh", "-c", &script]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "ready\n", "the user's namespaces could not be made");
        // The build's directory need not be open to others.
        let hook = directory.path().join("runsecrets-hook");
        super::running_agent::copy_program(&super::hook(), &hook);
        super::running_agent::set_mode(&hook, 0o755);
        Self { uid, runtime, directory, holder, bundles: RefCell::default() }
    }

    /// A path of the user's.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join("home").join(below)
    }

    /// The hook, where the user can start it.
    pub fn hook(&self) -> PathBuf {
        self.directory.path().join("runsecrets-hook")
    }

    /// A program in the user's namespaces, started by the user.
    pub fn command(&self, program: &str) -> Command {
        self.command_as(self.uid, program)
    }

    fn command_as(&self, uid: u32, program: &str) -> Command {
        let (holder, uid) = (self.holder.id(), uid.to_string());
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{holder}/ns/mnt")).arg(format!("--pid=/proc/{holder}/ns/pid_for_children"));
        command.args(["--", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "env", "-i"]);
        command.arg(format!("--chdir={}", self.path("").display()));
        command.arg(format!("HOME={}", self.path("").display()));
        command.arg(format!("XDG_RUNTIME_DIR={}", self.directory.path().join("xdg").display()));
        command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", program]);
        command
    }

    /// What a program of the user's says.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.run_as(self.uid, program, arguments)
    }

    /// What a program of `uid`'s says, where the user is. Through files: what it leaves running would keep pipes open.
    pub fn run_as(&self, uid: u32, program: &str, arguments: &[&str]) -> Output {
        let (out, err) = (self.path("out"), self.path("err"));
        for path in [&out, &err] {
            let _ = std::fs::remove_file(path);
            self.write(path, b"");
        }
        let open = |path: &Path| File::options().append(true).open(path).unwrap();
        let mut command = self.command_as(uid, program);
        command.args(arguments).stdin(Stdio::null()).stdout(open(&out)).stderr(open(&err));
        let status = command.status().unwrap();
        Output { status, stdout: std::fs::read(out).unwrap(), stderr: std::fs::read(err).unwrap() }
    }

    /// What a program of the user's prints; it must succeed.
    pub fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a file that is the user's.
    pub fn write(&self, path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).unwrap();
        self.own(path);
    }

    fn own(&self, path: &Path) {
        let owner = format!("{0}:{0}", self.uid);
        let output = Command::new("chown").args(["-R", "-h", &owner]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }

    /// Where the runtime keeps its state.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("xdg/runtime")
    }

    /// Where podman's runtime keeps its state.
    pub fn podmans_state(&self) -> PathBuf {
        self.directory.path().join("xdg").join(self.runtime.name())
    }

    /// `bundle` as a user's: in a user namespace in which it is root.
    pub fn bundle(&self, bundle: Bundle) -> PathBuf {
        let mut config = bundle.config.clone();
        let map = json!([{"containerID": 0, "hostID": self.uid, "size": 1}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        config["annotations"]["run.oci.hooks.stderr"] = json!(self.path("err"));
        for hook in config["hooks"].as_object_mut().unwrap().values_mut() {
            hook[0]["path"] = json!(self.hook());
        }
        let directory = self.path(&format!("bundle-{}", bundle.path().file_name().unwrap().to_str().unwrap()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("config.json"), serde_json::to_vec_pretty(&config).unwrap()).unwrap();
        self.own(&directory);
        self.own(&bundle.rootfs.path(""));
        self.bundles.borrow_mut().push(bundle);
        directory
    }

    /// The root file system of the last bundle.
    pub fn rootfs(&self) -> PathBuf {
        self.bundles.borrow().last().unwrap().rootfs.path("")
    }

    /// A command of the runtime.
    pub fn runtime(&self, arguments: &[&str]) -> Output {
        let state = self.state();
        let words = [self.runtime.own_arguments(), &["--root", state.to_str().unwrap()], arguments].concat();
        self.run(self.runtime.name(), &words)
    }

    /// Starts a container; what the user sees if it does not come up.
    pub fn start(&self, bundle: &Path, id: &str) -> Result<(), String> {
        let output = self.runtime(&["run", "--detach", "--bundle", bundle.to_str().unwrap(), id]);
        if output.status.success() { Ok(()) } else { Err(words(&output)) }
    }

    /// What a program in a container prints; it must succeed.
    pub fn exec(&self, id: &str, arguments: &[&str]) -> String {
        let output = self.runtime(&[&["exec", id], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills and deletes a container.
    pub fn stop(&self, id: &str) {
        self.runtime(&["kill", id, "KILL"]);
        // It takes the kernel a moment to end it.
        let deadline = std::time::Instant::now() + super::running_agent::LIMIT;
        while !self.runtime(&["delete", id]).status.success() {
            assert!(std::time::Instant::now() < deadline, "{id} cannot be deleted");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Sets podman up for this user, with our files of `hooks/` for the agent of `run_dir`, and gives it its image.
    pub fn with_podman(self, run_dir: &Path) -> Self {
        program("podman", "podman");
        let home = self.path("");
        let home = home.display();
        let cgroups = if self.runtime == Runtime::Crun { "cgroups = \"disabled\"\n" } else { "" };
        let containers = format!(
            "[containers]\nnetns = \"none\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             {cgroups}log_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"{}\"\nevents_logger = \"file\"\n\
             hooks_dir = [\"{home}/hooks.d\"]\n",
            self.runtime.name()
        );
        for directory in [".config/containers", "hooks.d"] {
            std::fs::create_dir_all(self.path(directory)).unwrap();
        }
        self.write(&self.path(".config/containers/containers.conf"), containers.as_bytes());
        self.write(&self.path(".config/containers/storage.conf"), b"[storage]\ndriver = \"vfs\"\n");
        for name in ["60-runsecrets-create.json", "60-runsecrets-poststop.json"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name);
            let mut file: Value = serde_json::from_slice(&std::fs::read(source).unwrap()).unwrap();
            file["hook"]["path"] = json!(self.hook());
            let arguments = file["hook"]["args"].as_array_mut().unwrap();
            arguments.extend([json!("--run-dir"), json!(run_dir)]);
            self.write(&self.path("hooks.d").join(name), &serde_json::to_vec_pretty(&file).unwrap());
        }
        let archive = self.path("image.tar");
        let rootfs = Rootfs::busybox();
        let output = Command::new("tar").arg("-C").arg(rootfs.path("")).arg("-cf").arg(&archive).arg(".").output();
        assert!(output.unwrap().status.success());
        self.own(&self.path(""));
        self.ok("podman", &["import", archive.to_str().unwrap(), IMAGE]);
        self
    }

    /// The directories in which the user has files, on disk and at run time, with what is mounted there.
    pub fn places(&self) -> Vec<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        ["home", "xdg"].map(|name| root.join(self.directory.path().join(name).strip_prefix("/").unwrap())).to_vec()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // The first process of its pid namespace goes with it, and takes all others along.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
