//! New versions in containers that run: seen at once, whole, by whoever reads by path; and what is left of the old ones.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::running_agent::base64;
use testbed::{Bed, Container, Runtime};

on_each_runtime!(
    readers_see_old_or_new_and_never_anything_else,
    a_new_version_is_there_when_the_command_returns,
    an_earlier_version_comes_back,
    a_new_agent_rotates_what_an_earlier_one_delivered,
    the_old_version_is_emptied_where_it_is_still_open,
    an_agent_that_ends_leaves_no_old_version,
    a_value_may_grow_to_the_limit,
    what_is_not_live_comes_with_the_next_start,
    a_container_that_has_covered_its_secret_is_named,
);

const TARGETS: [&str; 2] = ["/run/secrets/key", "/etc/app/key"];
/// How often a value is replaced under the eyes of readers.
const ROTATIONS: usize = 1000;

fn bed(runtime: Runtime) -> (Bed, Container) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"first");
    bed.service("web", &["key", "source=key,target=/etc/app/key,uid=7,gid=8,mode=0440"]);
    let container = bed.start(&bed.bundle("web"));
    // What changes before it is noted, a delivery sees to by itself, and no change tells of it.
    bed.agent.log.wait_for("delivered");
    (bed, container)
}

/// The path by which the host's processes see `target` as the container does.
fn seen(container: &Container, target: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{target}", container.pid()))
}

/// Every byte the same, and its length tells which one: a mix of two values is neither.
fn value(number: usize) -> Vec<u8> {
    vec![b'a' + u8::try_from(number % 26).unwrap(); 5000 + number % 26]
}

fn readers_see_old_or_new_and_never_anything_else(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    let update = |value: &[u8]| {
        let body = serde_json::json!({"Data": base64(value)});
        let answer = bed.agent.post("/runsecrets/v1/secrets/key/update", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["Containers"].as_array().unwrap().len(), 2, "{}", answer.body);
    };
    update(&value(0));
    let stop = AtomicBool::new(false);
    let paths = TARGETS.map(|target| seen(&container, target));
    let (reads, values) = std::thread::scope(|scope| {
        let read = |path: &PathBuf| {
            let (mut reads, mut values) = (0_usize, BTreeSet::new());
            while !stop.load(Ordering::Relaxed) {
                let found = std::fs::read(path).unwrap_or_else(|error| panic!("a gap at {}: {error}", path.display()));
                let first = found.first().copied().unwrap_or(0);
                assert!(found.iter().all(|byte| *byte == first), "two values in one");
                assert_eq!(found.len(), 5000 + usize::from(first - b'a'), "a part of a value");
                reads += 1;
                values.insert(first);
            }
            (reads, values.len())
        };
        let readers = paths.each_ref().map(|path| scope.spawn(move || read(path)));
        (1..=ROTATIONS).for_each(|number| update(&value(number)));
        stop.store(true, Ordering::Relaxed);
        let done = readers.map(|reader| reader.join().unwrap());
        (done.map(|(reads, _)| reads), done.map(|(_, values)| values))
    });
    assert!(reads.iter().all(|reads| *reads > ROTATIONS / 2), "{reads:?}");
    assert_eq!(values, [26, 26], "every value was seen at some time");
    for path in &paths {
        assert_eq!(std::fs::read(path).unwrap(), value(ROTATIONS));
    }
    // As many mounts as before: none is stacked on another.
    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    assert_eq!(mounts.lines().filter(|line| line.contains(" /etc/app/key ")).count(), 1, "{mounts}");
    container.stop();
    bed.holds_nothing();
}

fn a_new_version_is_there_when_the_command_returns(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    assert_eq!(bed.cli_given(&["secret", "update", "key", "-"], b"second"), "key\n");
    for target in TARGETS {
        assert_eq!(container.exec(&["cat", target]), "second");
    }
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/etc/app/key"]), "7:8 440\n");
    assert!(!container.try_exec(&["sh", "-c", "echo x > /etc/app/key"]).status.success());
    let ps = bed.agent.get("/runsecrets/v1/ps").json();
    let versions: Vec<_> = ps[0]["Secrets"].as_array().unwrap().iter().map(|secret| &secret["Version"]).collect();
    assert_eq!(versions, [2, 2]);
    // The same value again is no new version.
    bed.cli_given(&["secret", "update", "key", "-"], b"second");
    assert_eq!(bed.cli_ok(&["secret", "history", "--quiet", "key"]), "2\n1\n");
    assert_eq!(container.exec(&["ls", "-A", "/run/secrets"]), "key\n");
}

