//! A real containerd of our own, told by `ctr --runc-binary` to call the wrapper in place of runc.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/image.rs"]
mod image;
mod testbed;

use containerd::Containerd;
use testbed::{Bed, Canary, Rootfs, Runtime};

const CLAIM: &str = "io.runsecrets.service=web";
const SECRET: &str = "/run/secrets/key";
/// A second place of the same secret: containerd gives its containers a tmpfs at /run, so only this one is seen in the
/// snapshot.
const IN_SNAPSHOT: &str = "etc/app/key";

/// An agent with a service `web` that holds the canary, and a containerd with a busybox image.
struct Scene {
    bed: Bed,
    canary: Canary,
    engine: Containerd,
}

impl Scene {
    fn new() -> Self {
        let bed = Bed::new(Runtime::Runc);
        let canary = Canary::new();
        bed.secret("key", canary.value().as_bytes());
        bed.service("web", &["key", &format!("source=key,target=/{IN_SNAPSHOT}")]);
        let engine = Containerd::start(&bed);
        engine.import(&Rootfs::busybox());
        Self { bed, canary, engine }
    }

    fn run(&self, id: &str) {
        self.engine.run(id, &["--annotation", CLAIM]).unwrap();
        assert_eq!(self.engine.exec(id, &["cat", SECRET]).unwrap(), self.canary.value());
    }

    fn value_is_nowhere(&self) {
        self.canary.is_nowhere_in(&self.engine.directories());
    }
}

#[test]
fn a_task_has_its_secrets_from_start_to_kill() {
    let scene = Scene::new();
    scene.run("one");
    scene.bed.ps_until(&["service", "ps", "web"], |said| said.contains("one") && said.contains("key"));
    scene.value_is_nowhere();
    let snapshot = scene.engine.snapshot_path("one");
    assert_eq!(std::fs::read(snapshot.join(IN_SNAPSHOT)).unwrap(), b"", "its mount point");

    // The process is dead, the task not deleted: no hook has run, and nothing is held any more.
    scene.engine.kill("one");
    assert!(scene.engine.task_is("one", "STOPPED"));
    scene.bed.holds_nothing();
    scene.value_is_nowhere();

    scene.engine.ctr_ok(&["task", "delete", "one"]);
    assert!(snapshot.join("etc/passwd").exists() && !snapshot.join("etc/app").exists(), "mount points are left");
    scene.value_is_nowhere();
}

#[test]
fn a_killed_shim_takes_the_secrets_with_it() {
    let scene = Scene::new();
    scene.run("one");
    scene.engine.kill_shim("one");
    scene.bed.holds_nothing();
    scene.value_is_nowhere();
}

#[test]
fn a_task_without_a_claim_is_as_it_was() {
    let scene = Scene::new();
    scene.engine.run("plain", &[]).unwrap();
    assert!(scene.engine.exec("plain", &["cat", SECRET]).unwrap_err().contains("No such file or directory"));
    scene.bed.holds_nothing();
}

#[test]
fn a_refusal_is_what_the_user_reads() {
    let mut scene = Scene::new();
    let unknown = scene.engine.run("one", &["--annotation", "io.runsecrets.service=nobody"]).unwrap_err();
    assert!(unknown.contains("nobody"), "{unknown}");
    scene.bed.holds_nothing();
    scene.bed.agent.stop();
    let down = scene.engine.run("two", &["--annotation", CLAIM]).unwrap_err();
    assert!(down.contains("cannot reach the agent"), "{down}");
    scene.value_is_nowhere();
}

#[test]
fn a_device_claims_from_containerd_2_on_and_is_no_file_before() {
    let mut scene = Scene::new();
    let devices = tempfile::tempdir().unwrap();
    let (file, hook) = (devices.path().join("runsecrets.json"), testbed::hook());
    let generate = ["cdi", "generate", "--output", file.to_str().unwrap(), "--hook", hook.to_str().unwrap()];
    scene.bed.cli_ok(&generate);
    // By runc itself: no wrapper is needed.
    let run = |scene: &Scene, id: &str, service: &str| {
        let device = format!("runsecrets.io/service={service}");
        let options = ["run", "--detach", "--null-io", "--snapshotter", "native", "--device", &device];
        let task = [image::IMAGE, id, "sleep", "1000"];
        scene.engine.ctr_with_devices(devices.path(), &[&options[..], &task].concat())
    };
    let first = run(&scene, "one", "web");
    // ctr 1.7 does not know of devices by name: there only the CRI does.
    if scene.engine.major() < 2 {
        testbed::lacks("ctr run --device runsecrets.io/service=NAME");
        assert!(
            !first.status.success() && testbed::words(&first).contains("no such file"),
            "{}",
            testbed::words(&first)
        );
        return;
    }
    assert!(first.status.success(), "{}", testbed::words(&first));
    assert_eq!(scene.engine.exec("one", &["cat", SECRET]).unwrap(), scene.canary.value());
    scene.bed.ps_until(&["service", "ps", "web"], |said| said.contains("one"));
    scene.value_is_nowhere();
    let nobody = run(&scene, "two", "nobody");
    assert!(!nobody.status.success() && testbed::words(&nobody).contains("runsecrets.io/service=nobody"));
    scene.engine.kill("one");
    scene.bed.holds_nothing();
    scene.bed.agent.stop();
    let down = testbed::words(&run(&scene, "three", "web"));
    assert!(down.contains("cannot reach the agent"), "{down}");
    scene.value_is_nowhere();
}
