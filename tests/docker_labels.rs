//! Docker's containers known by their labels: a real dockerd, whose runtime's hook asks the agent, which asks dockerd.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/image.rs"]
mod image;
mod testbed;

use docker::Docker;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use testbed::running_agent::write_program;
use testbed::{Bed, Rootfs, Runtime, WRAPPER, hook, words};

const KEY: &str = "/run/secrets/key";
const NOT_THERE: &str = "cat: can't open '/run/secrets/key': No such file or directory";
const WEB: &str = "--label=io.runsecrets.service=web";
const RUN: [&str; 3] = ["run", "--network=none", "--runtime=runsecrets-ask"];

/// An agent that asks a dockerd, a service `web`, and the image `busybox`.
struct Scene {
    bed: Bed,
    engine: Docker,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bed = bed(&directory);
        Self::with(Docker::start_in(directory, &bed, &[]), bed)
    }

    fn with(engine: Docker, bed: Bed) -> Self {
        engine.import(&Rootfs::busybox(), "busybox");
        Self { bed, engine }
    }

    /// A container that shows the key and ends: what Docker says of it.
    fn cat(&self, options: &[&str], image: &str) -> String {
        words(&self.engine.docker(&[&RUN[..], &["--rm"], options, &[image, "cat", KEY]].concat()))
    }
}

/// An agent that asks the dockerd of `directory`.
fn bed(directory: &TempDir) -> Bed {
    let lines = format!("[docker]\nsocket = {:?}\n", Docker::socket(directory));
    let bed = Bed::configured(Runtime::Runc, &lines);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    bed
}

#[test]
fn a_label_is_a_claim() {
    let scene = Scene::new();
    let Scene { bed, engine } = &scene;
    let id = engine.ok(&[&RUN[..], &["-d", "--name=web", WEB, "busybox", "sleep", "1000"]].concat());
    assert_eq!(engine.ok(&["exec", "web", "cat", KEY]), "k");
    bed.ps_until(&["ps", "--quiet", "--no-trunc"], |said| said == id);
    engine.ok(&["stop", "-t0", "web"]);
    bed.holds_nothing();
    engine.ok(&["start", "web"]);
    assert_eq!(engine.ok(&["exec", "web", "cat", KEY]), "k");
    engine.ok(&["restart", "-t0", "web"]);
    assert_eq!(engine.ok(&["exec", "web", "cat", KEY]), "k");
    bed.ps_until(&["ps", "--quiet"], |said| said.lines().count() == 1);
    engine.ok(&["rm", "-f", "web"]);
    bed.holds_nothing();
}

#[test]
fn who_has_no_label_has_nothing_and_who_has_a_wrong_one_is_refused() {
    let scene = Scene::new();
    for options in [&[][..], &["--label=io.runsecrets.service="], &["--label=service=web"], &["--name=web"]] {
        assert!(scene.cat(options, "busybox").contains(NOT_THERE), "{options:?}");
    }
    let unknown = scene.cat(&["--label=io.runsecrets.service=nobody"], "busybox");
    assert!(unknown.contains("runsecrets-hook: ") && unknown.contains("service 'nobody' not found"), "{unknown}");
    let impossible = scene.cat(&["--label=io.runsecrets.service=../x"], "busybox");
    assert!(impossible.contains("the container's label io.runsecrets.service: "), "{impossible}");
    scene.bed.holds_nothing();
}

#[test]
fn a_token_is_a_label_too() {
    let scene = Scene::new();
    let words = ["service", "create", "--name", "guarded", "--secret", "key", "--require-claim"];
    let said = scene.bed.cli_ok(&words);
    // The printed line is the label.
    let token = said.lines().find(|line| line.starts_with("io.runsecrets.claim=")).unwrap();
    let guarded = "--label=io.runsecrets.service=guarded";
    assert!(scene.cat(&[guarded], "busybox").contains("requires a claim token"));
    assert!(scene.cat(&[guarded, "--label=io.runsecrets.claim=x"], "busybox").contains("is not that of service"));
    assert_eq!(scene.cat(&[guarded, &format!("--label={token}")], "busybox"), "k");
}

#[test]
fn an_image_cannot_say_which_service_it_is() {
    let scene = Scene::new();
    let Scene { bed, engine } = &scene;
    let refusal = "the container's image has the label io.runsecrets.service";
    engine.import_with(&Rootfs::busybox(), "sly", "LABEL io.runsecrets.service=web");
    for options in [&[][..], &[WEB], &["--label=io.runsecrets.service=other"]] {
        let said = scene.cat(options, "sly");
        assert!(said.contains(refusal), "{options:?}: {said}");
    }
    engine.import_with(&Rootfs::busybox(), "token", "LABEL io.runsecrets.claim=x");
    assert!(scene.cat(&[WEB], "token").contains("the container's image has the label io.runsecrets.claim"));
    // What is taken back in the container's own labels is taken back, and another runtime does not ask.
    assert!(scene.cat(&["--label=io.runsecrets.service="], "sly").contains(NOT_THERE));
    assert!(scene.cat(&["--runtime=runsecrets"], "sly").contains(NOT_THERE));

    // A commit keeps the labels of the container, and so what it makes is refused, unless they are emptied.
    engine.ok(&[&RUN[..], &["-d", "--name=web", WEB, "busybox", "sleep", "1000"]].concat());
    engine.ok(&["commit", "web", "committed"]);
    engine.ok(&["commit", "--change=LABEL io.runsecrets.service=", "web", "emptied"]);
    engine.ok(&["rm", "-f", "web"]);
    assert!(scene.cat(&[], "committed").contains(refusal));
    assert!(scene.cat(&[], "emptied").contains(NOT_THERE));
    assert_eq!(scene.cat(&[WEB], "emptied"), "k");

    // Without its image nobody knows whose the label is.
    engine.ok(&[&["create"], &RUN[1..], &["--name=orphan", WEB, "emptied", "sleep", "1000"]].concat());
    engine.ok(&["rmi", "-f", "emptied"]);
    let orphan = engine.fails(&["start", "orphan"]);
    assert!(orphan.contains("the container's image has been removed"), "{orphan}");
    bed.holds_nothing();
}

