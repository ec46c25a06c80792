//! Checkpoints by a real CRIU: no value may come into its images, and a container that is restored has its secrets again.
//!
//! CRIU has to know the kernel: that of Debian 12 gives up on Linux 6.13 and later, and crun of Debian 12 has none. Where it
//! cannot work, the tests hold on to what can be seen without it: the checkpoint fails, nothing is written, nothing is lost.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "checkpoint/podman.rs"]
mod podman;
#[path = "checkpoint/rootless.rs"]
mod rootless;
mod testbed;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testbed::{Bed, Bundle, CLI, Canary, Container, Rootfs, Runtime, program};

on_each_runtime!(
    criu_captures_a_tmpfs_that_is_not_ours,
    criu_refuses_a_container_that_has_secrets,
    the_wrapper_keeps_values_out_and_delivers_them_anew,
    a_container_that_is_left_running_has_them_again,
    a_process_that_has_hold_of_them_is_refused_and_keeps_them,
    they_are_out_of_sight_as_long_as_the_runtime_lives,
    a_runtime_that_is_killed_gives_them_back,
    an_agent_that_stops_puts_them_back_first,
    an_agent_that_comes_after_a_killed_one_delivers_anew,
    a_container_that_is_restored_without_the_wrapper_has_nothing,
    a_container_that_cannot_have_its_secrets_is_not_restored,
);

/// A program that has read nothing, and keeps nothing open of the outside.
const IDLE: &str = "exec < /dev/null > /dev/null 2>&1; while :; do sleep 1; done";

/// Whether CRIU can work for `runtime` on this machine; it is said aloud where not.
fn works(runtime: Runtime) -> bool {
    let check = Command::new(program("criu", "criu")).arg("check").output().unwrap();
    let built_in = match runtime {
        Runtime::Runc => true,
        Runtime::Crun => {
            let version = Command::new(runtime.path()).arg("--version").output().unwrap();
            String::from_utf8_lossy(&version.stdout).contains("+CRIU")
        }
    };
    let works = check.status.success() && built_in;
    if !works {
        testbed::lacks("checkpoints by CRIU on this kernel");
    }
    works
}

/// A program that is this runtime, by the wrapper or not, with cgroups where CRIU can freeze it.
fn called(bed: &Bed, wrapped: bool) -> PathBuf {
    let path = bed.place.path(if wrapped { "by-wrapper" } else { "runtime" });
    let cgroups = match bed.runtime {
        Runtime::Crun if works(bed.runtime) => "shift; set -- --cgroup-manager=cgroupfs \"$@\"\n",
        _ => "",
    };
    let runtime = bed.runtime.path();
    let program = if wrapped {
        let (hook, run) = (testbed::hook(), bed.place.run());
        format!(
            "{} --real-runtime {} --hook {} --run-dir {}",
            testbed::WRAPPER,
            runtime.display(),
            hook.display(),
            run.display()
        )
    } else {
        runtime.display().to_string()
    };
    std::fs::write(&path, format!("#!/bin/sh\n{cgroups}exec {program} \"$@\"\n")).unwrap();
    testbed::running_agent::set_mode(&path, 0o755);
    path
}

fn idle(bed: &Bed) -> Bundle {
    bed.bundle("web").running(&["sh", "-c", IDLE])
}

/// What keeps CRIU from making the machine's cgroups anew, where the runtime has that (runc from 1.2 on).
fn cgroups_as_they_are(runtime: Runtime) -> &'static [&'static str] {
    let help = Command::new(runtime.path()).args(["checkpoint", "--help"]).output().unwrap();
    let known = runtime == Runtime::Crun || String::from_utf8_lossy(&help.stdout).contains("ignore");
    if known { &["--manage-cgroups-mode", "ignore"] } else { &[] }
}

/// What became of a `checkpoint` or `restore`, and what was said.
fn call(container: &Container, images: &Path, verb: &[&str]) -> Result<(), String> {
    std::fs::create_dir_all(images).unwrap();
    let said = images.with_extension("said");
    let mut command = container.command();
    command.args(verb).args(cgroups_as_they_are(container.runtime)).arg("--image-path").arg(images);
    command.arg("--work-path").arg(images).arg(&container.id);
    // Not through pipes: what is restored would keep them open.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said).unwrap()).status();
    let said = std::fs::read_to_string(said).unwrap();
    if status.unwrap().success() { Ok(()) } else { Err(said) }
}

