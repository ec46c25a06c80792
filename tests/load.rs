//! Many containers at one time: no start and no stop fails, each has what it was granted, and the agent holds nothing of
//! them when they are gone. How long it takes is in `benches/load.rs`.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::path::PathBuf;

use testbed::running_agent::base64;
use testbed::{Bed, Fleet, Runtime};

on_each_runtime!(a_hundred_start_and_stop_at_one_time, two_changes_meet_in_all_containers);

/// Containers that start at one time.
const CONTAINERS: usize = 100;
/// Secrets of each.
const SECRETS: usize = 10;
/// Containers that are changed by two at one time, and how often by each.
const CHANGED: usize = 10;
const CHANGES: usize = 30;

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
fn possessions(bed: &Bed) -> (usize, usize) {
    let process = PathBuf::from(format!("/proc/{}", bed.agent.pid()));
    let open = std::fs::read_dir(process.join("fd")).unwrap().count();
    (open, std::fs::read_to_string(process.join("mountinfo")).unwrap().lines().count())
}

fn a_hundred_start_and_stop_at_one_time(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let targets = ten_secrets(&bed);
    // The first one opens what stays open.
    let bundle = || Fleet::bundle(&[]).hooked(&bed.place.run()).claiming("web");
    let mut first = Fleet::new(runtime, false, &bundle());
    assert_eq!(first.start(1, 1), [""; 0]);
    assert_eq!(first.stop(1), [""; 0]);
    bed.holds_nothing();
    let before = possessions(&bed);

    let mut fleet = Fleet::new(runtime, false, &bundle());
    assert_eq!(fleet.start(CONTAINERS, CONTAINERS), [""; 0], "{}", bed.agent.log.text());
    assert_eq!(bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().len(), CONTAINERS);
    for (secret, target) in targets.iter().enumerate() {
        for path in fleet.seen(target) {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), value(secret), "{}", path.display());
        }
    }
    let open: Vec<File> = fleet.seen(&targets[3]).iter().map(|path| File::open(path).unwrap()).collect();
    assert_eq!(fleet.stop(CONTAINERS), [""; 0], "{}", bed.agent.log.text());
    bed.holds_nothing();
    assert!(open.iter().all(|file| file.metadata().unwrap().len() == 0), "what is still open is not emptied");
    bed.eventually("the agent has let go of everything", || possessions(&bed) == before);
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
