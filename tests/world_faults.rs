//! Faults of the world around the agent: each is said, with what failed, on what and what to do; what is stored and what runs
//! is kept; and it goes on without a restart as soon as the world is in order again, wherever that is possible.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "world_faults/memory.rs"]
mod memory;
#[path = "world_faults/memory_group.rs"]
mod memory_group;
#[path = "world_faults/mounted.rs"]
mod mounted;
mod testbed;

use std::process::{Command, Output};

use memory::{the_memory_group_is_full, the_memory_group_is_full_at_a_start};
use mounted::Mounted;
use testbed::running_agent::Place;
use testbed::{Bed, Container, Runtime, program, words};

on_each_runtime!(
    removed_sockets_are_made_anew,
    a_removed_run_directory_is_made_anew,
    what_is_in_a_sockets_place_is_said_and_left_alone,
    a_full_disk_refuses_changes_and_loses_nothing,
    an_immutable_store_refuses_changes_and_loses_nothing,
    a_file_system_that_went_read_only_refuses_changes,
    a_removed_state_directory_refuses_changes,
    a_full_run_directory_refuses_deliveries,
    no_descriptors_are_left,
    no_memory_is_left,
    the_memory_group_is_full,
    the_memory_group_is_full_at_a_start,
    the_clock_jumps,
);

const NAME: &str = "key";

/// A bed with a running container that has the value `first`.
fn running(runtime: Runtime) -> (Bed, Container) {
    started(Bed::new(runtime))
}

fn started(bed: Bed) -> (Bed, Container) {
    bed.secret(NAME, b"first");
    bed.service("web", &[NAME, "source=key,target=/etc/app/key"]);
    let container = bed.start(&bed.bundle("web"));
    (bed, container)
}

fn place_with_agent(runtime: Runtime, place: Place) -> Bed {
    let agent = place.start();
    Bed { runtime, place, agent }
}

fn has(container: &Container, value: &str) {
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), value.repeat(2));
}

/// A change, by the CLI: none may hang or go through in silence.
fn update(bed: &Bed, value: &str) -> Output {
    let file = bed.place.path("new-value");
    std::fs::write(&file, value).unwrap();
    bed.cli(&["secret", "update", NAME, file.to_str().unwrap()])
}

fn updated(bed: &Bed, value: &str) {
    let output = update(bed, value);
    assert!(output.status.success(), "{}\n{}", words(&output), bed.agent.log.text());
}

/// Must fail, with each of `parts` in its words.
fn refused(output: &Output, parts: &[&str]) {
    let said = words(output);
    assert!(!output.status.success(), "{said}");
    for part in parts {
        assert!(said.contains(part), "no '{part}' in: {said}");
    }
}

fn answers(bed: &Bed) -> bool {
    bed.cli(&["ps"]).status.success()
}

fn removed_sockets_are_made_anew(runtime: Runtime) {
    let (mut bed, container) = running(runtime);
    for round in 0..3 {
        for socket in [bed.place.admin(), bed.place.hook()] {
            std::fs::remove_file(&socket).unwrap();
            bed.eventually("the socket is there again", || socket.exists());
        }
        bed.eventually("the CLI is answered", || answers(&bed));
        updated(&bed, &format!("round {round}"));
        has(&container, &format!("round {round}"));
        let another = bed.start(&bed.bundle("web"));
        has(&another, &format!("round {round}"));
        another.stop();
    }
    assert!(bed.agent.log.text().contains("somebody has removed the socket: made it anew"));
    assert!(bed.agent.stop().success());
    assert!(!bed.place.admin().exists() && !bed.place.hook().exists(), "names are taken away at the end");
}

fn a_removed_run_directory_is_made_anew(runtime: Runtime) {
    let (mut bed, container) = running(runtime);
    // The agent may be writing there meanwhile: then it is not empty in the end.
    bed.eventually("it is removed", || std::fs::remove_dir_all(bed.place.run()).is_ok());
    bed.eventually("the CLI is answered", || answers(&bed));
    bed.agent.log.wait_for("somebody has removed the run directory: made it anew");
    updated(&bed, "second");
    has(&container, "second");
    let another = bed.start(&bed.bundle("web"));
    has(&another, "second");
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    bed.agent = bed.place.start();
    updated(&bed, "third");
    has(&container, "third");
    has(&another, "third");
    container.stop();
    another.stop();
    bed.holds_nothing();
}

