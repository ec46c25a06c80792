//! Pods of a real containerd, made by the calls that a kubelet makes: a runtime class with the wrapper in runc's place,
//! and one whose base specification has our hooks, told to ask.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/cri.rs"]
mod cri;
#[path = "engines/image.rs"]
mod image;
mod testbed;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use containerd::Containerd;
use cri::{APP, ContainerSpec, Cri, Pod, PodSpec, State};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testbed::running_agent::LIMIT;
use testbed::{Bed, Canary, Rootfs, Runtime, hook, program, words};

/// The runtime class with the wrapper as BinaryName.
const WRAPPER: &str = "runsecrets";
/// The runtime class whose base specification has the hooks.
const SELECT: &str = "runsecrets-select";
/// The same as no operator should have it: every annotation of a pod reaches the container.
const WIDE: &str = "wide";
const SECRET: &str = "/run/secrets/key";
const CLAIM: [(&str, &str); 1] = [("io.runsecrets.service", "web")];
const IN_SHOP: &str = "io.kubernetes.cri.sandbox-namespace=shop";
const NAMED_APP: &str = "io.kubernetes.cri.container-name=app";

/// An agent with a secret `key` that is the canary, and a containerd whose CRI has our runtime classes and a busybox image.
struct Scene {
    cri: Cri,
    engine: Containerd,
    bed: Bed,
    canary: Canary,
}

