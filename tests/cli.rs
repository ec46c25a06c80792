//! The program `runsecrets` from the outside, against an agent that is written out here byte by byte: exit status,
//! streams, and where a value may be. What a real agent answers is the business of `tests/conformance.rs`.

#![allow(clippy::unwrap_used, reason = "where something unexpected happens the test ends")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const VALUE: &str = "correct-horse-battery-staple-4711";
/// The same in base64.
const ENCODED: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZS00NzEx";
const MADE: &str = "HTTP/1.1 201 Created\r\nContent-Length: 34\r\n\r\n{\"ID\":\"ej7navusj2oiqqiqoep6b9ucf\"}";

fn runsecrets(dir: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runsecrets"));
    command.env("RUNSECRETS_RUN_DIR", dir.path()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn listen() -> (TempDir, UnixListener) {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("agent.sock")).unwrap();
    (dir, listener)
}

/// Takes one connection and reads one whole request.
fn request(listener: &UnixListener) -> (UnixStream, String) {
    let (mut peer, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4096];
        let count = peer.read(&mut some).unwrap();
        assert_ne!(count, 0, "the request ended early: {}", text(&bytes));
        bytes.extend_from_slice(&some[..count]);
        let request = text(&bytes);
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let header =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= header.map_or(0, |length| length.parse().unwrap()) {
            return (peer, request);
        }
    }
}

/// Runs one command against an agent that answers with `answer`; gives the request too.
fn against(answer: &str, arguments: &[&str]) -> (Output, String) {
    let (dir, listener) = listen();
    let child = runsecrets(&dir, arguments).spawn().unwrap();
    let (mut peer, asked) = request(&listener);
    peer.write_all(answer.as_bytes()).unwrap();
    drop(peer);
    (child.wait_with_output().unwrap(), asked)
}

#[test]
fn no_agent_is_one_line_with_advice_and_status_1() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["secret", "ls"][..], &["service", "inspect", "-f", "{{.ID}}", "x"], &["ps"], &["events"]] {
        let output = runsecrets(&dir, arguments).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout).trim()), (Some(1), ""), "{arguments:?}");
        let words = text(&output.stderr);
        let socket = dir.path().join("agent.sock").display().to_string();
        assert!(words.starts_with(&format!("cannot reach the agent at {socket}: ")), "{words}");
        assert!(words.contains("; start it with: ") && words.lines().count() == 1, "{words}");
    }
}

#[test]
fn the_version_is_shown_without_an_agent_too() {
    let dir = tempfile::tempdir().unwrap();
    let output = runsecrets(&dir, &["version"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_is_no_failure_and_a_bad_command_line_is_125() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| runsecrets(&dir, arguments).output().unwrap();
    let help = run(&["secret", "create", "--help"]);
    assert_eq!((help.status.code(), text(&help.stderr).as_str()), (Some(0), ""));
    assert!(text(&help.stdout).contains("--template-driver"));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
    for arguments in [
        &["secret", "ls", "--bogus"][..],
        &["bogus"],
        &["secret", "rm"],
        &["--host", "tcp://x", "--run-dir", "/x", "ps"],
    ] {
        let output = run(arguments);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(125), ""), "{arguments:?}");
    }
}

#[test]
fn the_run_directory_comes_from_the_flag_before_the_environment() {
    let (dir, listener) = listen();
    let other = tempfile::tempdir().unwrap();
    let child =
        runsecrets(&other, &["--run-dir", &dir.path().display().to_string(), "secret", "rm", "s"]).spawn().unwrap();
    let (mut peer, asked) = request(&listener);
    assert!(asked.starts_with("DELETE /secrets/s HTTP/1.1\r\n"), "{asked}");
    peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "s\n"));
}

#[test]
fn a_refusal_is_printed_as_docker_prints_it_and_cannot_steer_the_terminal() {
    let body = r#"{"message":"secret \u001b[2Jx\nfake: line not found"}"#;
    let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (output, _) = against(&answer, &["secret", "inspect", "x"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), "[]\n"));
    assert_eq!(text(&output.stderr), "Error response from daemon: secret \\u{1b}[2Jx\\nfake: line not found\n");
}

#[test]
fn an_agent_that_hangs_up_is_told_so() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[", "nonsense\r\n\r\n"] {
        let (output, _) = against(answer, &["secret", "ls"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(" broke off: "), "{}", text(&output.stderr));
    }
}

#[test]
fn a_reader_who_goes_away_is_no_failure() {
    let (dir, listener) = listen();
    let mut child = runsecrets(&dir, &["secret", "ls", "--format", "json"]).spawn().unwrap();
    let (mut peer, _) = request(&listener);
    drop(child.stdout.take());
    let one = r#"{"ID":"x","Spec":{"Name":"n","Labels":{}}}"#;
    let list = format!("[{}]", vec![one; 5000].join(","));
    peer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{list}", list.len()).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let (dir, listener) = listen();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = runsecrets(&dir, &["secret", "ls"]).stdout(full).spawn().unwrap();
    let (mut peer, _) = request(&listener);
    peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("cannot write the output: "), "{}", text(&output.stderr));
}

/// Starts `secret create` and feeds it [`VALUE`].
fn creating(dir: &TempDir) -> Child {
    let mut child =
        runsecrets(dir, &["secret", "create", "-l", "a=b", "marker-name", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(VALUE.as_bytes()).unwrap();
    child
}

#[test]
fn a_value_goes_out_once_in_the_body_and_is_nowhere_else() {
    let (dir, listener) = listen();
    let child = creating(&dir);
    let (mut peer, asked) = request(&listener);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /secrets/create HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, format!("{{\"Name\":\"marker-name\",\"Labels\":{{\"a\":\"b\"}},\"Data\":\"{ENCODED}\"}}"));
    let proc = |file: &str| text(&fs::read(format!("/proc/{}/{file}", child.id())).unwrap());
    assert!(!proc("cmdline").contains(VALUE) && !proc("environ").contains(VALUE));
    peer.write_all(MADE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("ej7navusj2oiqqiqoep6b9ucf\n", ""));
}

#[test]
fn once_sent_a_value_is_gone_from_the_programs_memory() {
    let (dir, listener) = listen();
    let child = creating(&dir);
    let (mut peer, asked) = request(&listener);
    assert!(asked.contains(ENCODED));
    // The program waits for the answer. Its buffers go when it has written the last byte, which may be a moment from now.
    let deadline = Instant::now() + Duration::from_secs(30);
    while found(child.id(), VALUE) || found(child.id(), ENCODED) {
        assert!(Instant::now() < deadline, "the value is still in the program's memory");
        std::thread::sleep(Duration::from_millis(20));
    }
    // What is not a value is still there: the search does find things.
    assert!(found(child.id(), "marker-name"));
    peer.write_all(MADE.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
}

/// Whether `needle` is anywhere in the writable memory of the process; needs root, as the process is not dumpable.
fn found(pid: u32, needle: &str) -> bool {
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))).any(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let place = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(place(end) - place(start)).unwrap()];
        memory.read_exact_at(&mut bytes, place(start)).is_ok()
            && bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}
