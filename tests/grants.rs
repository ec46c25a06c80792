//! Grants and revocations in containers that run: both kinds of target, with what has to be mounted and taken off for it.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;

use testbed::{Bed, Bundle, Container, Runtime};

on_each_runtime!(
    a_grant_reaches_a_running_container,
    a_revocation_reaches_files_that_are_open,
    the_first_secret_of_a_running_container_brings_its_directory,
    a_target_can_change_its_secret_without_a_gap,
    removing_a_service_empties_its_containers,
    what_a_removed_service_leaves_behind_is_named,
    owners_by_name_are_the_containers_own,
    a_new_agent_grants_and_revokes_in_what_an_earlier_one_delivered,
    what_is_not_live_comes_with_the_next_start,
    a_target_that_is_taken_is_named_and_the_rest_goes_on,
    a_mount_below_the_directory_stays,
    every_kind_of_container_is_changed_by_every_agent,
);

fn bed(runtime: Runtime, grants: &[&str]) -> (Bed, Container) {
    let bed = Bed::new(runtime);
    for name in ["a", "b"] {
        bed.secret(name, name.repeat(3).as_bytes());
    }
    bed.service("web", grants);
    let container = start(&bed, &bed.bundle("web"));
    (bed, container)
}

/// Starts `bundle`, and waits until the agent has noted it: what changes before that, a delivery sees to by itself.
fn start(bed: &Bed, bundle: &Bundle) -> Container {
    let container = bed.start(bundle);
    bed.agent.log.wait_for("delivered");
    container
}

fn seen(container: &Container, target: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{target}", container.pid()))
}

fn update(bed: &Bed, changes: &[&str]) {
    assert_eq!(bed.cli_ok(&[&["service", "update", "web"], changes].concat()), "web\n");
}

fn a_grant_reaches_a_running_container(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["a"]);
    update(&bed, &["--secret-add", "b", "--secret-add", "source=b,target=/etc/app/b,uid=7,gid=8,mode=0440"]);
    update(&bed, &["--secret-add", "source=a,target=deep/er/a"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/b", "/etc/app/b", "/run/secrets/deep/er/a"]), "bbbbbbaaa");
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/etc/app/b"]), "7:8 440\n");
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/run/secrets/b", "/etc/app"]), "0:0 444\n0:0 755\n");
    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    let ours: Vec<&str> = mounts.lines().filter(|line| line.contains(" runsecrets ")).collect();
    assert_eq!(ours.len(), 2, "{mounts}");
    assert!(ours.iter().all(|line| line.contains(" ro,nosuid,nodev,noexec")), "{ours:?}");
    // Which version is there, and since when if not from the start.
    let shown = bed.cli_ok(&["ps", "--format", "{{.Secrets}}"]);
    let held: Vec<_> = shown.trim_end().split(',').map(|it| it.split_once(" since ").unwrap_or((it, ""))).collect();
    assert_eq!(held.iter().map(|it| it.0).collect::<Vec<_>>(), ["a:1", "b:1", "b:1", "a:1"], "{shown}");
    assert_eq!(held.iter().map(|it| it.1.ends_with(" ago")).collect::<Vec<_>>(), [false, true, true, true], "{shown}");
    // What was made for it goes with it.
    container.stop();
    bed.holds_nothing();
}

fn a_revocation_reaches_files_that_are_open(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["a", "b", "source=a,target=/etc/app/a", "source=a,target=deep/a"]);
    let targets = ["/run/secrets/a", "/etc/app/a", "/run/secrets/deep/a"];
    let mut open = targets.map(|target| File::open(seen(&container, target)).unwrap());
    update(&bed, &["--secret-rm", "a"]);
    for file in &mut open {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "", "the value can still be read");
    }
    for target in targets {
        assert!(!container.try_exec(&["stat", target]).status.success(), "{target} is still there");
    }
    assert!(!container.exec(&["cat", "/proc/self/mountinfo"]).contains("/etc/app"));
    assert!(!container.try_exec(&["stat", "/etc/app"]).status.success(), "the mount point was ours");
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
    assert!(bed.cli_ok(&["ps"]).contains(" b:1 "));
    bed.cli_ok(&["secret", "rm", "a"]);
    container.stop();
    bed.holds_nothing();
}

