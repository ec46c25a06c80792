//! The client against a peer that misbehaves: a real Unix socket, and the bytes that it sends written out.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::*;

/// An agent that reads one request's head and answers with `bytes`.
fn answering(bytes: &'static [u8]) -> (tempfile::TempDir, Agent) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        // A client that hangs up early is part of the test.
        let _ = peer.write_all(bytes);
    });
    (dir, Agent::at(socket).unwrap())
}

#[test]
fn nobody_at_the_socket_says_how_to_start_the_agent() {
    let agent = Agent::at("/nonexistent/agent.sock".into()).unwrap();
    let words = agent.get("/version").unwrap_err().to_string();
    assert!(words.starts_with("cannot reach the agent at /nonexistent/agent.sock: "), "{words}");
    assert!(words.contains("start it with: "), "{words}");
}

#[test]
fn a_refusal_is_the_agents_own_words() {
    let (_dir, agent) =
        answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 32\r\n\r\n{\"message\":\"secret s not found\"}\n");
    assert_eq!(agent.get("/secrets/s").unwrap_err().to_string(), "Error response from daemon: secret s not found");
    let (_dir, agent) = answering(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(agent.get("/").unwrap_err().to_string(), "Error response from daemon: 500 Internal Server Error");
}

#[test]
fn what_is_no_http_and_no_json_is_told_apart() {
    let (_dir, agent) = answering(b"hello\r\n\r\n");
    assert!(matches!(agent.get("/"), Err(CliError::Talk { .. })));
    let (_dir, agent) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{]x");
    assert!(matches!(agent.get("/secrets"), Err(CliError::Answer { .. })));
    let (_dir, agent) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[");
    assert!(matches!(agent.get("/secrets"), Err(CliError::Talk { .. })));
}

#[test]
fn an_answer_beyond_the_limit_is_cut_off() {
    let (_dir, agent) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[");
    assert!(matches!(agent.get("/secrets"), Err(CliError::AnswerTooLong { .. } | CliError::Talk { .. })));
}

#[test]
fn a_stream_is_given_line_by_line() {
    let (_dir, agent) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{1}\r\n\n{2}\n{3");
    let mut lines = Vec::new();
    agent
        .stream("/events", |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(true)
        })
        .unwrap();
    assert_eq!(lines, ["{1}", "{2}"]);
}

#[test]
fn every_byte_outside_the_plain_ones_is_encoded() {
    assert_eq!(encoded("a-b_c.d~1"), "a-b_c.d~1");
    assert_eq!(encoded("a/../b?c d\u{e9}"), "a%2F..%2Fb%3Fc%20d%C3%A9");
}
