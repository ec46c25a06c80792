//! A real dockerd of our own, with the wrapper as a runtime in its daemon.json.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/image.rs"]
mod image;
#[allow(dead_code)] // nginx is another test's
#[path = "examples/images.rs"]
mod images;
mod testbed;

use docker::Docker;
use testbed::{Bed, Canary, Rootfs, Runtime};

const SECRET: &str = "/run/secrets/my_secret_data";
const NOT_THERE: &str = "cat: can't open '/run/secrets/my_secret_data': No such file or directory";
/// What every container here is started with. 20.10 has no `--annotation`.
const RUN: [&str; 5] = ["run", "-d", "--network=none", "--runtime=runsecrets-env", "-eRUNSECRETS_SERVICE=redis"];

/// An agent with a service `redis` that holds the canary.
struct Scene {
    bed: Bed,
    canary: Canary,
    engine: Docker,
}

impl Scene {
    fn new() -> Self {
        let bed = Bed::new(Runtime::Runc);
        let canary = Canary::new();
        bed.secret("my_secret_data", canary.value().as_bytes());
        bed.service("redis", &["my_secret_data"]);
        let engine = Docker::start(&bed);
        Self { bed, canary, engine }
    }

    fn value_is_nowhere(&self, container: &str) {
        self.canary.is_nowhere_in(&self.engine.directories());
        assert!(!self.canary.is_in(self.engine.ok(&["inspect", container]).as_bytes()));
    }
}

#[test]
fn the_documents_redis() {
    let scene = Scene::new();
    let Scene { bed, canary, engine } = &scene;
    engine.import(&images::redis(), "redis:alpine");
    engine.ok(&[&RUN[..], &["--name=redis", "redis:alpine"], &images::REDIS].concat());
    bed.eventually("redis answers", || engine.docker(&["exec", "redis", "redis-cli", "ping"]).stdout == b"PONG\n");
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    let id = engine.ok(&["inspect", "--format={{.Id}}", "redis"]);
    bed.ps_until(&["service", "ps", "redis"], |said| said.contains(&id[..12]));
    scene.value_is_nowhere("redis");

    // docker commit + docker run … cat, as the document has it, also by our runtime. The commit keeps the variable, and
    // with it a claim: whoever runs it by `runsecrets-env` takes it back.
    engine.ok(&["commit", "redis", "committed_redis"]);
    let cat = ["run", "--rm", "--network=none", "committed_redis", "cat", SECRET];
    assert!(engine.fails(&cat).contains(NOT_THERE));
    let ours = ["--runtime=runsecrets-env", "-eRUNSECRETS_SERVICE="];
    assert!(engine.fails(&[&cat[..3], &ours, &cat[3..]].concat()).contains(NOT_THERE));

    // Stopped, nobody holds it; started again, the same container has it again.
    engine.ok(&["stop", "-t5", "redis"]);
    bed.holds_nothing();
    scene.value_is_nowhere("redis");
    assert!(!engine.ok(&["diff", "redis"]).contains("secrets"), "the mount point is left");
    engine.ok(&["start", "redis"]);
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    engine.ok(&["restart", "-t5", "redis"]);
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    engine.ok(&["rm", "-f", "redis"]);
    bed.holds_nothing();
    canary.is_nowhere_in(&engine.directories());
    bed.cli_ok(&["service", "rm", "redis"]);
    bed.cli_ok(&["secret", "rm", "my_secret_data"]);
}

#[test]
fn the_environment_claims_only_where_the_operator_has_it_so() {
    let mut scene = Scene::new();
    scene.engine.import(&Rootfs::busybox(), "busybox");
    let run = |engine: &Docker, runtime: &str, service: &str| {
        let environment = format!("RUNSECRETS_SERVICE={service}");
        let options = ["run", "--rm", "--network=none", "--runtime", runtime, "-e", &environment];
        engine.docker(&[&options[..], &["busybox", "cat", SECRET]].concat())
    };
    let with = run(&scene.engine, "runsecrets-env", "redis");
    assert_eq!(String::from_utf8(with.stdout).unwrap(), scene.canary.value());
    let words = |output| testbed::words(&output);
    assert!(words(run(&scene.engine, "runsecrets", "redis")).contains(NOT_THERE));
    assert!(words(run(&scene.engine, "runsecrets-env", "")).contains(NOT_THERE));

    // What the user of a refused container reads.
    let unknown = words(run(&scene.engine, "runsecrets-env", "nobody"));
    assert!(unknown.contains("runsecrets") && unknown.contains("nobody"), "{unknown}");
    let impossible = words(run(&scene.engine, "runsecrets-env", "../x"));
    assert!(impossible.contains("RUNSECRETS_SERVICE in the container's environment"), "{impossible}");
    scene.bed.agent.stop();
    let down = words(run(&scene.engine, "runsecrets-env", "redis"));
    assert!(down.contains("cannot reach the agent"), "{down}");
}

