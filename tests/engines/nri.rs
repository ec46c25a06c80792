//! An engine with NRI and our plugin beside it, both of our own, for the tests of pods. The engine may have no NRI.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::containerd::Containerd;
use crate::cri::{Cri, Pod, PodSpec};
use crate::image;
use crate::testbed::running_agent::LIMIT;
use crate::testbed::{Bed, CLI, Canary, Rootfs, Runtime, hook};

pub(crate) const SECRET: &str = "/run/secrets/key";

/// The plugin as a program of its own; it ends when it is dropped.
pub(crate) struct Plugin {
    child: Child,
    log: PathBuf,
}

impl Plugin {
    fn start(bed: &Bed, places: &Places) -> Self {
        let log = tempfile::NamedTempFile::new_in(places.0.path()).unwrap();
        let mut command = Command::new(CLI);
        command.arg("--run-dir").arg(bed.place.run()).args(["nri", "--socket"]).arg(places.socket());
        command.arg("--hook").arg(hook()).stdin(Stdio::null());
        let child = command.stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap()).spawn().unwrap();
        let (_, log) = log.keep().unwrap();
        Self { child, log }
    }

    /// What it has said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until it has said `words`.
    pub(crate) fn says(&self, words: &str) {
        eventually(|| self.said().contains(words), || format!("it does not say '{words}':\n{}", self.said()));
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What NRI is configured with; it outlives the engine.
pub(crate) struct Places(TempDir);

impl Places {
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.path().join("nri.sock")
    }

    /// Programs that the engine starts.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.0.path().join("plugins")
    }
}

/// What the engine under test can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Able {
    /// No NRI: containerd before 1.7.
    Nothing,
    /// Plugins that adjust containers.
    Adjust,
    /// Plugins can be required: containerd from 2.2 on.
    Require,
}

/// An agent with a secret `key` that is the canary, a plugin, and a containerd with a busybox image.
pub(crate) struct Scene {
    pub(crate) cri: Cri,
    pub(crate) engine: Containerd,
    pub(crate) able: Able,
    pub(crate) plugin: Option<Plugin>,
    pub(crate) bed: Bed,
    pub(crate) canary: Canary,
    pub(crate) places: Places,
}

impl Scene {
    /// With the plugin as a program of its own, which is there before the engine. What does not hold on every engine is
    /// for the caller to ask of `able`.
    pub(crate) fn new() -> Self {
        Self::with(|bed, places| {
            let plugin = Plugin::start(bed, places);
            plugin.says("cannot connect to NRI");
            Some(plugin)
        })
    }

    /// With what `plugin` starts or leaves among the programs that the engine starts.
    pub(crate) fn with(plugin: impl FnOnce(&Bed, &Places) -> Option<Plugin>) -> Self {
        let bed = Bed::new(Runtime::Runc);
        let canary = Canary::new();
        bed.secret("key", canary.value().as_bytes());
        bed.service("web", &["key"]);
        let places = Places(tempfile::tempdir().unwrap());
        std::fs::create_dir(places.plugins()).unwrap();
        let able = able();
        let plugin = plugin(&bed, &places);
        let engine =
            Containerd::configured(&bed, Some("k8s.io"), |directory| configuration(able, &bed, &places, directory));
        let cri = Cri::at(&engine.socket());
        eventually(|| cri.version().is_ok(), || format!("no CRI:\n{}", engine.log()));
        engine.import(&Rootfs::busybox());
        let scene = Self { cri, engine, able, plugin, bed, canary, places };
        if let Some(plugin) = scene.plugin.as_ref().filter(|_| able > Able::Nothing) {
            plugin.says("registered with containerd");
        }
        scene
    }

    /// One more plugin beside the other.
    pub(crate) fn second_plugin(&self) -> Plugin {
        let plugin = Plugin::start(&self.bed, &self.places);
        plugin.says("registered with containerd");
        plugin
    }

    /// Ends the plugin.
    pub(crate) fn end_plugin(&mut self) {
        self.plugin = None;
    }

    /// Starts it again.
    pub(crate) fn restart_plugin(&mut self) -> &Plugin {
        self.plugin.insert(self.second_plugin())
    }

    /// A pod in the namespace `shop`.
    pub(crate) fn pod(&self, annotations: &[(&str, &str)]) -> Pod {
        let pod = PodSpec { name: "pod", namespace: "shop", annotations, ..PodSpec::default() };
        self.cri.pod("", &pod).unwrap_or_else(|error| panic!("{error}\n{}", self.engine.log()))
    }

    pub(crate) fn has_its_secret(&self, container: &str) {
        assert_eq!(self.cri.exec(container, &["cat", SECRET]).unwrap(), self.canary.value());
    }

    pub(crate) fn has_nothing(&self, container: &str) {
        let error = self.cri.exec(container, &["cat", SECRET]).unwrap_err();
        assert!(error.contains("No such file or directory"), "{error}");
    }

    /// The value is in no file of the engine's and the agent's, in no process's arguments or environment, in no log.
    pub(crate) fn value_is_nowhere(&self) {
        let [root, state] = self.engine.directories();
        self.canary.is_nowhere_in(&[root, state, self.bed.place.state(), self.bed.place.run()]);
        self.canary.is_in_no_process();
        let said = self.plugin.as_ref().map(Plugin::said).unwrap_or_default();
        for log in [self.engine.log(), self.bed.agent.log.text(), said] {
            assert!(!self.canary.is_in(log.as_bytes()), "the value is in a log");
        }
    }
}

/// What the installed containerd can do, by its version.
fn able() -> Able {
    let output = Command::new(crate::testbed::program("containerd", "containerd")).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.split_whitespace().nth(2).unwrap().trim_start_matches('v');
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    match (numbers.next().unwrap(), numbers.next().unwrap()) {
        (0, _) | (1, ..7) => Able::Nothing,
        (1, _) | (2, ..2) => Able::Adjust,
        _ => Able::Require,
    }
}

/// containerd's configuration: the default class alone, with no annotation passed to config.json, and NRI.
fn configuration(able: Able, bed: &Bed, places: &Places, directory: &Path) -> String {
    let cri = "[plugins.\"io.containerd.grpc.v1.cri\"";
    let nri = "[plugins.\"io.containerd.nri.v1.nri\"";
    let mut text = format!(
        "{cri}]\nsandbox_image = \"{}\"\nrestrict_oom_score_adj = true\n{cri}.containerd]\nsnapshotter = \"native\"\n\
         default_runtime_name = \"runc\"\n{cri}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         {cri}.containerd.runtimes.runc.options]\nBinaryName = \"{}\"\nRoot = \"{}\"\n\
         {nri}]\ndisable = false\nsocket_path = \"{}\"\nplugin_path = \"{}\"\nplugin_config_path = \"{}\"\n",
        image::IMAGE,
        bed.runtime.path().display(),
        directory.join("runc").display(),
        places.socket().display(),
        places.plugins().display(),
        places.0.path().join("conf.d").display(),
    );
    if able == Able::Require {
        text += &format!("{nri}.default_validator]\nenable = true\nrequired_plugins = [\"runsecrets\"]\n");
    }
    text
}

fn eventually(mut holds: impl FnMut() -> bool, or: impl Fn() -> String) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{}", or());
        std::thread::sleep(Duration::from_millis(20));
    }
}