fn the_first_secret_of_a_running_container_brings_its_directory(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,target=/etc/app/a"]);
    assert!(!container.try_exec(&["stat", "/run/secrets"]).status.success());
    update(&bed, &["--secret-add", "a", "--secret-add", "b"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/a", "/run/secrets/b"]), "aaabbb");
    bed.cli_given(&["secret", "update", "b", "-"], b"new");
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "new");
    let open = File::open(seen(&container, "/run/secrets/b")).unwrap();
    container.stop();
    assert_eq!(open.metadata().unwrap().len(), 0);
    bed.holds_nothing();
}

fn a_target_can_change_its_secret_without_a_gap(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,target=key", "source=a,target=/etc/app/key"]);
    let paths = ["/run/secrets/key", "/etc/app/key"].map(|target| seen(&container, target));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for path in &paths {
                    let text = std::fs::read_to_string(path).unwrap();
                    assert!(text == "aaa" || text == "bbb", "{text:?}");
                }
            }
        });
        for (from, to) in [("a", "b"), ("b", "a")].into_iter().cycle().take(50) {
            let add = [format!("source={to},target=key"), format!("source={to},target=/etc/app/key,mode=0400")];
            update(&bed, &["--secret-rm", from, "--secret-add", &add[0], "--secret-add", &add[1]]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(container.exec(&["stat", "-c", "%a", "/etc/app/key"]), "400\n");
    container.stop();
    bed.holds_nothing();
}

fn removing_a_service_empties_its_containers(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["a", "source=b,target=/etc/app/b"]);
    let open = ["/run/secrets/a", "/etc/app/b"].map(|target| File::open(seen(&container, target)).unwrap());
    bed.cli_ok(&["service", "rm", "web"]);
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
    assert_eq!(container.exec(&["ls", "-A", "/run/secrets"]), "");
    assert!(!container.try_exec(&["cat", "/etc/app/b"]).status.success());
    // Nothing comes back under the old name.
    bed.service("web", &["a"]);
    bed.cli_given(&["secret", "update", "a", "-"], b"new");
    assert_eq!(container.exec(&["ls", "-A", "/run/secrets"]), "");
    container.stop();
    bed.holds_nothing();
}

fn what_a_removed_service_leaves_behind_is_named(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["a", "source=b,target=/etc/app/b"]);
    let open = ["/run/secrets/a", "/etc/app/b"].map(|target| File::open(seen(&container, target)).unwrap());
    let pid = container.pid().to_string();
    let mut cover = std::process::Command::new("nsenter");
    cover.args(["--target", &pid, "--mount", "mount", "-t", "tmpfs", "none", "/etc/app"]);
    assert!(testbed::running_agent::run(&mut cover, "util-linux").status.success());
    let removed = bed.cli(&["service", "rm", "web"]);
    let said = testbed::words(&removed);
    assert_eq!(removed.status.code(), Some(1), "{said}");
    assert!(said.starts_with("web\n") && said.contains("'/etc/app/b' is not what was attached there"), "{said}");
    // What can be done is done.
    assert_eq!(bed.cli_ok(&["service", "ls", "--quiet"]), "");
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
    container.stop();
    bed.holds_nothing();
}

fn owners_by_name_are_the_containers_own(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("a", b"aaa");
    bed.service("web", &["a"]);
    let bundle = bed.bundle("web").in_user_namespace();
    std::fs::write(bundle.rootfs.path("etc/passwd"), "app:x:33:34::/:/bin/sh\n").unwrap();
    std::fs::write(bundle.rootfs.path("etc/group"), "app:x:35:\n").unwrap();
    let container = start(&bed, &bundle);
    update(&bed, &["--secret-add", "source=a,target=/etc/app/key,uid=app,gid=app,mode=0440"]);
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/etc/app/key"]), "33:35 440\n");
    assert_eq!(container.exec(&["stat", "-c", "%u:%g", "/etc/app"]), "0:0\n");
    let refused = bed.cli(&["service", "update", "web", "--secret-add", "source=a,target=x,uid=nobody-there"]);
    assert!(testbed::words(&refused).contains("user 'nobody-there' is not in"), "{}", testbed::words(&refused));
}

