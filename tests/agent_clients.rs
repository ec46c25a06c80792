//! Clients that the agent does not wish for: strangers, the slow, the many, the long-winded, and those who talk nonsense.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod running_agent;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use running_agent::{AGENT, Answer, LIMIT, Place, base64, run, set_mode};
use serde_json::json;

/// A user and a group that every Debian has and that have no rights here.
const NOBODY: &str = "65534";
const DAEMON_GROUP: &str = "daemon";

#[test]
fn bodies_are_bounded_before_they_are_read() {
    let place = Place::new();
    let agent = place.start();
    let announced = |path: &str, length: u64| {
        let mut stream = agent.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Answer::read(stream)
    };
    // Nothing of the body is sent: the announcement is enough.
    assert_eq!(announced("/secrets/create", 1536 * 1024 + 1).status, 413);
    assert_eq!(announced("/secrets/x/update?version=1", 1 << 40).status, 413);
    assert_eq!(announced("/runsecrets/v1/services/create", 64 * 1024 + 1).status, 413);

    let mut stream = agent.connect();
    // Ends by itself once the agent has answered and closed.
    let _ = stream.write_all(format!("GET /_ping HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(512 * 1024)).as_bytes());
    assert_eq!(Answer::read(stream).status, 431);

    let mut stream = agent.connect();
    stream.write_all(b"POST /secrets/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    // Ends by itself once the agent has answered and closed.
    for _ in 0..64 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(Answer::read(stream).status, 413);

    let create = |name: &str, bytes: usize| {
        agent.post("/secrets/create", &json!({"Name": name, "Data": base64(&vec![7; bytes])}))
    };
    assert_eq!(create("largest", 511_999).status, 201);
    for (name, bytes) in [("larger", 512_000), ("far-larger", 1_000_000), ("empty", 0)] {
        let answer = create(name, bytes);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.message(), "secret data must be larger than 0 and less than 512000 bytes");
    }
}

#[test]
fn slow_clients_are_let_go() {
    let place = Place::new();
    place.configure("[limits]\nheader-seconds = 1\n");
    let agent = place.start();
    let mut slow_head = agent.connect();
    slow_head.write_all(b"GET /_ping HT").unwrap();
    let mut idle = agent.connect();
    // Of an agent of its own, where no head comes too late on a busy machine.
    let patient = Place::new();
    patient.configure("[limits]\nbody-seconds = 1\n");
    let other = patient.start();
    let mut slow_body = other.connect();
    slow_body.write_all(b"POST /secrets/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let mut got = String::new();
    slow_head.read_to_string(&mut got).unwrap();
    idle.read_to_string(&mut got).unwrap();
    assert_eq!(got, "");
    assert_eq!(Answer::read(slow_body).status, 408);
}

#[test]
fn a_flood_of_connections_is_dropped_and_the_rest_is_served() {
    let place = Place::new();
    place.configure("[limits]\napi-connections = 2\n");
    let agent = place.start();
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = agent.connect();
            stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            stream
        })
        .collect();
    let mut dropped = 0;
    for _ in 0..200 {
        let mut got = [0; 1];
        // A reset is as good an end as an orderly one.
        dropped += usize::from(agent.connect().read(&mut got).unwrap_or(0) == 0);
    }
    assert_eq!(dropped, 200);
    agent.log.wait_for("dropped a connection: too many at one time");
    let lines = agent.log.text().matches("too many at one time").count();
    assert!(lines < 100, "{lines} lines for 200 connections");
    let mut still = held.pop().unwrap();
    still.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut rest = String::new();
    still.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"ApiVersion\""), "{rest}");
    drop(held);
    // The agent sees the ends in its own time; until then it drops us.
    while agent.connect().write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is_err() {}
}

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let place = Place::new();
    place.configure("[limits]\napi-connections = 100\n");
    let started = place.command();
    let mut limited = Command::new("prlimit");
    let agent = place.start_with(limited.arg("--nofile=32:32").arg(AGENT).args(started.get_args()));
    let held: Vec<_> = (0..64).map(|_| agent.connect()).collect();
    agent.log.wait_for("cannot accept a connection");
    drop(held);
    // Until it has seen that they are gone it lets others go, and says why.
    let deadline = Instant::now() + LIMIT;
    while agent.get("/_ping").status == 503 && Instant::now() < deadline {}
    assert_eq!(agent.get("/_ping").status, 200);
    let lines = agent.log.text().matches("cannot accept").count();
    assert!(lines < 50, "{lines} lines");
}

#[test]
fn only_root_and_the_group_are_let_in_whatever_the_mode_of_the_socket() {
    let place = Place::new();
    place.configure(&format!("[api]\ngroup = \"{DAEMON_GROUP}\"\n"));
    let agent = place.start();
    let socket = std::fs::metadata(place.admin()).unwrap();
    assert_eq!(socket.mode() & 0o7777, 0o660);
    let daemon = socket.gid();
    assert_ne!(daemon, 0);
    let ping = |socket: &Path, groups: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY]).args(groups);
        command.args(["curl", "-sS", "http://x/_ping", "--unix-socket"]).arg(socket);
        run(&mut command, "util-linux curl").stdout
    };
    let member = format!("--groups={daemon}");
    assert_eq!(ping(&place.admin(), &[&member]), b"OK");
    // With the mode out of the way, the credentials alone decide.
    set_mode(&place.admin(), 0o666);
    set_mode(&place.hook(), 0o666);
    assert_eq!(ping(&place.admin(), &["--clear-groups"]), b"");
    agent.log.wait_for("refused: not root, not in the group socket=\"agent.sock\" uid=65534");
    assert_eq!(ping(&place.hook(), &[&member]), b"");
    agent.log.wait_for("refused: not root, not in the group socket=\"hook.sock\" uid=65534");
    assert_eq!(ping(&place.admin(), &[&member]), b"OK");
}

#[test]
fn garbage_is_no_reason_to_fall() {
    let place = Place::new();
    let agent = place.start();
    for garbage in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"\xff\xfe\xfd /_ping HTTP/1.1\r\n\r\n", &[b'A'; 70_000]]
    {
        for mut stream in [agent.connect(), agent.connect_hook()] {
            // It may be refused before all of it is sent.
            let _ = stream.write_all(garbage);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    for path in ["/secrets/%ff%00", "/secrets/%", "/secrets?filters=%ff", "/events?since=%ff", "/v1.41"] {
        let status = agent.get(path).status;
        assert!((400..=501).contains(&status) && status != 500, "{path}: {status}");
    }
    assert_eq!(agent.get("/_ping").body, "OK");
}

#[test]
fn a_hooks_connection_is_taken_and_let_go() {
    let place = Place::new();
    let agent = place.start();
    let mut stream = agent.connect_hook();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(agent.get("/_ping").status, 200);
}