fn what_is_in_a_sockets_place_is_said_and_left_alone(runtime: Runtime) {
    let (bed, container) = running(runtime);
    let foreign = bed.place.path("foreign");
    std::fs::write(&foreign, "theirs").unwrap();
    std::fs::rename(&foreign, bed.place.admin()).unwrap();
    bed.agent.log.wait_for("is there and is no socket of ours");
    assert_eq!(std::fs::read_to_string(bed.place.admin()).unwrap(), "theirs");
    has(&container, "first");
    has(&bed.start(&bed.bundle("web")), "first");
    std::fs::remove_file(bed.place.admin()).unwrap();
    bed.eventually("the CLI is answered", || answers(&bed));
    updated(&bed, "second");
    has(&container, "second");
}

/// A bed whose state directory is a file system of its own.
fn on_a_file_system(runtime: Runtime, make: impl FnOnce(&Place) -> Mounted) -> (Mounted, Bed, Container) {
    let place = Place::new();
    let mounted = make(&place);
    let (bed, container) = started(place_with_agent(runtime, place));
    (mounted, bed, container)
}

fn a_full_disk_refuses_changes_and_loses_nothing(runtime: Runtime) {
    let make = |place: &Place| Mounted::tmpfs(&place.state(), 0o700, "8m");
    let (disk, mut bed, container) = on_a_file_system(runtime, make);
    disk.fill();
    let large = "x".repeat(400_000);
    let output = update(&bed, &large);
    refused(&output, &["store.redb", "No space left on device", "free some space and try again"]);
    let answer = bed.agent.post("/secrets/create", &serde_json::json!({"Name": "other", "Data": "eA=="}));
    assert_eq!(answer.status, 507, "{answer:?}");
    // What is stored can be delivered, and what runs has what it had.
    has(&container, "first");
    has(&bed.start(&bed.bundle("web")), "first");
    assert!(bed.cli_ok(&["secret", "history", NAME]).contains('1'));
    disk.clear();
    updated(&bed, &large);
    has(&container, &large);
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    bed.agent = bed.place.start();
    has(&bed.start(&bed.bundle("web")), &large);
}

fn an_immutable_store_refuses_changes_and_loses_nothing(runtime: Runtime) {
    let make = |place: &Place| Mounted::ext4(&place.state(), &place.path("disk"));
    let (_disk, bed, container) = on_a_file_system(runtime, make);
    let store = bed.place.state().join("store.redb");
    let mark = |flag: &str| {
        let output = Command::new(program("chattr", "e2fsprogs")).arg(flag).arg(&store).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    };
    mark("+i");
    refused(&update(&bed, "second"), &["store.redb", "Operation not permitted", "chattr -i"]);
    has(&container, "first");
    has(&bed.start(&bed.bundle("web")), "first");
    mark("-i");
    updated(&bed, "third");
    has(&container, "third");
}

fn a_file_system_that_went_read_only_refuses_changes(runtime: Runtime) {
    let make = |place: &Place| Mounted::ext4(&place.state(), &place.path("disk"));
    let (mut disk, mut bed, container) = on_a_file_system(runtime, make);
    disk.fail();
    refused(&update(&bed, "second"), &["store.redb", "Read-only file system", "make its file system writable"]);
    has(&container, "first");
    has(&bed.start(&bed.bundle("web")), "first");
    // Only an unmounted file system is writable again: this one needs a new agent.
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    disk.mount_repaired();
    bed.agent = bed.place.start();
    updated(&bed, "third");
    has(&container, "third");
}

fn a_removed_state_directory_refuses_changes(runtime: Runtime) {
    let (bed, container) = running(runtime);
    let aside = bed.place.path("aside");
    std::fs::rename(bed.place.state(), &aside).unwrap();
    refused(&update(&bed, "second"), &["store.redb has been removed or replaced", "put it back"]);
    has(&container, "first");
    has(&bed.start(&bed.bundle("web")), "first");
    std::fs::rename(&aside, bed.place.state()).unwrap();
    updated(&bed, "third");
    has(&container, "third");
}

fn a_full_run_directory_refuses_deliveries(runtime: Runtime) {
    let place = Place::new();
    let disk = Mounted::tmpfs(&place.run(), 0o711, "1m");
    let (bed, container) = started(place_with_agent(runtime, place));
    disk.fill();
    let said = "make room in the agent's run directory";
    refused(&update(&bed, "second"), &["No space left on device", said]);
    has(&container, "first");
    bed.refuse_start(&bed.bundle("web"), said);
    assert_eq!(
        bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().len(),
        1,
        "nothing is left of the refused one"
    );
    disk.clear();
    updated(&bed, "third");
    has(&container, "third");
    has(&bed.start(&bed.bundle("web")), "third");
}