fn a_new_agent_grants_and_revokes_in_what_an_earlier_one_delivered(runtime: Runtime) {
    let (mut bed, container) = bed(runtime, &["a", "source=a,target=/etc/app/a"]);
    drop(bed.agent);
    bed.agent = bed.place.start();
    update(&bed, &["--secret-add", "b", "--secret-add", "source=b,target=/etc/app/b"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/b", "/etc/app/b", "/etc/app/a"]), "bbbbbbaaa");
    let open = ["/run/secrets/a", "/etc/app/a"].map(|target| File::open(seen(&container, target)).unwrap());
    update(&bed, &["--secret-rm", "a"]);
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
    drop(bed.agent);
    bed.agent = bed.place.start();
    bed.cli_given(&["secret", "update", "b", "-"], b"new");
    assert_eq!(container.exec(&["cat", "/run/secrets/b", "/etc/app/b"]), "newnew");
    let open = ["/run/secrets/b", "/etc/app/b"].map(|target| File::open(seen(&container, target)).unwrap());
    container.stop();
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
    bed.holds_nothing();
}

fn what_is_not_live_comes_with_the_next_start(runtime: Runtime) {
    let (mut bed, container) = bed(runtime, &["a"]);
    update(&bed, &["--live=false", "--secret-rm", "a", "--secret-add", "b"]);
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "a\n");
    // Not by a restart of the agent either.
    drop(bed.agent);
    bed.agent = bed.place.start();
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "a\n");
    container.stop();
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "b\n");
    bed.cli_ok(&["service", "rm", "--live=false", "web"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
}

fn a_target_that_is_taken_is_named_and_the_rest_goes_on(runtime: Runtime) {
    let bed = Bed::new(runtime);
    for name in ["a", "b"] {
        bed.secret(name, name.repeat(3).as_bytes());
    }
    bed.service("web", &["a"]);
    let data = tempfile::tempdir().unwrap();
    let bundle = bed.bundle("web").mounting("/data", "bind", data.path().to_str().unwrap(), &["bind"]);
    let container = start(&bed, &bundle);
    let refused = bed.cli(&["service", "update", "web", "--secret-rm", "a", "--secret-add", "source=b,target=/data"]);
    assert!(testbed::words(&refused).contains("/data"), "{}", testbed::words(&refused));
    assert!(!container.try_exec(&["cat", "/run/secrets/a"]).status.success(), "the revocation was not held up");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

fn a_mount_below_the_directory_stays(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("a", b"aaa");
    bed.service("web", &["source=a,target=/etc/app/a"]);
    let account = tempfile::tempdir().unwrap();
    std::fs::write(account.path().join("token"), "theirs").unwrap();
    let place = "/run/secrets/kubernetes.io/serviceaccount";
    let bundle = bed.bundle("web").mounting(place, "bind", account.path().to_str().unwrap(), &["bind", "ro"]);
    let container = start(&bed, &bundle);
    update(&bed, &["--secret-add", "a"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/a", &format!("{place}/token")]), "aaatheirs");
    update(&bed, &["--secret-add", "source=a,target=second"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/second", &format!("{place}/token")]), "aaatheirs");
}

/// How a bundle of some kind is made of a plain one.
type Kind = fn(Bundle) -> Bundle;

/// What is the same for all; a root that is read-only has the mount points that were made for it, and gets no other.
fn every_kind_of_container_is_changed_by_every_agent(runtime: Runtime) {
    let mut bed = Bed::new(runtime);
    for name in ["a", "b"] {
        bed.secret(name, name.repeat(3).as_bytes());
    }
    bed.service("web", &["a", "source=a,target=/etc/app/a"]);
    let kinds: [(&str, Kind); 4] = [
        ("plain", |bundle| bundle),
        ("read-only", Bundle::read_only),
        ("in a user namespace", Bundle::in_user_namespace),
        ("among the host's processes", |bundle| bundle.sharing("pid")),
    ];
    let containers = kinds.map(|(kind, made)| (kind, bed.start(&made(bed.bundle("web")))));
    bed.eventually("all are noted", || bed.agent.log.text().matches("delivered").count() == kinds.len());
    for value in ["second", "third"] {
        bed.cli_given(&["secret", "update", "a", "-"], value.as_bytes());
        update(&bed, &["--secret-add", "b"]);
        let refused = bed.cli(&["service", "update", "web", "--secret-add", "source=b,target=/etc/app/b"]);
        let said = testbed::words(&refused);
        assert!(said.contains("cannot make the mount point '/etc/app/b'") && said.contains("1 of the files"), "{said}");
        for (kind, container) in &containers {
            let seen = container.exec(&["cat", "/run/secrets/a", "/etc/app/a", "/run/secrets/b"]);
            assert_eq!(seen, format!("{value}{value}bbb"), "{kind}");
            let single = container.try_exec(&["cat", "/etc/app/b"]);
            assert_eq!(single.status.success(), *kind != "read-only", "{kind}: {}", testbed::words(&single));
        }
        let open = containers.each_ref().map(|(_, it)| File::open(seen(it, "/run/secrets/b")).unwrap());
        update(&bed, &["--secret-rm", "b"]);
        for ((kind, container), open) in containers.iter().zip(open) {
            assert_eq!(open.metadata().unwrap().len(), 0, "{kind}");
            assert_eq!(
                container.exec(&["ls", "/run/secrets", "/etc/app"]),
                "/etc/app:\na\n\n/run/secrets:\na\n",
                "{kind}"
            );
        }
        drop(bed.agent);
        bed.agent = bed.place.start();
    }
    containers.into_iter().for_each(|(_, container)| container.stop());
    bed.holds_nothing();
}