/// The files of a checkpoint that have the value; CRIU packs file systems.
fn captured(canary: &Canary, images: &Path) -> Vec<PathBuf> {
    let mut found = canary.search(images);
    let packed = Command::new("find").arg(images).args(["-type", "f", "-name", "*.gz*"]).output().unwrap();
    for path in String::from_utf8(packed.stdout).unwrap().lines().map(PathBuf::from) {
        let unpacked = Command::new("gzip").arg("-dc").stdin(File::open(&path).unwrap()).output().unwrap();
        if canary.is_in(&unpacked.stdout) {
            found.push(path);
        }
    }
    found
}

fn is_not_captured(canary: &Canary, images: &Path) {
    let files = captured(canary, images);
    assert!(files.is_empty(), "the value is in {files:?}");
}

/// A bed whose service `web` has one canary at two places.
fn bed_with(runtime: Runtime, canary: &Canary) -> Bed {
    let bed = Bed::new(runtime);
    bed.secret("key", canary.value().as_bytes());
    bed.service("web", &["key", "source=key,target=/etc/app/key"]);
    bed
}

fn both(container: &Container) -> String {
    container.exec(&["cat", "/run/secrets/key", "/etc/app/key"])
}

fn twice(canary: &Canary) -> String {
    canary.value().repeat(2)
}

/// So that the other tests could find something.
fn criu_captures_a_tmpfs_that_is_not_ours(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let canary = Canary::new();
    let script = format!("echo {} > /data/key; unset x; {IDLE}", "$(cat /value)");
    let bundle =
        Bundle::new(Rootfs::busybox()).mounting("/data", "tmpfs", "tmpfs", &[]).running(&["sh", "-c", &script]);
    bundle.rootfs.write("value", canary.value());
    std::fs::create_dir(bundle.rootfs.path("data")).unwrap();
    let container = Container::run_by(runtime, &called(&bed, false), &bundle).unwrap();
    bed.eventually("it is there", || container.exec(&["cat", "/data/key"]).contains(canary.value()));
    let images = bed.place.path("images");
    let done = call(&container, &images, &["checkpoint"]);
    if works(runtime) {
        done.unwrap();
        assert!(!captured(&canary, &images).is_empty(), "the search finds nothing anywhere");
    } else {
        done.unwrap_err();
    }
}

fn criu_refuses_a_container_that_has_secrets(runtime: Runtime) {
    let canary = Canary::new();
    let bed = bed_with(runtime, &canary);
    let container = Container::run_by(runtime, &called(&bed, false), &idle(&bed)).unwrap();
    let images = bed.place.path("images");
    call(&container, &images, &["checkpoint"]).unwrap_err();
    if works(runtime) {
        let log = std::fs::read_to_string(images.join("dump.log")).unwrap();
        assert!(log.contains("doesn't have a proper root mount"), "refused for another reason: {log}");
    }
    is_not_captured(&canary, &images);
    assert_eq!(both(&container), twice(&canary), "what runs on keeps its secrets");
}

fn the_wrapper_keeps_values_out_and_delivers_them_anew(runtime: Runtime) {
    let (canary, fresh, last) = (Canary::new(), Canary::new(), Canary::new());
    let bed = bed_with(runtime, &canary);
    let container = Container::run_by(runtime, &called(&bed, true), &idle(&bed)).unwrap();
    let images = bed.place.path("images");
    let done = call(&container, &images, &["checkpoint"]);
    is_not_captured(&canary, &images);
    if !works(runtime) {
        done.unwrap_err();
        bed.eventually("the secrets are back", || container.try_exec(&["cat", "/etc/app/key"]).status.success());
        assert_eq!(both(&container), twice(&canary));
        return;
    }
    done.unwrap();
    bed.holds_nothing();
    bed.cli_given(&["secret", "update", "key", "-"], fresh.value().as_bytes());
    restore(&container, &images).unwrap();
    assert_eq!(both(&container), twice(&fresh), "delivered as it is now");
    assert!(bed.cli_ok(&["ps"]).contains(&container.id));
    bed.cli_given(&["secret", "update", "key", "-"], last.value().as_bytes());
    assert_eq!(both(&container), twice(&last), "changes reach it");
    container.stop();
    bed.holds_nothing();
}

fn restore(container: &Container, images: &Path) -> Result<(), String> {
    let bundle = container.bundle();
    call(container, images, &["restore", "--detach", "--bundle", bundle.to_str().unwrap()])
}