impl Scene {
    fn new() -> Self {
        let bed = Bed::new(Runtime::Runc);
        let canary = Canary::new();
        bed.secret("key", canary.value().as_bytes());
        let engine = Containerd::configured(&bed, Some("k8s.io"), |directory| configuration(&bed, directory));
        let cri = Cri::at(&engine.socket());
        let start = Instant::now();
        while let Err(error) = cri.version() {
            assert!(start.elapsed() < LIMIT, "{error}\n{}", engine.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let rootfs = Rootfs::busybox();
        symlink("/run", rootfs.path("var/run")).unwrap();
        engine.import(&rootfs);
        Self { cri, engine, bed, canary }
    }

    /// The service `name`, with these selectors.
    fn selecting(&self, name: &str, selectors: &[&str]) {
        self.bed.service(name, &["key"]);
        for selector in selectors {
            self.bed.cli_ok(&["service", "update", "--match", selector, name]);
        }
    }

    /// A pod in the namespace `shop`.
    fn pod(&self, class: &str, annotations: &[(&str, &str)]) -> Pod {
        let pod = PodSpec { name: "pod", namespace: "shop", annotations, ..PodSpec::default() };
        self.cri.pod(class, &pod).unwrap_or_else(|error| panic!("{error}\n{}", self.engine.log()))
    }

    fn has_its_secret(&self, container: &str) {
        assert_eq!(self.cri.exec(container, &["cat", SECRET]).unwrap(), self.canary.value());
    }

    fn has_nothing(&self, container: &str) {
        let error = self.cri.exec(container, &["cat", SECRET]).unwrap_err();
        assert!(error.contains("No such file or directory"), "{error}");
    }

    /// The containers that the agent has on its list.
    fn holders(&self) -> Vec<String> {
        let listed = self.bed.agent.get("/runsecrets/v1/ps").json();
        listed.as_array().unwrap().iter().map(|row| row["Container"].as_str().unwrap().to_owned()).collect()
    }

    /// The value is in no file of the engine's and the agent's, in no process's arguments or environment, in no log.
    fn value_is_nowhere(&self) {
        let [root, state] = self.engine.directories();
        self.canary.is_nowhere_in(&[root, state, self.bed.place.state(), self.bed.place.run()]);
        self.canary.is_in_no_process();
        for log in [self.engine.log(), self.bed.agent.log.text()] {
            assert!(!self.canary.is_in(log.as_bytes()), "the value is in a log");
        }
    }
}

/// containerd's configuration: runc as it is, and the classes that are packaged.
fn configuration(bed: &Bed, directory: &Path) -> String {
    let cri = "[plugins.\"io.containerd.grpc.v1.cri\"";
    let classes = include_str!("../packaging/containerd/runtime-classes.toml");
    // runc's own directory, so that nothing of ours is in the machine's.
    let options = format!("SystemdCgroup = false\nRoot = \"{}\"\n#", directory.join("runc").display());
    let base = base_specification(bed, directory);
    let classes =
        replaced(classes, "/usr/bin/runsecrets-runtime", &Containerd::wrapper_in(directory).display().to_string());
    let classes = replaced(&classes, "/etc/containerd/runsecrets-base.json", &base.display().to_string());
    let classes = replaced(&classes, "SystemdCgroup = false", &options);
    let class = |name: &str, more: &str| {
        format!(
            "{cri}.containerd.runtimes.{name}]\nruntime_type = \"io.containerd.runc.v2\"\n{more}\
             {cri}.containerd.runtimes.{name}.options]\n{options}\n"
        )
    };
    let wide = format!("base_runtime_spec = \"{}\"\npod_annotations = [\"*\"]\n", base.display());
    format!(
        "{cri}]\nsandbox_image = \"{}\"\nrestrict_oom_score_adj = true\n{cri}.containerd]\nsnapshotter = \"native\"\n\
         default_runtime_name = \"runc\"\n{}{}{classes}",
        image::IMAGE,
        class("runc", ""),
        class(WIDE, &wide),
    )
}

/// What `ctr oci spec` prints, without its limits and with the hooks that are packaged, as the README makes it.
fn base_specification(bed: &Bed, directory: &Path) -> PathBuf {
    let output = Command::new(program("ctr", "containerd")).args(["oci", "spec"]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let mut spec: Value = serde_json::from_slice(&output.stdout).unwrap();
    spec["process"].as_object_mut().unwrap().remove("rlimits");
    let hooks = include_str!("../packaging/containerd/hooks.json");
    let hooks = replaced(hooks, "/usr/libexec/runsecrets/runsecrets-hook", hook().to_str().unwrap());
    let mut hooks: Value = serde_json::from_str(&hooks).unwrap();
    for stage in ["createRuntime", "poststop"] {
        let arguments = hooks["hooks"][stage][0]["args"].as_array_mut().unwrap();
        arguments.extend([json!("--run-dir"), json!(bed.place.run())]);
    }
    spec["hooks"] = hooks["hooks"].take();
    let file = directory.join("base.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    file
}

/// `text` with another path, which must be in it.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from}");
    text.replace(from, to)
}

#[test]
fn a_pods_annotation_is_the_claim_of_its_containers_and_not_of_its_sandbox() {
    let scene = Scene::new();
    scene.bed.service("web", &["key"]);
    let pod = scene.pod(WRAPPER, &CLAIM);
    assert_eq!(scene.holders(), [""; 0], "the sandbox holds secrets");
    let id = pod.run(&APP).unwrap();
    scene.has_its_secret(&id);
    assert_eq!(scene.holders(), [id.as_str()]);

    // Where the operator selects, a pod's own word is not heard.
    scene.has_nothing(&scene.pod(SELECT, &CLAIM).run(&APP).unwrap());
    scene.value_is_nowhere();
}

#[test]
fn a_containers_annotation_is_its_own_claim() {
    let scene = Scene::new();
    scene.bed.service("web", &["key"]);
    let pod = scene.pod(WRAPPER, &[]);
    let id = pod.run(&ContainerSpec { annotations: &CLAIM, ..APP }).unwrap();
    scene.has_its_secret(&id);
    scene.has_nothing(&pod.run(&ContainerSpec { name: "other", ..APP }).unwrap());
    scene.value_is_nowhere();
}

#[test]
fn selectors_choose_the_containers_of_a_service() {
    let scene = Scene::new();
    scene.selecting("web", &[IN_SHOP, NAMED_APP]);
    scene.selecting("elsewhere", &["io.kubernetes.cri.sandbox-namespace=sho", NAMED_APP]);
    let pod = scene.pod(SELECT, &[]);
    let id = pod.run(&APP).unwrap();
    scene.has_its_secret(&id);
    scene.has_nothing(&pod.run(&ContainerSpec { name: "sidecar", ..APP }).unwrap());
    assert_eq!(scene.holders(), [id.as_str()]);
    scene.bed.ps_until(&["service", "ps", "web"], |said| said.contains(&id[..12]));

    // A class that does not ask finds nobody.
    let plain = scene.pod("runc", &[]);
    let unselected = plain.run(&APP).unwrap();
    scene.has_nothing(&unselected);
    // What the base specification adds to a container is the hooks, and nothing else that it could see.
    for command in [&["sh", "-c", "ulimit -a"][..], &["grep", "-E", "^(Cap|NoNewPrivs|Seccomp)", "/proc/self/status"]] {
        assert_eq!(scene.cri.exec(&id, command).unwrap(), scene.cri.exec(&unselected, command).unwrap());
    }
    scene.value_is_nowhere();
}

#[test]
fn a_pod_that_writes_an_engines_annotations_itself_is_not_believed() {
    const OF_CRIO: [(&str, &str); 4] = [
        ("io.container.manager", "cri-o"),
        ("io.kubernetes.cri-o.ContainerType", "container"),
        ("io.kubernetes.pod.namespace", "bank"),
        ("io.kubernetes.container.name", "app"),
    ];
    let scene = Scene::new();
    scene.selecting("web", &["io.kubernetes.cri.sandbox-namespace=bank"]);
    scene.selecting("other", &["io.kubernetes.pod.namespace=bank"]);
    let forged = [("io.kubernetes.cri.sandbox-namespace", "bank"), ("tier", "front")];
    let pod = scene.pod(WIDE, &forged);
    scene.has_nothing(&pod.run(&APP).unwrap());
    scene.has_nothing(&scene.pod(WIDE, &OF_CRIO).run(&APP).unwrap());
    // They do reach the hook: a service that rests on anybody's word is found by them.
    scene.selecting("naive", &["untrusted:tier=front"]);
    scene.has_its_secret(&pod.run(&ContainerSpec { name: "again", ..APP }).unwrap());
    scene.value_is_nowhere();
}

#[test]
fn a_container_of_two_services_does_not_start() {
    let scene = Scene::new();
    scene.selecting("web", &[IN_SHOP]);
    scene.selecting("shop", &["io.kubernetes.cri.sandbox-namespace=sh.*", NAMED_APP]);
    let pod = scene.pod(SELECT, &[]);
    let id = pod.create(&APP).unwrap();
    let error = pod.start(&id).unwrap_err();
    assert!(error.contains("of several services by their selectors (shop, web)"), "{error}");
    assert_ne!(scene.cri.state(&id).0, State::Running);
    scene.bed.holds_nothing();
    scene.bed.cli_ok(&["service", "update", "--match-rm", "io.kubernetes.cri.sandbox-namespace", "shop"]);
    scene.bed.cli_ok(&["service", "update", "--match", "io.kubernetes.cri.container-name=other", "shop"]);
    scene.has_its_secret(&pod.run(&ContainerSpec { name: "again", ..APP }).unwrap());
    scene.value_is_nowhere();
}

#[test]
fn a_selected_container_brings_the_token_of_its_service_or_is_refused() {
    let scene = Scene::new();
    let made = scene.bed.cli_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--secret",
        "key",
        "--match",
        IN_SHOP,
        "--require-claim",
    ]);
    let (key, token) = made.lines().find_map(|line| line.split_once('=')).unwrap();
    let without = scene.pod(SELECT, &[]).run(&APP).unwrap_err();
    assert!(without.contains("service web requires a claim token"), "{without}");
    let pod = scene.pod(SELECT, &[(key, token)]);
    scene.has_its_secret(&pod.run(&APP).unwrap());
    scene.value_is_nowhere();
}

#[test]
fn the_service_account_of_a_pod_stays_visible_beside_the_secrets() {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let scene = Scene::new();
    scene.selecting("web", &[IN_SHOP]);
    let account = tempfile::tempdir().unwrap();
    std::fs::write(account.path().join("token"), "of-the-pod").unwrap();
    for (class, readonly_rootfs) in [(WRAPPER, false), (WRAPPER, true), (SELECT, false), (SELECT, true)] {
        let pod = scene.pod(class, &CLAIM);
        let mounts = [(ACCOUNT, account.path())];
        let id = pod.run(&ContainerSpec { mounts: &mounts, readonly_rootfs, ..APP }).unwrap();
        scene.has_its_secret(&id);
        // Two names of one place: /var/run is a link in the image, as in most.
        for token in [&format!("{ACCOUNT}/token"), "/run/secrets/kubernetes.io/serviceaccount/token"] {
            assert_eq!(scene.cri.exec(&id, &["cat", token]).unwrap(), "of-the-pod");
        }
        let written = scene.cri.exec(&id, &["touch", &format!("{ACCOUNT}/x"), "/run/secrets/x"]).unwrap_err();
        assert_eq!(written.matches("Read-only file system").count(), 2, "{written}");
    }
    scene.value_is_nowhere();
}

#[test]
fn a_container_that_is_stopped_removed_or_killed_holds_nothing() {
    let scene = Scene::new();
    scene.selecting("web", &[IN_SHOP]);
    for class in [WRAPPER, SELECT] {
        let claims: &[(&str, &str)] = if class == WRAPPER { &CLAIM } else { &[] };
        let pod = scene.pod(class, claims);
        let run = |name: &str| {
            let id = pod.run(&ContainerSpec { name, ..APP }).unwrap();
            scene.has_its_secret(&id);
            id
        };
        let stopped = run("stopped");
        scene.cri.stop(&stopped);
        scene.bed.holds_nothing();

        let removed = run("removed");
        scene.cri.remove(&removed);
        scene.bed.holds_nothing();

        let killed = run("killed");
        kill(Pid::from_raw(scene.cri.pid(&killed)), Signal::SIGKILL).unwrap();
        scene.bed.holds_nothing();
        scene.bed.eventually("the engine knows", || scene.cri.state(&killed).0 == State::Exited);

        // Started again in its place, as a kubelet does.
        let left = run("left");
        assert_eq!(scene.holders(), [left.as_str()]);
        pod.end().unwrap();
        scene.bed.holds_nothing();
        scene.value_is_nowhere();
    }
}

#[test]
fn without_an_agent_no_container_starts_but_sandboxes_do() {
    let mut scene = Scene::new();
    scene.selecting("web", &[IN_SHOP]);
    scene.bed.agent.stop();
    for class in [WRAPPER, SELECT] {
        let pod = scene.pod(class, &CLAIM);
        let id = pod.create(&APP).unwrap();
        let error = pod.start(&id).unwrap_err();
        assert!(error.contains("cannot reach the agent"), "{error}");
        assert_ne!(scene.cri.state(&id).0, State::Running);
    }
    // Nothing is claimed here, but whether something is selected, only the agent could say.
    let error = scene.pod(SELECT, &[]).run(&APP).unwrap_err();
    assert!(error.contains("cannot reach the agent"), "{error}");
    let unasked = scene.pod(WRAPPER, &[]);
    scene.has_nothing(&unasked.run(&APP).unwrap());
    scene.value_is_nowhere();
}
