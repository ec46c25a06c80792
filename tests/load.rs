//! Many containers at one time: no start and no stop fails, each has what it was granted, and the agent holds nothing of
//! them when they are gone. How long it takes is in `benches/load.rs`.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::running_agent::{Place, base64};
use testbed::{Bed, Fleet, Runtime, program};

on_each_runtime!(
    a_hundred_start_and_stop_at_one_time,
    two_changes_meet_in_all_containers,
    what_starts_and_changes_at_one_time_stays_on_record,
    all_changes_that_were_under_way_are_finished_by_the_next_agent,
    what_the_agent_has_no_descriptors_for_is_refused_in_words,
);

/// Containers that start at one time.
const CONTAINERS: usize = 100;
/// Secrets of each.
const SECRETS: usize = 10;
/// Containers that are changed by two at one time, and how often by each.
const CHANGED: usize = 10;
const CHANGES: usize = 30;
/// Containers that start while others change.
const STARTED: usize = 16;

fn value(secret: usize) -> String {
    format!("value of {secret}").repeat(100 * secret + 1)
}

/// A service `web` of ten secrets, `s0` to `s9`, and where they are.
fn ten_secrets(bed: &Bed) -> Vec<String> {
    let grants: Vec<String> = (0..SECRETS).map(|secret| format!("s{secret}")).collect();
    for (secret, name) in grants.iter().enumerate() {
        bed.secret(name, value(secret).as_bytes());
    }
    bed.service("web", &grants.iter().map(String::as_str).collect::<Vec<_>>());
    grants.iter().map(|name| format!("/run/secrets/{name}")).collect()
}

/// What the agent has open, and how many mounts it sees.
fn possessions(bed: &Bed) -> (Vec<String>, usize) {
    let process = PathBuf::from(format!("/proc/{}", bed.agent.pid()));
    let links = std::fs::read_dir(process.join("fd")).unwrap().map(|entry| std::fs::read_link(entry.unwrap().path()));
    // One that is closed meanwhile is none.
    let mut open: Vec<String> = links.flatten().map(|link| link.to_string_lossy().into_owned()).collect();
    open.sort();
    (open, std::fs::read_to_string(process.join("mountinfo")).unwrap().lines().count())
}

fn a_hundred_start_and_stop_at_one_time(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let targets = ten_secrets(&bed);
    let mut fleet = Fleet::new(runtime, false, &Fleet::bundle(&[]).hooked(&bed.place.run()).claiming("web"));
    let before = possessions_after_one(&bed, &mut fleet);

    assert_eq!(fleet.start(CONTAINERS, CONTAINERS), [""; 0], "{}", bed.agent.log.text());
    // A start does not wait until the agent has noted it.
    let listed = || bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().len();
    bed.eventually("all are listed", || listed() == CONTAINERS);
    for (secret, target) in targets.iter().enumerate() {
        let seen = fleet.seen(target);
        assert_eq!(seen.len(), CONTAINERS);
        for path in seen {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), value(secret), "{}", path.display());
        }
    }
    let open: Vec<File> = fleet.seen(&targets[3]).iter().map(|path| File::open(path).unwrap()).collect();
    assert_eq!(fleet.stop(CONTAINERS), [""; 0], "{}", bed.agent.log.text());
    bed.holds_nothing();
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0), "what is still open is not emptied");
    lets_go(&bed, &before);
}

/// What the agent has when one container of `fleet`, the first, has come and gone: it opens what stays open.
fn possessions_after_one(bed: &Bed, fleet: &mut Fleet) -> (Vec<String>, usize) {
    assert_eq!(fleet.start(1, 1), [""; 0]);
    assert_eq!(fleet.stop(1), [""; 0]);
    bed.holds_nothing();
    bed.eventually("its end has been seen", || !possessions(bed).0.iter().any(|open| open.contains("pidfd")));
    possessions(bed)
}