fn a_container_that_is_left_running_has_them_again(runtime: Runtime) {
    let (canary, fresh) = (Canary::new(), Canary::new());
    let bed = bed_with(runtime, &canary);
    let container = Container::run_by(runtime, &called(&bed, true), &idle(&bed)).unwrap();
    let images = bed.place.path("images");
    let done = call(&container, &images, &["checkpoint", "--leave-running"]);
    assert_eq!(done.is_ok(), works(runtime), "{done:?}");
    is_not_captured(&canary, &images);
    bed.agent.log.wait_for("in sight again");
    assert_eq!(both(&container), twice(&canary));
    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    for place in ["/run/secrets", "/etc/app/key"] {
        let mount: Vec<&str> = mounts.lines().filter(|line| line.contains(&format!(" {place} "))).collect();
        assert_eq!(mount.len(), 1, "{mounts}");
        assert!(mount[0].contains(" ro,nosuid,nodev,noexec,relatime,nosymfollow "), "{}", mount[0]);
    }
    bed.cli_given(&["secret", "update", "key", "-"], fresh.value().as_bytes());
    assert_eq!(both(&container), twice(&fresh), "changes reach it");
    container.stop();
    bed.holds_nothing();
}

/// An open file, or the directory in which it is.
fn a_process_that_has_hold_of_them_is_refused_and_keeps_them(runtime: Runtime) {
    let canary = Canary::new();
    let bed = bed_with(runtime, &canary);
    let program = called(&bed, true);
    for (name, hold, said) in [
        ("open", "exec 9< /run/secrets/key", "Can't lookup mount="),
        ("there", "cd /run/secrets", "Can't lookup mount="),
    ] {
        let bundle = bed.bundle("web").running(&["sh", "-c", &format!("{hold}; {IDLE}")]);
        let container = Container::run_by(runtime, &program, &bundle).unwrap();
        let images = bed.place.path(name);
        call(&container, &images, &["checkpoint"]).unwrap_err();
        if works(runtime) {
            let log = std::fs::read_to_string(images.join("dump.log")).unwrap();
            assert!(log.contains(said), "{name}: refused for another reason: {log}");
        }
        is_not_captured(&canary, &images);
        bed.eventually("they are back", || container.try_exec(&["cat", "/etc/app/key"]).status.success());
        assert_eq!(both(&container), twice(&canary), "{name}");
        container.stop();
    }
    bed.holds_nothing();
}

/// A runtime whose `checkpoint` is `script`, in the place of CRIU: `look` says what that would see in the container.
fn pretending(bed: &Bed, script: &str) -> PathBuf {
    let (pretender, wrapper) = (bed.place.path(bed.runtime.name()), bed.place.path("by-wrapper"));
    let real = bed.runtime.path();
    let body = format!(
        "#!/bin/sh\ncase \" $* \" in *' checkpoint '*) ;; *) exec {real} \"$@\" ;; esac\n\
         for id; do case $before in --root) root=$id ;; esac; before=$id; done\n\
         look() {{ {real} {global} --root \"$root\" exec \"$id\" cat /run/secrets/key /etc/app/key 2>&1; }}\n{script}\n",
        real = real.display(),
        global = bed.runtime.own_arguments().join(" "),
    );
    std::fs::write(&pretender, body).unwrap();
    let (hook, run) = (testbed::hook(), bed.place.run());
    let call = format!("--real-runtime {} --hook {} --run-dir {}", pretender.display(), hook.display(), run.display());
    std::fs::write(&wrapper, format!("#!/bin/sh\nexec {} {call} \"$@\"\n", testbed::WRAPPER)).unwrap();
    for program in [&pretender, &wrapper] {
        testbed::running_agent::set_mode(program, 0o755);
    }
    wrapper
}

fn they_are_out_of_sight_as_long_as_the_runtime_lives(runtime: Runtime) {
    let (canary, fresh) = (Canary::new(), Canary::new());
    let bed = bed_with(runtime, &canary);
    let (seen, value) = (bed.place.path("seen"), bed.place.path("fresh"));
    std::fs::write(&value, fresh.value()).unwrap();
    let update = format!("{CLI} --run-dir {} secret update key {}", bed.place.run().display(), value.display());
    let program = pretending(&bed, &format!("{{ look; {update}; look; }} > {}\nexit 7", seen.display()));
    let container = Container::run_by(runtime, &program, &idle(&bed)).unwrap();
    call(&container, &bed.place.path("images"), &["checkpoint"]).unwrap_err();
    bed.agent.log.wait_for("in sight again");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(!canary.is_in(seen.as_bytes()) && !fresh.is_in(seen.as_bytes()), "{seen}");
    assert_eq!(seen.matches("/run/secrets/key': No such file").count(), 2, "{seen}");
    bed.eventually("it has the value that came meanwhile", || both(&container) == twice(&fresh));
    container.stop();
    bed.holds_nothing();
}

