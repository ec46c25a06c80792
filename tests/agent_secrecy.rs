//! Where a value must not be found once it is stored: in the agent's memory, in its log, in its answers, in any file of the
//! state directory. And what was acknowledged must be found, however the agent ended.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod running_agent;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use running_agent::{Agent, LIMIT, Place, base64};
use serde_json::json;

/// Whether `wanted` stands anywhere in the memory of the process `pid`.
fn in_memory(pid: nix::unistd::Pid, wanted: &[u8]) -> bool {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with('r')).any(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|bound| u64::from_str_radix(bound, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // Some of the kernel's own mappings cannot be read.
        memory.read_exact_at(&mut bytes, start).is_ok() && bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

#[test]
fn a_value_does_not_stay_in_its_memory() {
    let place = Place::new();
    let agent = place.start();
    let value = b"0123-marker-4567-marker-89ab-marker-cdef";
    agent.create("db", &base64(value));
    assert!(in_memory(agent.pid(), place.state().as_os_str().as_bytes()), "the search finds nothing at all");
    // The answer is there before the connection's buffers are gone: look until they are.
    let deadline = Instant::now() + LIMIT;
    for left in [&value[8..32], &base64(value).as_bytes()[8..40]] {
        while in_memory(agent.pid(), left) {
            assert!(Instant::now() < deadline, "still in memory: {}", String::from_utf8_lossy(left));
        }
    }
}

#[test]
fn no_log_level_shows_a_value() {
    let place = Place::new();
    place.configure("[log]\nlevel = \"trace\"\n");
    let mut agent = place.start();
    let value = b"correct-horse-battery-staple";
    let text = base64(value);
    agent.create("db", &text);
    agent.post("/secrets/create", &json!({"Name": text, "Data": 7}));
    agent.request("POST", "/secrets/create", &format!("{{\"Name\":\"x\",\"Labels\":\"{text}\"}}"));
    agent.request("POST", "/secrets/create", &format!("{{\"Name\":\"x\",\"Data\":\"{text}"));
    let index = || agent.get("/secrets/db").json()["Version"]["Index"].to_string();
    let update = |data: &str| {
        let spec = json!({"Name": "db", "Data": data, "Labels": {"a": "b"}});
        agent.post(&format!("/secrets/db/update?version={}", index()), &spec).status
    };
    assert_eq!((update(&text), update(&base64(b"other"))), (200, 400));
    for path in ["/secrets", "/secrets/db", "/events?since=0&until=1"] {
        let answer = agent.get(path);
        assert!(!answer.body.contains(&text) && !answer.body.contains("Data"), "{path}");
    }
    agent.stop();
    agent.log.wait_for("SIGTERM");
    let log = agent.log.text();
    assert!(log.contains("secret create") && log.contains("POST /secrets/create"), "{log}");
    for shown in ["correct-horse", text.as_str(), &text[..text.len() - 4]] {
        assert!(!log.contains(shown), "{log}");
    }
}

#[test]
fn no_file_of_the_state_directory_shows_a_value_a_name_or_a_label() {
    let place = Place::new();
    let mut agent = place.start();
    let value = b"0123-marker-value-4567";
    let spec = json!({"Name": "marker-name", "Data": base64(value), "Labels": {"marker-key": "marker-label"}});
    assert_eq!(agent.post("/secrets/create", &spec).status, 201);
    let service = json!({"Name": "marker-service", "Secrets": [{"Source": "marker-name", "Target": "marker-target"}]});
    assert_eq!(agent.post("/runsecrets/v1/services/create", &service).status, 201);
    assert!(agent.stop().success());
    let mut files = 0;
    for entry in std::fs::read_dir(place.state()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        files += 1;
        for wanted in [&b"marker"[..], value, base64(value).as_bytes(), &base64(value).as_bytes()[4..]] {
            assert!(!bytes.windows(wanted.len()).any(|window| window == wanted), "{}", path.display());
        }
    }
    assert!(files >= 3, "{files} files: that is not a whole state directory");
}

/// Creates secrets, and removes every third one, until the agent is gone; what it acknowledged and nothing undid stays in
/// `there`, what it said is removed goes to `gone`.
fn work(
    agent: &Agent,
    round: u64,
    killed: &AtomicBool,
    done: &Sender<()>,
    there: &mut Vec<String>,
    gone: &mut Vec<String>,
) {
    let ask = |method: &str, path: &str, body: &str, status: u16| {
        let answer = agent.try_request(method, path, body);
        let done = answer.as_ref().is_some_and(|answer| answer.status == status);
        assert!(done || killed.load(Ordering::SeqCst), "{method} {path}: {answer:?}");
        done
    };
    for count in 0.. {
        let name = format!("s-{round}-{count}");
        let body = json!({"Name": name, "Data": base64(name.as_bytes())}).to_string();
        if !ask("POST", "/secrets/create", &body, 201) {
            return;
        }
        if count % 3 != 0 {
            there.push(name);
        } else if ask("DELETE", &format!("/secrets/{name}"), "", 204) {
            gone.push(name);
        } else {
            return;
        }
        let _ = done.send(());
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let place = Place::new();
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for round in 0..8 {
        let mut agent = place.start();
        let killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (done, doing) = std::sync::mpsc::channel();
            let (agent, killed) = (&agent, &killed);
            let (there, gone) = (&mut there, &mut gone);
            let working = scope.spawn(move || work(agent, round, killed, &done, there, gone));
            // Something has been done; then not a limit but a spread: each round is cut at another point.
            doing.iter().take(2).for_each(drop);
            std::thread::sleep(Duration::from_millis(7 * round));
            killed.store(true, Ordering::SeqCst);
            agent.signal(Signal::SIGKILL);
            working.join().unwrap();
        });
        agent.child.wait().unwrap();
    }
    let agent = place.start();
    let listed = agent.get("/secrets").json();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|secret| secret["Spec"]["Name"].as_str().unwrap().to_owned()).collect();
    assert!(!there.is_empty() && !gone.is_empty());
    for name in &there {
        assert!(names.contains(name), "{name} was acknowledged and is not there");
    }
    for name in &gone {
        assert!(!names.contains(name), "{name} was removed and is back");
    }
}