fn no_descriptors_are_left(runtime: Runtime) {
    let (bed, container) = running(runtime);
    let open = std::fs::read_dir(format!("/proc/{}/fd", bed.agent.pid())).unwrap().count();
    limit(&bed, &format!("--nofile={}:", open + 1));
    let error = bed.try_start(&bed.bundle("web")).map(drop).unwrap_err();
    assert!(["Too many open files", "too many open files"].iter().any(|said| error.contains(said)), "{error}");
    has(&container, "first");
    // Now not even a connection can be accepted: idle ones have taken what is left.
    let idle: Vec<_> = (0..10).map(|_| bed.agent.connect()).collect();
    let said = "the agent has too many open files to answer";
    bed.eventually("the CLI is told", || words(&bed.cli(&["ps"])).contains(said));
    // Threads that wait for a hook have the descriptor of its connection in advance, but none for what comes over it.
    let error = bed.try_start(&bed.bundle("web")).map(drop).unwrap_err();
    assert!(error.contains("too many open files") && error.contains("LimitNOFILE"), "{error}");
    has(&container, "first");
    drop(idle);
    limit(&bed, "--nofile=4096:");
    bed.eventually("the CLI is answered", || answers(&bed));
    updated(&bed, "second");
    has(&container, "second");
    has(&bed.start(&bed.bundle("web")), "second");
}

/// Without memory a program of ours ends: its supervisor starts it again, and nothing is lost.
fn no_memory_is_left(runtime: Runtime) {
    let (mut bed, container) = running(runtime);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bed.agent.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    limit(&bed, &format!("--as={}", kib * 1024));
    let large = "x".repeat(500_000);
    let output = update(&bed, &large);
    let whole = |container: &Container| {
        for path in ["/run/secrets/key", "/etc/app/key"] {
            let value = container.exec(&["cat", path]);
            // Of a change that was not acknowledged it is not said whether it was made.
            assert!(value == large || (value == "first" && !output.status.success()), "{} bytes", value.len());
        }
    };
    whole(&container);
    let _ = bed.agent.child.kill();
    bed.agent.child.wait().unwrap();
    whole(&container);
    bed.agent = bed.place.start();
    updated(&bed, "third");
    has(&container, "third");
}

fn limit(bed: &Bed, what: &str) {
    let mut command = Command::new(program("prlimit", "util-linux"));
    let output = command.arg(format!("--pid={}", bed.agent.pid())).arg(what).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
}

fn the_clock_jumps(runtime: Runtime) {
    let place = Place::new();
    let (clock, fresh) = (place.path("clock"), place.path("clock.new"));
    let set = |offset: &str| {
        std::fs::write(&fresh, offset).unwrap();
        std::fs::rename(&fresh, &clock).unwrap();
    };
    set("+0s");
    let mut command = place.command();
    command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    // The kernel's monotonic clock does not jump either.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let agent = place.start_with(&mut command);
    let (bed, container) = started(Bed { runtime, place, agent });
    let year = || {
        let info: serde_json::Value = serde_json::from_str(&bed.cli_ok(&["secret", "inspect", NAME])).unwrap();
        info[0]["UpdatedAt"].as_str().unwrap()[..4].parse::<i32>().unwrap()
    };
    let now = year();
    for (round, (offset, years)) in [("+10y", 10), ("-10y", -10), ("+0s", 0)].into_iter().enumerate() {
        set(offset);
        let value = format!("round {round}");
        updated(&bed, &value);
        has(&container, &value);
        assert!((year() - now - years).abs() <= 1, "the agent's clock has not jumped: {} after {now}", year());
        let another = bed.start(&bed.bundle("web"));
        has(&another, &value);
        assert_eq!(bed.cli_ok(&["ps"]).lines().count(), 3);
        another.stop();
    }
    // The order of versions is that of their numbers.
    bed.cli_ok(&["secret", "rollback", NAME]);
    has(&container, "round 1");
    container.stop();
    bed.holds_nothing();
}

/// The library that faketime(1) puts before a program.
fn faketime() -> String {
    let mut command = Command::new(program("faketime", "faketime"));
    let output = command.args(["-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