fn a_runtime_that_is_killed_gives_them_back(runtime: Runtime) {
    let canary = Canary::new();
    let bed = bed_with(runtime, &canary);
    let container = Container::run_by(runtime, &pretending(&bed, "kill -KILL $$"), &idle(&bed)).unwrap();
    call(&container, &bed.place.path("images"), &["checkpoint"]).unwrap_err();
    bed.agent.log.wait_for("out of sight for a checkpoint");
    bed.agent.log.wait_for("in sight again");
    assert_eq!(both(&container), twice(&canary));
}

fn an_agent_that_stops_puts_them_back_first(runtime: Runtime) {
    let canary = Canary::new();
    let mut bed = bed_with(runtime, &canary);
    let pid = bed.agent.pid();
    let stop = format!("kill -TERM {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.1; done; exit 7");
    let container = Container::run_by(runtime, &pretending(&bed, &stop), &idle(&bed)).unwrap();
    let waiting = std::thread::scope(|scope| {
        let calling = scope.spawn(|| bed.agent.child.wait().unwrap());
        let called = call(&container, &bed.place.path("images"), &["checkpoint"]);
        (called, calling.join().unwrap())
    });
    waiting.0.unwrap_err();
    assert_eq!(both(&container), twice(&canary));
    bed.agent = bed.place.start();
    assert!(bed.cli_ok(&["ps"]).contains(&container.id), "the next agent has it on record");
    assert_eq!(both(&container), twice(&canary));
}

fn an_agent_that_comes_after_a_killed_one_delivers_anew(runtime: Runtime) {
    let (canary, fresh) = (Canary::new(), Canary::new());
    let mut bed = bed_with(runtime, &canary);
    let kill = format!("kill -KILL {}; look > {}; exit 7", bed.agent.pid(), bed.place.path("seen").display());
    let container = Container::run_by(runtime, &pretending(&bed, &kill), &idle(&bed)).unwrap();
    call(&container, &bed.place.path("images"), &["checkpoint"]).unwrap_err();
    bed.agent.child.wait().unwrap();
    assert!(!canary.is_in(&std::fs::read(bed.place.path("seen")).unwrap()));
    assert!(!container.try_exec(&["cat", "/etc/app/key"]).stdout.starts_with(b"canary"), "they went with the agent");
    bed.agent = bed.place.start();
    bed.eventually("it has them again", || container.try_exec(&["cat", "/run/secrets/key"]).status.success());
    assert_eq!(both(&container), twice(&canary));
    bed.cli_given(&["secret", "update", "key", "-"], fresh.value().as_bytes());
    assert_eq!(both(&container), twice(&fresh), "changes reach it");
    container.stop();
    bed.holds_nothing();
}

/// A container that the wrapper has made a checkpoint of, and where that is; none where CRIU cannot, which is then said.
fn checkpointed(bed: &Bed, runtime: Runtime) -> Option<(Container, PathBuf)> {
    let container = Container::run_by(runtime, &called(bed, true), &idle(bed)).unwrap();
    let images = bed.place.path("images");
    let done = call(&container, &images, &["checkpoint"]);
    if !works(runtime) {
        done.unwrap_err();
        return None;
    }
    done.unwrap();
    Some((container, images))
}

fn a_container_that_is_restored_without_the_wrapper_has_nothing(runtime: Runtime) {
    let canary = Canary::new();
    let bed = bed_with(runtime, &canary);
    let Some((container, images)) = checkpointed(&bed, runtime) else { return };
    let container = container.by(&called(&bed, false));
    match runtime {
        // Its hooks are called while CRIU has not made the mounts yet.
        Runtime::Runc => {
            restore(&container, &images).unwrap_err();
            bed.agent.log.wait_for("restore it by runsecrets-runtime");
        }
        // It calls none.
        Runtime::Crun => {
            restore(&container, &images).unwrap();
            assert!(!container.try_exec(&["cat", "/run/secrets/key"]).status.success());
        }
    }
    bed.holds_nothing();
}

fn a_container_that_cannot_have_its_secrets_is_not_restored(runtime: Runtime) {
    let canary = Canary::new();
    let bed = bed_with(runtime, &canary);
    let Some((container, images)) = checkpointed(&bed, runtime) else { return };
    bed.cli_ok(&["service", "rm", "web"]);
    let error = restore(&container, &images).unwrap_err();
    assert!(error.contains("service 'web' not found"), "{error}");
    bed.eventually("it does not run", || {
        let state = container.command().args(["state", &container.id]).output().unwrap();
        !String::from_utf8_lossy(&state.stdout).contains("running")
    });
    bed.holds_nothing();
}
