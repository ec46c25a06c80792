//! Checkpoints of users' containers: by the user, by root of the user's namespace, and by root of the machine.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::testbed::user::IMAGE;
use crate::testbed::{Bed, Canary, Runtime, User, WRAPPER, words};
use crate::{IDLE, is_not_captured, on_each_runtime, twice, works};

on_each_runtime!(
    a_users_container_is_not_captured,
    a_user_is_told_by_the_wrapper,
    a_container_of_a_users_podman_is_not_captured,
);

/// An agent with the service `web`, open to `user`, of one canary at two places.
fn bed_for(user: &User, canary: &Canary) -> Bed {
    let bed = Bed::configured(user.runtime, "[rootless]\nenabled = true\n");
    bed.secret("key", canary.value().as_bytes());
    bed.service("web", &["key", "source=key,target=/etc/app/key"]);
    bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "web"]);
    bed
}

/// The words for a checkpoint of `id` into a new directory.
fn checkpoint(user: &User, state: &Path, name: &str, id: &str) -> (PathBuf, Vec<String>) {
    let images = user.path(name);
    std::fs::create_dir(&images).unwrap();
    crate::testbed::running_agent::set_mode(&images, 0o777);
    let at = images.to_str().unwrap().to_owned();
    let words = ["--root", state.to_str().unwrap(), "checkpoint", "--image-path", &at, "--work-path", &at, id];
    let words = words.map(str::to_owned).to_vec();
    (images, words)
}

/// A checkpoint that has failed, and for this reason, if one is given: in the words of the runtime, or of CRIU.
fn has_failed(done: &Output, why: Option<&str>, images: &Path, canary: &Canary) {
    let log = std::fs::read_to_string(images.join("dump.log")).unwrap_or_default();
    let said = format!("{}{log}", words(done));
    assert!(!done.status.success() && why.is_none_or(|why| said.contains(why)), "no {why:?} in: {said}");
    is_not_captured(canary, images);
}

/// What CRIU says to mounts of ours, if it comes so far: not where it does not know the kernel, and not with crun, which has
/// no cgroup here by which CRIU could stop the container.
fn of_the_mounts(runtime: Runtime) -> Option<&'static str> {
    (runtime == Runtime::Runc && works(runtime)).then_some("doesn't have a proper root mount")
}

fn a_users_container_is_not_captured(runtime: Runtime) {
    let (user, canary) = (User::new(runtime), Canary::new());
    let bed = bed_for(&user, &canary);
    let bundle = user.bundle(bed.bundle("web").running(&["sh", "-c", IDLE]));
    user.start(&bundle, "c1").unwrap_or_else(|error| panic!("{error}\nagent: {}", bed.agent.log.text()));
    let of_user = (runtime == Runtime::Crun && works(runtime)).then_some("checkpointing requires root");
    for (name, uid, why) in [("of-user", user.uid, of_user), ("of-root", 0, of_the_mounts(runtime))] {
        let (images, arguments) = checkpoint(&user, &user.state(), name, "c1");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = user.run_as(uid, runtime.name(), &arguments);
        has_failed(&done, why, &images, &canary);
        assert_eq!(user.exec("c1", &["cat", "/run/secrets/key", "/etc/app/key"]), twice(&canary), "{name}");
    }
    user.stop("c1");
    bed.holds_nothing();
}

/// The wrapper says it before CRIU does anything.
fn a_user_is_told_by_the_wrapper(runtime: Runtime) {
    let (user, canary) = (User::new(runtime), Canary::new());
    let bed = bed_for(&user, &canary);
    let bundle = user.bundle(bed.bundle("web").running(&["sh", "-c", IDLE]));
    user.start(&bundle, "c1").unwrap();
    // The build's directory need not be open to others.
    let wrapper = user.path("runsecrets-runtime");
    std::fs::copy(WRAPPER, &wrapper).unwrap();
    let by_wrapper = |verb: &[&str]| {
        let (real, hook, run) = (runtime.path(), user.hook(), bed.place.run());
        let [real, hook, run] = [&real, &hook, &run].map(|path| path.to_str().unwrap());
        let state = user.state();
        let words = ["--real-runtime", real, "--hook", hook, "--run-dir", run, "--root", state.to_str().unwrap()];
        let done = user.run(wrapper.to_str().unwrap(), &[&words[..], verb].concat());
        assert!(!done.status.success());
        crate::testbed::words(&done)
    };
    let images = user.path("images");
    let images = images.to_str().unwrap();
    let said = by_wrapper(&["checkpoint", "--image-path", images, "c1"]);
    assert!(said.contains("the secrets of a user's container cannot be kept out of a checkpoint"), "{said}");
    let bundle = bundle.to_str().unwrap();
    let said = by_wrapper(&["restore", "--detach", "--image-path", images, "--bundle", bundle, "c2"]);
    assert!(said.contains("a user's container is not restored with its secrets"), "{said}");
    assert!(!user.path("images").exists(), "the runtime was not started");
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key", "/etc/app/key"]), twice(&canary));
    user.stop("c1");
    bed.holds_nothing();
}

fn a_container_of_a_users_podman_is_not_captured(runtime: Runtime) {
    let (user, canary) = (User::new(runtime), Canary::new());
    let bed = bed_for(&user, &canary);
    let user = user.with_podman(&bed.place.run());
    // Under a filter of system calls CRIU does not even come as far as to look at the mounts.
    let options = ["run", "--detach", "--name", "web", "--security-opt", "seccomp=unconfined"];
    let web = ["--annotation", "io.runsecrets.service=web", IMAGE, "sh", "-c", IDLE];
    user.ok("podman", &[&options[..], &web].concat());
    let both = || user.ok("podman", &["exec", "web", "cat", "/run/secrets/key", "/etc/app/key"]);
    assert_eq!(both(), twice(&canary));
    let nowhere = || {
        // What the test itself was shown.
        std::fs::remove_file(user.path("out")).unwrap();
        user.places().iter().for_each(|place| is_not_captured(&canary, place));
    };
    let done = user.run("podman", &["container", "checkpoint", "--keep", "web"]);
    assert!(!done.status.success() && words(&done).contains("root"), "{}", words(&done));
    nowhere();
    let id = user.ok("podman", &["inspect", "--format", "{{.Id}}", "web"]);
    let (images, arguments) = checkpoint(&user, &user.podmans_state(), "of-namespace", id.trim());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // In a network of its own, which CRIU may leave and come back to.
    let inside = ["unshare", "unshare", "--net", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh", runtime.name()];
    let done = user.run("podman", &[&inside[..], &arguments].concat());
    has_failed(&done, of_the_mounts(runtime), &images, &canary);
    assert_eq!(both(), twice(&canary));
    nowhere();
    user.ok("podman", &["rm", "--force", "--time", "0", "web"]);
    bed.holds_nothing();
}
