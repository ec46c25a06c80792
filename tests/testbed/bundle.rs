//! Bundles: a config.json and a root file system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use serde_json::{Value, json};

use super::Rootfs;

/// Docker's default capabilities, as far as they matter here.
const CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A bundle; written when a container is started from it.
#[derive(Clone)]
pub struct Bundle {
    directory: Rc<tempfile::TempDir>,
    pub rootfs: Rootfs,
    /// config.json.
    pub config: Value,
}

impl Bundle {
    /// A bundle that sleeps.
    pub fn new(rootfs: Rootfs) -> Self {
        let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
        let namespaces: Vec<Value> =
            ["pid", "ipc", "uts", "mount", "network"].iter().map(|kind| json!({"type": kind})).collect();
        let sets = ["bounding", "effective", "permitted"].map(|set| (set.to_owned(), json!(CAPABILITIES)));
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"],
                "env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"], "cwd": "/", "noNewPrivileges": true,
                "capabilities": serde_json::Map::from_iter(sets),
            },
            "root": {"path": rootfs.path("").to_str().unwrap(), "readonly": false},
            "hostname": "testbed",
            "mounts": [
                mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
                mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
                mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            ],
            // crun shows what a hook says only where this tells it to.
            "annotations": {"run.oci.hooks.stderr": "/dev/stderr"},
            "linux": {"namespaces": namespaces, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"]},
        });
        let directory = Rc::new(tempfile::tempdir().unwrap());
        Self { directory, rootfs, config }
    }

    /// With our hooks, as an operator would write them, for the agent of `run_dir`.
    pub fn hooked(self, run_dir: &Path) -> Self {
        self.hooked_with(run_dir, &[])
    }

    /// With our hooks and more arguments for them.
    pub fn hooked_with(mut self, run_dir: &Path, more: &[&str]) -> Self {
        let hook = |stage: &str| {
            let mut arguments = vec!["runsecrets-hook", stage, "--run-dir", run_dir.to_str().unwrap()];
            arguments.extend(more);
            json!({"path": super::hook(), "args": arguments, "env": ["PATH=/usr/sbin:/usr/bin"], "timeout": 30})
        };
        self.config["hooks"] = json!({"createRuntime": [hook("create-runtime")], "poststop": [hook("poststop")]});
        self
    }

    pub fn claiming(self, service: &str) -> Self {
        self.annotated("io.runsecrets.service", service)
    }

    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.config["annotations"][key] = json!(value);
        self
    }

    pub fn running(mut self, arguments: &[&str]) -> Self {
        self.config["process"]["args"] = json!(arguments);
        self
    }

    pub fn read_only(mut self) -> Self {
        self.config["root"]["readonly"] = json!(true);
        self
    }

    /// With a mount of the container's own.
    pub fn mounting(mut self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.config["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    /// In a user namespace whose root is 100000 outside.
    pub fn in_user_namespace(mut self) -> Self {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        self.config["linux"]["uidMappings"] = map.clone();
        self.config["linux"]["gidMappings"] = map;
        self.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        self
    }

    /// Without a namespace of this type.
    pub fn sharing(mut self, kind: &str) -> Self {
        self.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != kind);
        self
    }

    /// The bundle's directory.
    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Writes config.json; returns the bundle's directory.
    pub fn write(&self) -> PathBuf {
        std::fs::write(self.path().join("config.json"), serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
        self.path()
    }

    /// Every path in the root file system, but for what runtimes make there themselves.
    pub fn listing(&self) -> Vec<String> {
        let output =
            Command::new("find").arg(self.rootfs.path("")).args(["-xdev", "-not", "-path", "*/dev/*"]).output();
        let mut lines: Vec<String> =
            String::from_utf8(output.unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}