fn an_earlier_version_comes_back(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    for value in [&b"second"[..], b"third", b"fourth"] {
        bed.cli_given(&["secret", "update", "key", "-"], value);
    }
    // Three are kept; the first one is gone for good.
    assert_eq!(bed.cli_ok(&["secret", "history", "--quiet", "key"]), "4\n3\n2\n");
    bed.cli_ok(&["secret", "rollback", "key"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "thirdthird");
    let history = bed.cli_ok(&["secret", "history", "--format", "{{.Version}}{{.Current}}{{.From}}", "key"]);
    assert_eq!(history, "5*3\n4\n3\n");
    bed.cli_ok(&["secret", "rollback", "--to", "4", "key"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "fourth");
    let refused = bed.cli(&["secret", "rollback", "--to", "1", "key"]);
    assert!(testbed::words(&refused).contains("has no earlier version 1"), "{}", testbed::words(&refused));
}

fn a_new_agent_rotates_what_an_earlier_one_delivered(runtime: Runtime) {
    let (mut bed, container) = bed(runtime);
    drop(bed.agent);
    bed.agent = bed.place.start();
    bed.cli_given(&["secret", "update", "key", "-"], b"second");
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "secondsecond");
    bed.cli_given(&["secret", "update", "key", "-"], b"third");
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "thirdthird");
    // And the next one, what that one has put there.
    drop(bed.agent);
    bed.agent = bed.place.start();
    bed.cli_given(&["secret", "update", "key", "-"], b"fourth");
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "fourthfourth");
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/etc/app/key"]), "7:8 440\n");
    let open = TARGETS.map(|target| File::open(seen(&container, target)).unwrap());
    container.stop();
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
    bed.holds_nothing();
}

fn the_old_version_is_emptied_where_it_is_still_open(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    let mut open = TARGETS.map(|target| File::open(seen(&container, target)).unwrap());
    bed.cli_given(&["secret", "update", "key", "-"], b"second");
    for file in &mut open {
        // Whoever was reading reads to the end.
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
    }
    bed.eventually("the old version is emptied", || open.iter().all(|file| file.metadata().unwrap().len() == 0));
    let open = TARGETS.map(|target| File::open(seen(&container, target)).unwrap());
    bed.cli_given(&["secret", "update", "key", "-"], b"third");
    // The end of the container does not wait for that.
    container.stop();
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
}

/// Also where the next agent could not know of it.
fn an_agent_that_ends_leaves_no_old_version(runtime: Runtime) {
    let (mut bed, container) = bed(runtime);
    let open = TARGETS.map(|target| File::open(seen(&container, target)).unwrap());
    bed.cli_given(&["secret", "update", "key", "-"], b"second");
    assert!(bed.agent.stop().success());
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0));
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "secondsecond");
}

fn a_value_may_grow_to_the_limit(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    for size in [100_000, 511_999, 3, 511_999] {
        bed.cli_given(&["secret", "update", "key", "-"], &vec![b'x'; size]);
        for target in TARGETS {
            assert_eq!(container.exec(&["stat", "-c", "%s", target]), format!("{size}\n"));
        }
    }
}

fn what_is_not_live_comes_with_the_next_start(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    bed.cli_given(&["secret", "update", "--live=false", "key", "-"], b"second");
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "firstfirst");
    container.stop();
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "secondsecond");
}

fn a_container_that_has_covered_its_secret_is_named(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    let pid = container.pid().to_string();
    let mut umount = Command::new("nsenter");
    umount.args(["--target", &pid, "--mount", "umount", "/etc/app/key"]);
    assert!(testbed::running_agent::run(&mut umount, "util-linux").status.success());
    let body = serde_json::json!({"Data": base64(b"second")});
    let answer = bed.agent.post("/runsecrets/v1/secrets/key/update", &body).json();
    let failures: Vec<_> = answer["Containers"].as_array().unwrap().iter().map(|it| !it["Failure"].is_null()).collect();
    assert_eq!(failures, [false, true], "{answer}");
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "second");
    let ps = bed.agent.get("/runsecrets/v1/ps").json();
    let versions: Vec<_> = ps[0]["Secrets"].as_array().unwrap().iter().map(|secret| &secret["Version"]).collect();
    assert_eq!(versions, [2, 1]);
}
