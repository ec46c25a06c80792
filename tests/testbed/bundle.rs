//! Bundles: a `config.json` for a root file system, with the options that the tests vary.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Host, Rootfs};

/// Makes cgroups of containers of one id in several tests different.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What default capabilities an engine leaves a container.
const CAPABILITIES: [&str; 9] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
];

/// A bundle on disk.
pub struct Bundle {
    path: PathBuf,
    no_pivot: bool,
}

impl Bundle {
    /// A bundle for `rootfs`, to be changed by the builder's methods and then written.
    pub fn of(host: &Host, rootfs: &Rootfs) -> BundleBuilder {
        let cgroup = format!("/runsecrets-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let sets = ["bounding", "effective", "permitted"].map(|set| (set.to_owned(), json!(CAPABILITIES)));
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/sleep", "600"],
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": "/",
                "capabilities": sets.into_iter().collect::<serde_json::Map<_, _>>(),
                "noNewPrivileges": true,
            },
            "root": {"path": rootfs.path(), "readonly": false},
            "hostname": "test",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                 "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            ],
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [
                    {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
                ],
            },
        });
        BundleBuilder { path: host.new_dir("bundle"), config, no_pivot: false }
    }

    /// The bundle's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its `config.json` says now.
    pub fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path.join("config.json")).unwrap()).unwrap()
    }

    /// The flags of `create` and `run` that it asks for.
    pub fn flags(&self) -> &'static [&'static str] {
        if self.no_pivot { &["--no-pivot"] } else { &[] }
    }
}

/// A bundle that is being described.
pub struct BundleBuilder {
    path: PathBuf,
    config: Value,
    no_pivot: bool,
}

impl BundleBuilder {
    /// The program and its arguments.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.config["process"]["args"] = json!(arguments);
        self
    }

    /// One more variable, `KEY=VALUE`.
    pub fn env(mut self, variable: &str) -> Self {
        self.config["process"]["env"].as_array_mut().unwrap().push(json!(variable));
        self
    }

    /// The program's user and group, as the container numbers them.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.config["process"]["user"] = json!({"uid": uid, "gid": gid});
        self
    }

    /// Exactly these capabilities.
    pub fn capabilities(mut self, names: &[&str]) -> Self {
        for set in ["bounding", "effective", "permitted"] {
            self.config["process"]["capabilities"][set] = json!(names);
        }
        self
    }

    /// An annotation.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.config["annotations"][key] = json!(value);
        self
    }

    /// The claim: which service the container says it is.
    pub fn service(self, name: &str) -> Self {
        self.annotation("io.runsecrets.service", name)
    }

    /// A user namespace in which `size` ids from 0 are the host's from `uid` and `gid` on.
    ///
    /// Give the root file system to the same ids (`Rootfs::owned_by`) where the container is to write in it.
    pub fn user_namespace(mut self, uid: u32, gid: u32, size: u32) -> Self {
        self.config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": size}]);
        self.config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": size}]);
        self.namespaces().push(json!({"type": "user"}));
        self
    }

    /// A read-only root.
    pub fn readonly_root(mut self) -> Self {
        self.config["root"]["readonly"] = json!(true);
        self
    }

    /// One more mount of the container's own.
    pub fn mount(mut self, mount: Value) -> Self {
        self.config["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    /// `--no-pivot`: the runtime moves the root by MS_MOVE and chroot.
    pub fn no_pivot(mut self) -> Self {
        self.no_pivot = true;
        self
    }

    /// No mount namespace of its own: what we must refuse.
    pub fn host_mount_namespace(mut self) -> Self {
        self.namespaces().retain(|namespace| namespace["type"] != "mount");
        self
    }

    /// No network namespace of its own, so that the test reaches a server in the container.
    pub fn host_network(mut self) -> Self {
        self.namespaces().retain(|namespace| namespace["type"] != "network");
        self
    }

    /// A hook of any program; `arguments` follow `argv[0]`.
    pub fn hook(mut self, stage: &str, program: &Path, arguments: &[&str]) -> Self {
        let mut words = vec![program.to_str().unwrap()];
        words.extend(arguments);
        let hook =
            json!({"path": program, "args": words, "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "timeout": 30});
        let stages = &mut self.config["hooks"];
        if stages[stage].is_null() {
            stages[stage] = json!([]);
        }
        stages[stage].as_array_mut().unwrap().push(hook);
        self
    }

    /// Our hooks at `createRuntime` and `poststop`, talking to the agent in `run_dir`.
    pub fn our_hooks(self, run_dir: &Path) -> Self {
        self.our_hooks_with(run_dir, &[])
    }

    /// The same with more arguments, such as `--service NAME`.
    pub fn our_hooks_with(self, run_dir: &Path, more: &[&str]) -> Self {
        let hook = Path::new(env!("CARGO_BIN_EXE_runsecrets-hook"));
        let rest = [more, &["--run-dir", run_dir.to_str().unwrap()]].concat();
        let words = |stage| [&[stage], rest.as_slice()].concat();
        self.hook("createRuntime", hook, &words("create-runtime")).hook("poststop", hook, &words("poststop"))
    }

    /// Anything else.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Writes `config.json`.
    pub fn write(self) -> Bundle {
        fs::write(self.path.join("config.json"), serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
        Bundle { path: self.path, no_pivot: self.no_pivot }
    }

    fn namespaces(&mut self) -> &mut Vec<Value> {
        self.config["linux"]["namespaces"].as_array_mut().unwrap()
    }
}