/// Waits until the agent has no more than it had `before`. It may have less: a connection that was about to end then has
/// ended since.
fn lets_go(bed: &Bed, before: &(Vec<String>, usize)) {
    let count = |all: &[String], one: &String| all.iter().filter(|open| *open == one).count();
    bed.eventually("the agent has let go of everything", || {
        let (open, mounts) = possessions(bed);
        mounts <= before.1 && open.iter().all(|one| count(&open, one) <= count(&before.0, one))
    });
}

fn two_changes_meet_in_all_containers(runtime: Runtime) {
    let bed = Bed::new(runtime);
    for name in ["a", "b"] {
        bed.secret(name, b"0");
    }
    bed.service("web", &["source=a,target=a", "source=b,target=/etc/load/b"]);
    let targets = ["/run/secrets/a", "/etc/load/b"];
    let bundle = Fleet::bundle(&targets).hooked(&bed.place.run()).claiming("web");
    let mut fleet = Fleet::new(runtime, false, &bundle);
    assert_eq!(fleet.start(CHANGED, CHANGED), [""; 0]);
    // One that has not been noted yet gets what changes by itself, and is not among those that a change tells of.
    bed.eventually("all are listed", || bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().len() == CHANGED);
    let (agent, seen) = (&bed.agent, targets.map(|target| fleet.seen(target)));
    let change = &|secret: &str, seen: &[PathBuf]| {
        for number in 1..=CHANGES {
            let body = serde_json::json!({"Data": base64(number.to_string().as_bytes())});
            let answer = agent.post(&format!("/runsecrets/v1/secrets/{secret}/update"), &body);
            assert_eq!(answer.status, 200, "{}", answer.body);
            let outcomes = answer.json()["Containers"].as_array().unwrap().clone();
            assert_eq!(outcomes.len(), CHANGED, "{}", answer.body);
            assert!(outcomes.iter().all(|outcome| outcome["Failure"].is_null()), "{}", answer.body);
            // Every container has it when the answer is there, whatever else is done to it meanwhile.
            for path in seen {
                assert_eq!(std::fs::read_to_string(path).unwrap(), number.to_string(), "{}", path.display());
            }
        }
    };
    std::thread::scope(|scope| {
        let both = [("a", &seen[0]), ("b", &seen[1])].map(|(secret, seen)| scope.spawn(move || change(secret, seen)));
        both.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(fleet.stop(CHANGED), [""; 0]);
    bed.holds_nothing();
}

/// What a later agent finds again is what is on record, also where starts and changes met in a container.
fn what_starts_and_changes_at_one_time_stays_on_record(runtime: Runtime) {
    let mut bed = Bed::new(runtime);
    bed.secret("a", b"0");
    bed.service("web", &["a"]);
    // Of another service: nothing is done, and containers are taken in hand all the same.
    bed.service("idle", &[]);
    let mut fleet = Fleet::new(runtime, false, &Fleet::bundle(&[]).hooked(&bed.place.run()).claiming("web"));
    let stop = AtomicBool::new(false);
    let started = std::thread::scope(|scope| {
        let (agent, stop) = (&bed.agent, &stop);
        let change = move |turn: usize| {
            for number in (turn..).step_by(2).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let label = serde_json::json!({"LabelAdd": {"n": number.to_string()}});
                for service in ["web", "idle"] {
                    assert_eq!(agent.post(&format!("/runsecrets/v1/services/{service}/update"), &label).status, 200);
                }
                let body = serde_json::json!({"Data": base64(number.to_string().as_bytes())});
                assert_eq!(agent.post("/runsecrets/v1/secrets/a/update", &body).status, 200);
            }
        };
        (0..2).for_each(|turn| drop(scope.spawn(move || change(turn))));
        let started = fleet.start(STARTED, 8);
        stop.store(true, Ordering::Relaxed);
        started
    });
    assert_eq!(started, [""; 0], "{}", bed.agent.log.text());
    let listed = |bed: &Bed| bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().len();
    bed.eventually("all are listed", || listed(&bed) == STARTED);
    // One that changes something and others that find nothing to do, in the same containers.
    for round in 0..CHANGES {
        std::thread::scope(|scope| {
            let agent = &bed.agent;
            let label = serde_json::json!({"LabelAdd": {"round": round.to_string()}});
            scope.spawn(move || assert_eq!(agent.post("/runsecrets/v1/services/web/update", &label).status, 200));
            for _ in 0..4 {
                let body = serde_json::json!({"Data": base64(b"same")});
                scope.spawn(move || {
                    for _ in 0..4 {
                        assert_eq!(agent.post("/runsecrets/v1/secrets/a/update", &body).status, 200);
                    }
                });
            }
        });
        let records = std::fs::read_dir(bed.place.run().join("containers")).unwrap().count();
        assert_eq!(records, STARTED, "round {round}");
    }
    drop(bed.agent);
    bed.agent = bed.place.start();
    assert_eq!(listed(&bed), STARTED, "{}", bed.agent.log.text());
    bed.cli_given(&["secret", "update", "a", "-"], b"last");
    for path in fleet.seen("/run/secrets/a") {
        assert_eq!(std::fs::read(&path).unwrap(), b"last", "{}", path.display());
    }
    assert_eq!(fleet.stop(8), [""; 0]);
    bed.holds_nothing();
}

fn all_changes_that_were_under_way_are_finished_by_the_next_agent(runtime: Runtime) {
    let mut bed = Bed::new(runtime);
    for name in ["a", "b"] {
        bed.secret(name, b"old");
    }
    bed.service("web", &["a", "b"]);
    let container = bed.start(&bed.bundle("web"));
    // As two changes leave it whose agent was killed between the store and the containers.
    for name in ["a", "b"] {
        bed.cli_given(&["secret", "update", "--live=false", name, "-"], b"new");
    }
    assert_eq!(container.exec(&["cat", "/run/secrets/a", "/run/secrets/b"]), "oldold");
    let notes = ["a", "b"].map(|name| {
        let id = bed.agent.get(&format!("/secrets/{name}")).json()["ID"].clone();
        (bed.place.run().join(format!("change-{}.json", if name == "a" { 0 } else { 7 })), id)
    });
    bed.agent.signal(nix::sys::signal::Signal::SIGKILL);
    bed.agent.child.wait().unwrap();
    for (note, id) in &notes {
        std::fs::write(note, serde_json::json!({"Secrets": [id]}).to_string()).unwrap();
    }
    bed.agent = bed.place.start();
    assert_eq!(container.exec(&["cat", "/run/secrets/a", "/run/secrets/b"]), "newnew");
    assert!(notes.iter().all(|(note, _)| !note.exists()), "a note was left");
}

fn what_the_agent_has_no_descriptors_for_is_refused_in_words(runtime: Runtime) {
    let place = Place::new();
    let mut command = Command::new(program("prlimit", "util-linux"));
    let agent = place.command();
    command.env_clear().arg("--nofile=256:256").arg(agent.get_program()).args(agent.get_args());
    let agent = place.start_with(&mut command);
    let bed = Bed { runtime, place, agent };
    ten_secrets(&bed);
    let mut fleet = Fleet::new(runtime, false, &Fleet::bundle(&[]).hooked(&bed.place.run()).claiming("web"));
    let before = possessions_after_one(&bed, &mut fleet);
    let mut tried = 0;
    let refused = loop {
        tried += 8;
        match fleet.start(8, 8).pop() {
            None => assert!(tried < 256, "every container takes a descriptor"),
            Some(words) => break words,
        }
    };
    assert!(
        refused.contains("the agent may have 256 files open, which is not enough for one more container"),
        "{refused}"
    );
    assert!(tried > 40, "{tried}: two descriptors are enough for one");
    // What was there goes on, as a change shows, and there is room again when they are gone.
    bed.cli_given(&["secret", "update", "s0", "-"], b"another");
    assert_eq!(std::fs::read(&fleet.seen("/run/secrets/s0")[0]).unwrap(), b"another");
    assert_eq!(fleet.stop(8), [""; 0]);
    bed.holds_nothing();
    lets_go(&bed, &before);
    // Half of them, as what a start takes for a moment differs from one to the next; none would fit beside what was there.
    assert_eq!(fleet.start(tried / 2, 8), [""; 0]);
}
