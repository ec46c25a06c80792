//! Grants and revocations in containers that run: both kinds of target, with what has to be mounted and taken off for it.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;

use testbed::{Bed, Container, Runtime};

on_each_runtime!(
    a_grant_reaches_a_running_container,
    a_revocation_reaches_files_that_are_open,
    the_first_secret_of_a_running_container_brings_its_directory,
    a_target_can_change_its_secret_without_a_gap,
    removing_a_service_empties_its_containers,
    owners_by_name_are_the_containers_own,
    a_new_agent_grants_and_revokes_in_what_an_earlier_one_delivered,
    what_is_not_live_comes_with_the_next_start,
    a_target_that_is_taken_is_named_and_the_rest_goes_on,
    a_mount_below_the_directory_stays,
);

fn bed(runtime: Runtime, grants: &[&str]) -> (Bed, Container) {
    let bed = Bed::new(runtime);
    for name in ["a", "b"] {
        bed.secret(name, name.repeat(3).as_bytes());
    }
    bed.service("web", grants);
    let container = bed.start(&bed.bundle("web"));
    (bed, container)
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
    assert!(bed.cli_ok(&["ps"]).contains("a:1,b:1,b:1,a:1"), "{}", bed.cli_ok(&["ps"]));
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

fn owners_by_name_are_the_containers_own(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("a", b"aaa");
    bed.service("web", &["a"]);
    let bundle = bed.bundle("web").in_user_namespace();
    std::fs::write(bundle.rootfs.path("etc/passwd"), "app:x:33:34::/:/bin/sh\n").unwrap();
    std::fs::write(bundle.rootfs.path("etc/group"), "app:x:35:\n").unwrap();
    let container = bed.start(&bundle);
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
    let container = bed.start(&bundle);
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
    let container = bed.start(&bundle);
    update(&bed, &["--secret-add", "a"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/a", &format!("{place}/token")]), "aaatheirs");
    update(&bed, &["--secret-add", "source=a,target=second"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/second", &format!("{place}/token")]), "aaatheirs");
}
