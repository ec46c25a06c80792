//! The agent as a service under Wine's service control manager, and the CLI over its pipe.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::wine::{Wine, built, said};

const AGENT: &str = "runsecrets-agent.exe";
const CLI: &str = "runsecrets.exe";
const PIPE: &str = r"\\.\pipe\runsecrets";
const VALUE: &str = "correct-horse-battery-staple";

fn all(output: &Output) -> String {
    format!("{}{}", said(output), String::from_utf8_lossy(&output.stderr))
}

fn service(wine: &Wine, verb: &str) -> Output {
    wine.ours(AGENT).args(["service", verb]).output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, all(output));
    said(output)
}

fn cli(wine: &Wine, arguments: &[&str]) -> Output {
    wine.ours(CLI).args(arguments).output().unwrap()
}

/// Runs a program with this on its standard input.
fn given(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn create(wine: &Wine, name: &str) -> Output {
    let mut command = wine.ours(CLI);
    command.args(["secret", "create", name, "-"]);
    given(command, VALUE.as_bytes())
}

/// The answer to a request as Docker's client sends it over `npipe://`.
fn docker(wine: &Wine, request: &str) -> String {
    let mut command = wine.wine(built("pipe_client.exe").to_str().unwrap());
    command.arg(PIPE);
    let output = given(command, request.as_bytes());
    assert!(output.status.success(), "{:?}: {}", output.status, all(&output));
    said(&output)
}

#[test]
fn a_service_lives_from_its_installation_to_its_removal() {
    let wine = Wine::new();
    let absent = service(&wine, "status");
    assert_eq!(absent.status.code(), Some(69), "{}", all(&absent));
    assert!(all(&absent).contains("not installed"), "{}", all(&absent));

    done(&service(&wine, "install"));
    let again = service(&wine, "install");
    assert!(!again.status.success() && all(&again).contains("installed already"), "{}", all(&again));
    let stopped = service(&wine, "status");
    assert_eq!(stopped.status.code(), Some(69));
    assert!(all(&stopped).contains("stopped"), "{}", all(&stopped));
    configured(&wine);

    done(&service(&wine, "start"));
    let running = done(&service(&wine, "status"));
    assert!(running.contains("Running") && running.contains("AutoStart as LocalSystem"), "{running}");
    done(&create(&wine, "db"));
    assert!(done(&cli(&wine, &["secret", "ls"])).contains("db"));

    done(&service(&wine, "stop"));
    let silent = cli(&wine, &["secret", "ls"]);
    assert!(all(&silent).contains("runsecrets-agent service start"), "{}", all(&silent));
    done(&service(&wine, "start"));
    assert!(done(&cli(&wine, &["secret", "ls"])).contains("db"), "the secret is gone after a restart");
    // An old value is erased: the store's file is replaced while the service has it open.
    done(&cli(&wine, &["secret", "rm", "db"]));
    assert!(!done(&cli(&wine, &["secret", "ls"])).contains("db"));

    done(&service(&wine, "uninstall"));
    assert_eq!(service(&wine, "status").status.code(), Some(69));
    let sources = registry(&wine, r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\runsecrets-agent");
    assert!(!sources.contains("EventCreate.exe"), "{sources}");
    assert!(wine.here(r"C:\ProgramData\runsecrets\state\store.redb").exists(), "the store went with the service");
}

/// SYSTEM is to run what `install` was started as.
#[test]
fn a_program_that_others_could_change_is_not_installed() {
    let wine = Wine::new();
    let program = wine.here(r"C:\Program Files\runsecrets").join(AGENT);
    for path in [program.as_path(), program.parent().unwrap()] {
        let before = fs::metadata(path).unwrap().permissions();
        // Wine gives "Everyone" what others have here.
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let refused = service(&wine, "install");
        assert_eq!(refused.status.code(), Some(71), "{}", all(&refused));
        assert!(all(&refused).contains("others could change what SYSTEM would run"), "{}", all(&refused));
        fs::set_permissions(path, before).unwrap();
    }
    assert_eq!(service(&wine, "status").status.code(), Some(69), "nothing was installed");
    done(&service(&wine, "install"));
}

/// What `install` asked for beside the service itself, as the service control manager keeps it.
fn configured(wine: &Wine) {
    let kept = registry(wine, r"HKLM\SYSTEM\CurrentControlSet\Services\runsecrets-agent");
    // Wine does not keep the rest: delayed start, and what is done after a failure.
    for value in ["Description", "PreshutdownTimeout", "LocalSystem"] {
        assert!(kept.contains(value), "{value} is not in {kept}");
    }
    assert!(kept.contains(r#""C:\Program Files\runsecrets\runsecrets-agent.exe" service run"#), "{kept}");
    let source = registry(wine, r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\runsecrets-agent");
    assert!(source.contains("EventCreate.exe"), "{source}");
}

fn registry(wine: &Wine, key: &str) -> String {
    all(&wine.wine("reg").args(["query", key]).output().unwrap())
}

#[test]
fn the_pipe_is_answered_as_docker_asks_and_nothing_shows_a_value() {
    let wine = Wine::new();
    done(&service(&wine, "install"));
    done(&service(&wine, "start"));
    done(&create(&wine, "db"));

    let ping = docker(&wine, "HEAD /_ping HTTP/1.1\r\nHost: api.moby.localhost\r\nConnection: close\r\n\r\n");
    assert!(ping.starts_with("HTTP/1.1 200 OK\n") && ping.contains("ostype: windows"), "{ping}");
    let list =
        docker(&wine, "GET /v1.41/secrets HTTP/1.1\r\nHost: %2F%2F.%2Fpipe%2Frunsecrets\r\nConnection: close\r\n\r\n");
    assert!(list.contains("\"Name\":\"db\""), "{list}");
    let body = r#"{"Name":"web","Labels":null,"Data":"aHVudGVyMg=="}"#;
    let made = docker(
        &wine,
        &format!(
            "POST /v1.41/secrets/create HTTP/1.1\r\nHost: api.moby.localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
    );
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let named = cli(&wine, &["--host", "npipe:////./pipe/runsecrets", "secret", "inspect", "web"]);
    assert!(done(&named).contains("\"Name\": \"web\""), "{}", all(&named));
    let elsewhere = cli(&wine, &["--host", "npipe:////elsewhere/pipe/runsecrets", "secret", "ls"]);
    assert!(all(&elsewhere).contains("npipe:////./pipe/"), "{}", all(&elsewhere));

    done(&service(&wine, "stop"));
    let kept = below(&wine.here(r"C:\ProgramData\runsecrets"));
    assert!(kept.iter().any(|file| file.ends_with("state/store.redb")), "{kept:?}");
    for file in kept {
        let bytes = fs::read(&file).unwrap();
        for value in [VALUE.as_bytes(), b"hunter2"] {
            assert!(!bytes.windows(value.len()).any(|window| window == value), "{} holds a value", file.display());
        }
    }
}

#[test]
fn what_others_could_have_changed_is_refused() {
    let wine = Wine::new();
    done(&service(&wine, "install"));
    done(&service(&wine, "start"));
    done(&service(&wine, "stop"));
    // Wine makes an access list of the permissions here, and gives "Everyone" what others have.
    let state = wine.here(r"C:\ProgramData\runsecrets\state");
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let refused = refusing(&wine);
    assert_eq!(refused.status.code(), Some(77), "{}", all(&refused));
    assert!(all(&refused).contains("icacls"), "{}", all(&refused));
    let failed = service(&wine, "start");
    assert!(!failed.status.success() && all(&failed).contains("ServiceSpecific(77)"), "{}", all(&failed));

    // The key of another machine, or a changed one, opens nothing.
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let key = state.join("root.key");
    let mut bytes = fs::read(&key).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(&key, bytes).unwrap();
    let damaged = refusing(&wine);
    assert_eq!(damaged.status.code(), Some(77), "{}", all(&damaged));
    assert!(all(&damaged).contains("cannot be decrypted on this machine"), "{}", all(&damaged));
}

/// The agent in the foreground, which is to refuse: one that serves is ended after a while, with no exit code.
fn refusing(wine: &Wine) -> Output {
    let mut agent = wine.ours(AGENT);
    let mut agent = agent.arg("run").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while agent.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = agent.kill();
    agent.wait_with_output().unwrap()
}

/// Every file below a directory.
fn below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found
}
