//! Pods of a real containerd, made by the calls that a kubelet makes: a runtime class with the wrapper in runc's place,
//! and one whose base specification has our hooks.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/cri.rs"]
mod cri;
#[path = "engines/image.rs"]
mod image;
mod testbed;

use std::path::Path;
use std::time::Instant;

use containerd::Containerd;
use cri::{ContainerSpec, Cri, Pod, PodSpec};
use testbed::running_agent::LIMIT;
use testbed::{Bed, Canary, Rootfs, Runtime};

/// The runtime classes under test.
const WRAPPER: &str = "wrapper";
const SECRET: &str = "/run/secrets/key";

/// An agent, and a containerd whose CRI has our runtime classes and a busybox image.
struct Scene {
    engine: Containerd,
    cri: Cri,
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
        engine.import(&Rootfs::busybox());
        Self { engine, cri, bed, canary }
    }

    fn pod(&self, class: &str, pod: PodSpec<'_>) -> Pod {
        self.cri.pod(class, &pod).unwrap_or_else(|error| panic!("{error}\n{}", self.engine.log()))
    }
}

/// containerd's configuration.
fn configuration(bed: &Bed, directory: &Path) -> String {
    let cri = "[plugins.\"io.containerd.grpc.v1.cri\"";
    let path = |name: &str| directory.join(name).display().to_string();
    let class = |name: &str, binary: &str, more: &str| {
        format!(
            "{cri}.containerd.runtimes.{name}]\nruntime_type = \"io.containerd.runc.v2\"\n{more}\
             pod_annotations = [\"io.runsecrets.*\"]\ncontainer_annotations = [\"io.runsecrets.*\"]\n\
             {cri}.containerd.runtimes.{name}.options]\nBinaryName = \"{binary}\"\nRoot = \"{}\"\n",
            path("runc")
        )
    };
    let runc = bed.runtime.path().display().to_string();
    let wrapper = Containerd::wrapper_in(directory).display().to_string();
    format!(
        "{cri}]\nsandbox_image = \"{}\"\nrestrict_oom_score_adj = true\n{cri}.containerd]\nsnapshotter = \"native\"\n\
         default_runtime_name = \"runc\"\n{}{}",
        image::IMAGE,
        class("runc", &runc, ""),
        class(WRAPPER, &wrapper, ""),
    )
}

/// What every container of the tests is.
const CONTAINER: ContainerSpec<'static> = ContainerSpec {
    name: "app",
    image: image::IMAGE,
    command: &["sleep", "1000"],
    annotations: &[],
    mounts: &[],
    readonly_rootfs: false,
};

#[test]
fn a_pods_annotation_is_a_claim_of_its_containers() {
    let scene = Scene::new();
    scene.bed.service("web", &["key"]);
    let annotations = &[("io.runsecrets.service", "web")];
    let pod = scene.pod(WRAPPER, PodSpec { name: "p", namespace: "shop", annotations, ..PodSpec::default() });
    let id = pod.run(&CONTAINER).unwrap();
    assert_eq!(scene.cri.exec(&id, &["cat", SECRET]).unwrap(), scene.canary.value());
}
