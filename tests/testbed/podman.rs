//! podman as an administrator configures it, in a mount namespace of its own: /etc is a layer above the machine's, so
//! that containers.conf, storage.conf, hooks.d and /etc/cdi are the test's, and the machine's are not touched.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use super::{Rootfs, Runtime, program, words};

/// The image that containers are started from.
pub const IMAGE: &str = "localhost/busybox";

/// One podman with everything that belongs to it.
pub struct Podman {
    directory: tempfile::TempDir,
    /// Keeps the mount namespace, in which all of podman's commands run.
    holder: Child,
}

impl Podman {
    /// podman on `runtime`, with our files of `hooks/` in its hooks.d for the agent of `run_dir`.
    pub fn new(runtime: Runtime, run_dir: &Path) -> Self {
        let podman = Self::without_hooks(runtime);
        for name in ["60-runsecrets-create.json", "60-runsecrets-poststop.json"] {
            podman.add_hook(name, &super::hook(), run_dir);
        }
        podman
    }

    /// podman with an empty hooks.d.
    pub fn without_hooks(runtime: Runtime) -> Self {
        program("podman", "podman");
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().display();
        std::fs::create_dir(directory.path().join("hooks.d")).unwrap();
        // crun wants the unified hierarchy, which may have no controllers.
        let cgroups = if runtime == Runtime::Crun { "cgroups = \"disabled\"\npids_limit = 0\n" } else { "" };
        let containers = format!(
            "[containers]\nnetns = \"none\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n{cgroups}\
             log_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"{}\"\nevents_logger = \"file\"\n\
             hooks_dir = [\"{at}/hooks.d\"]\ntmp_dir = \"{at}/tmp\"\n",
            runtime.name()
        );
        let storage = format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{at}/graph\"\nrunroot = \"{at}/run\"\n");
        let upper = directory.path().join("etc/containers");
        std::fs::create_dir_all(&upper).unwrap();
        std::fs::create_dir_all(directory.path().join("etc/cdi")).unwrap();
        std::fs::write(upper.join("containers.conf"), containers).unwrap();
        std::fs::write(upper.join("storage.conf"), storage).unwrap();
        // Locks in /dev/shm would be shared with other podmans. crun gives /dev/null to the root of a user namespace:
        // not the machine's. An overlay cannot stand on an overlay of its own kind everywhere: a tmpfs is below it.
        let script = format!(
            "set -e; mkdir {at}/layers; mount -t tmpfs none {at}/layers; mkdir {at}/layers/work; \
             cp -a {at}/etc {at}/layers/etc; \
             mount -t overlay none -o lowerdir=/etc,upperdir={at}/layers/etc,workdir={at}/layers/work /etc; \
             mount -t tmpfs none /dev/shm; \
             mknod {at}/null c 1 3; chmod 666 {at}/null; mount --bind {at}/null /dev/null; {} \
             echo ready; exec cat",
            runtime.preparation()
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "ready\n", "podman's mount namespace could not be made");
        let podman = Self { directory, holder };
        podman.import();
        podman
    }

    /// The image of all tests.
    fn import(&self) {
        let archive = self.path("image.tar");
        let rootfs = Rootfs::busybox();
        let output = Command::new("tar").arg("-C").arg(rootfs.path("")).arg("-cf").arg(&archive).arg(".").output();
        assert!(output.unwrap().status.success());
        self.ok(&["import", archive.to_str().unwrap(), IMAGE]);
        std::fs::remove_file(archive).unwrap();
    }

    /// Puts one of our files into hooks.d, with another path of the hook and of the agent.
    pub fn add_hook(&self, name: &str, hook: &Path, run_dir: &Path) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name);
        let mut file: Value = serde_json::from_slice(&std::fs::read(source).unwrap()).unwrap();
        file["hook"]["path"] = json!(hook);
        let arguments = file["hook"]["args"].as_array_mut().unwrap();
        arguments.extend([json!("--run-dir"), json!(run_dir)]);
        std::fs::write(self.path("hooks.d").join(name), serde_json::to_vec_pretty(&file).unwrap()).unwrap();
    }

    /// The first number of its version.
    pub fn major(&self) -> u32 {
        let version = self.ok(&["version", "--format", "{{.Client.Version}}"]);
        version.split('.').next().unwrap().parse().unwrap()
    }

    /// A path below what is podman's.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// Writes a file that only this podman sees, such as /etc/cdi/x.json.
    pub fn write(&self, path: &str, text: &str) {
        let source = self.path("written");
        std::fs::write(&source, text).unwrap();
        let output = self.inside("cp").arg(&source).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }

    /// A program in podman's mount namespace.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).arg(program);
        command
    }

    /// podman's answer. Through files: what podman leaves running would keep pipes open.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = self.inside("podman");
        command.args(arguments).stdin(Stdio::null());
        let status = command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap()).status().unwrap();
        Output { status, stdout: read(out), stderr: read(err) }
    }

    /// What podman prints; it must succeed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "podman {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a container that sleeps, with these options of `podman run`; what podman says if it does not come up.
    pub fn start(&self, name: &str, options: &[&str]) -> Result<(), String> {
        let words = [&["run", "--detach", "--name", name], options, &[IMAGE, "sleep", "1000"]].concat();
        let output = self.run(&words);
        if output.status.success() { Ok(()) } else { Err(super::words(&output)) }
    }

    /// What a program in the container prints; it must succeed.
    pub fn exec(&self, name: &str, arguments: &[&str]) -> String {
        self.ok(&[&["exec", name], arguments].concat())
    }

    /// Stops and removes a container. podman 4.3.1 and the clean-up that it starts itself at a container's end unmount
    /// the same things, also without hooks, and one of them may fail as busy: then it is asked again.
    pub fn remove(&self, name: &str) {
        for _ in 0..10 {
            let output = self.run(&["rm", "--force", "--ignore", "--time", "0", name]);
            if output.status.success() {
                return;
            }
            assert!(words(&output).contains("device or resource busy"), "{}", words(&output));
        }
        panic!("{name} stays busy");
    }

    /// The directories in which podman keeps all that it has, on disk and at run time, with what is mounted there.
    pub fn places(&self) -> Vec<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let places = ["graph", "run", "tmp"].map(|name| root.join(self.path(name).strip_prefix("/").unwrap()));
        places.iter().for_each(|place| assert!(place.exists(), "{}", place.display()));
        places.to_vec()
    }
}

fn read(mut file: std::fs::File) -> Vec<u8> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

impl Drop for Podman {
    fn drop(&mut self) {
        for words in [["pod", "rm", "--all", "--force"].as_slice(), &["rm", "--all", "--force", "--time", "0"]] {
            let _ = self.run(words);
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