#[test]
fn labels_count_only_where_the_operator_has_it_so() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let scene = Scene::with(Docker::start(&bed), bed);
    assert!(scene.cat(&[WEB], "busybox").contains(NOT_THERE));
}

#[test]
fn a_container_of_another_docker_is_refused() {
    let asked = tempfile::tempdir().unwrap();
    let bed = bed(&asked);
    let other = Scene::with(Docker::start(&bed), bed);
    // The daemon that is asked is not there, or is, and has no such container.
    let silent = other.cat(&[WEB], "busybox");
    assert!(silent.contains("cannot ask Docker at") && silent.contains("is dockerd running"), "{silent}");
    let _asked = Docker::start_in(asked, &other.bed, &[]);
    for options in [&[WEB][..], &[]] {
        let unknown = other.cat(options, "busybox");
        assert!(unknown.contains("no Docker that is named in [docker] of config.toml has this container"), "{unknown}");
    }
}

/// The hook stops the daemon that waits for it, before it asks.
#[test]
fn a_daemon_that_does_not_answer_refuses_its_container() {
    let directory = tempfile::tempdir().unwrap();
    let bed = bed(&directory);
    let [runtime, stopping] = ["runtime", "hook"].map(|name| directory.path().join(name));
    let pid = Docker::pid_file(&directory);
    let stop = format!("[ \"$1\" != create-runtime ] || kill -STOP $(cat {})", pid.display());
    write_program(&stopping, &format!("#!/bin/sh\n{stop}\nexec {} \"$@\"\n", hook().display()));
    let (real, run_dir) = (bed.runtime.path(), bed.place.run());
    let own = format!("--ask --hook {} --real-runtime {}", stopping.display(), real.display());
    write_program(&runtime, &format!("#!/bin/sh\nexec {WRAPPER} {own} --run-dir {} \"$@\"\n", run_dir.display()));
    let scene = Scene::with(Docker::start_in(directory, &bed, &[("stopping", &runtime)]), bed);
    let Scene { bed, engine } = &scene;
    let refused = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _goes_on = GoesOn(engine);
            bed.agent.log.wait_for("cannot ask Docker at");
        });
        scene.cat(&["--runtime=stopping", WEB], "busybox")
    });
    assert!(refused.contains("for the container's labels: no answer within 2 seconds"), "{refused}");
    bed.holds_nothing();
    assert_eq!(scene.cat(&[WEB], "busybox"), "k");
}

/// A daemon that is let go on, also when the test fails.
struct GoesOn<'e>(&'e Docker);

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGCONT);
    }
}

#[test]
fn several_start_at_one_time() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let containers: Vec<_> = (0..4).map(|_| scope.spawn(|| scene.cat(&[WEB], "busybox"))).collect();
        containers.into_iter().for_each(|container| assert_eq!(container.join().unwrap(), "k"));
    });
    scene.bed.holds_nothing();
}

#[test]
fn a_secret_leaves_when_docker_says_healthy() {
    let scene = Scene::new();
    let Scene { bed, engine } = &scene;
    let add = ["--secret-add", "source=key,target=first,until=healthy"];
    bed.cli_ok(&[&["service", "update", "web"], &add[..]].concat());
    let check = ["--health-cmd=test -e /tmp/healthy", "--health-interval=1s", "--name=web"];
    engine.ok(&[&RUN[..], &["-d", WEB], &check, &["busybox", "sleep", "1000"]].concat());
    let first = || words(&engine.docker(&["exec", "web", "cat", "/run/secrets/first"]));
    assert_eq!(first(), "k");
    let health = || engine.ok(&["inspect", "--format", "{{.State.Health.Status}}", "web"]);
    bed.eventually("its check has failed", || health().contains("unhealthy"));
    assert_eq!(first(), "k", "not while it is unhealthy");
    engine.ok(&["exec", "web", "touch", "/tmp/healthy"]);
    bed.eventually("it has left", || first().contains("No such file"));
    assert!(health().starts_with("healthy"));
    assert_eq!(engine.ok(&["exec", "web", "cat", KEY]), "k");
    assert!(bed.cli_ok(&["ps"]).contains("key:1 ended "), "{}", bed.cli_ok(&["ps"]));
    engine.ok(&["rm", "-f", "web"]);
    bed.holds_nothing();
}