#[test]
fn the_hooks_of_docker_itself_stay() {
    let scene = Scene::new();
    scene.engine.import(&Rootfs::busybox(), "busybox");
    let container = scene.engine.ok(&[&RUN[..], &["busybox", "sleep", "1000"]].concat());
    let [_, exec, _] = scene.engine.directories();
    let bundle = exec.join("containerd/daemon/io.containerd.runtime.v2.task/moby").join(container.trim_end());
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    if scene.engine.major() < 28 {
        let arguments = config["hooks"]["prestart"][0]["args"].to_string();
        assert!(arguments.contains("libnetwork-setkey"), "{arguments}");
    } else {
        // It has none any more: it sets the network up between create and start.
        assert_eq!(config["hooks"]["prestart"], serde_json::Value::Null);
    }
    assert_eq!(config["hooks"]["createRuntime"].as_array().unwrap().len(), 1);
    assert_eq!(scene.engine.ok(&["exec", container.trim_end(), "cat", SECRET]), scene.canary.value());
}

#[test]
fn an_annotation_claims_from_docker_24_on_and_is_no_flag_before() {
    let scene = Scene::new();
    let Scene { bed, canary, engine } = &scene;
    engine.import(&Rootfs::busybox(), "busybox");
    let claim = |service: &str| format!("--annotation=io.runsecrets.service={service}");
    let (redis, nobody) = (claim("redis"), claim("nobody"));
    let run = ["run", "--network=none", "--runtime=runsecrets"];
    if engine.major() < 24 {
        testbed::lacks("docker run --annotation");
        let said = engine.fails(&[&run[..], &[&redis, "busybox", "cat", SECRET]].concat());
        // The client of that age, or one that knows better than its daemon.
        let words = ["unknown flag: --annotation", "\"--annotation\" requires API version 1.43"];
        assert!(words.iter().any(|words| said.contains(words)), "{said}");
        return;
    }
    engine.ok(&[&run[..], &["-d", "--name=redis", &redis, "busybox", "sleep", "1000"]].concat());
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    scene.value_is_nowhere("redis");
    // Unlike a variable, it does not go into the image.
    engine.ok(&["commit", "redis", "committed"]);
    assert!(engine.fails(&[&run[..], &["committed", "cat", SECRET]].concat()).contains(NOT_THERE));
    engine.ok(&["restart", "-t0", "redis"]);
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    engine.ok(&["rm", "-f", "redis"]);
    bed.holds_nothing();
    let said = engine.fails(&[&run[..], &[&nobody, "busybox", "true"]].concat());
    assert!(said.contains("runsecrets") && said.contains("nobody"), "{said}");
    scene.canary.is_nowhere_in(&engine.directories());
}

#[test]
fn a_device_claims_from_docker_25_on_and_is_no_path_before() {
    let mut scene = Scene::new();
    let Scene { bed, canary, engine } = &mut scene;
    engine.import(&Rootfs::busybox(), "busybox");
    let (file, hook) = (engine.devices().join("runsecrets.json"), testbed::hook());
    bed.cli_ok(&["cdi", "generate", "--output", file.to_str().unwrap(), "--hook", hook.to_str().unwrap()]);
    // By runc itself: no wrapper is needed.
    let run = ["run", "--network=none", "--device=runsecrets.io/service=redis"];
    if engine.major() < 25 {
        testbed::lacks("docker run --device runsecrets.io/service=NAME");
        let said = engine.fails(&[&run[..], &["busybox", "cat", SECRET]].concat());
        let words = ["runsecrets.io/service=redis is not an absolute path", "could not select device driver \"cdi\""];
        assert!(words.iter().any(|words| said.contains(words)), "{said}");
        return;
    }
    engine.ok(&[&run[..], &["-d", "--name=redis", "busybox", "sleep", "1000"]].concat());
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    let id = engine.ok(&["inspect", "--format={{.Id}}", "redis"]);
    bed.ps_until(&["service", "ps", "redis"], |said| said.contains(&id[..12]));
    canary.is_nowhere_in(&engine.directories());
    engine.ok(&["commit", "redis", "committed"]);
    assert!(engine.fails(&["run", "--network=none", "committed", "cat", SECRET]).contains(NOT_THERE));
    engine.ok(&["stop", "-t0", "redis"]);
    bed.holds_nothing();
    engine.ok(&["start", "redis"]);
    assert_eq!(engine.ok(&["exec", "redis", "cat", SECRET]), canary.value());
    engine.ok(&["rm", "-f", "redis"]);
    bed.holds_nothing();

    let nobody = engine.fails(&["run", "--network=none", "--device=runsecrets.io/service=nobody", "busybox", "true"]);
    assert!(nobody.contains("runsecrets.io/service=nobody"), "{nobody}");
    bed.agent.stop();
    let down = engine.fails(&[&run[..], &["busybox", "true"]].concat());
    assert!(down.contains("cannot reach the agent"), "{down}");
    canary.is_nowhere_in(&engine.directories());
}
