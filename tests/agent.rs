//! The agent from the outside: how it starts, what it refuses to start with, and how it ends.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod running_agent;

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use running_agent::{AGENT, Answer, Place, base64, run, set_mode};
use serde_json::json;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn it_starts_with_narrow_modes_and_few_rights() {
    let place = Place::new();
    let agent = place.start();
    assert_eq!((mode(&place.state()), mode(&place.run())), (0o700, 0o711));
    assert_eq!((mode(&place.admin()), mode(&place.hook())), (0o600, 0o600));
    assert_eq!(mode(&place.state().join("root.key")), 0o400);
    for entry in std::fs::read_dir(place.state()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()) & 0o077, 0);
    }
    let proc = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", agent.pid())).unwrap();
    assert!(proc("limits").lines().any(|line| line.starts_with("Max core file size        0                    0 ")));
    let status = proc("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Umask:"), "0077");
    // CHOWN 0, DAC_OVERRIDE 1, DAC_READ_SEARCH 2, FOWNER 3, KILL 5, IPC_LOCK 14, SYS_CHROOT 18, SYS_PTRACE 19, SYS_ADMIN 21.
    let allowed = [0, 1, 2, 3, 5, 14, 18, 19, 21].iter().fold(0u64, |set, bit| set | 1 << bit);
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapInh:", "CapAmb:"] {
        let held = u64::from_str_radix(&field(set), 16).unwrap();
        assert_eq!(held & !allowed, 0, "{set} {held:x}");
    }
}

#[test]
fn a_process_of_the_same_user_cannot_look_into_it() {
    let without_rights = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all,+sys_admin", "--inh-caps=-all", program]);
        command
    };
    let look = |pid: &str| {
        // Not `maps`: whoever has CAP_SYS_ADMIN may read that of anybody.
        let open = format!(": < /proc/{pid}/mem");
        run(without_rights("sh").args(["-c", &open]), "util-linux").status.success()
    };
    // Both run as root with the one capability that the agent cannot do without, so that only PR_SET_DUMPABLE makes the
    // difference.
    let mut open = without_rights("sleep").arg("1000").spawn().unwrap();
    let place = Place::new();
    let started = place.command();
    let agent = place.start_with(without_rights(AGENT).args(started.get_args()));
    let seen = (look(&open.id().to_string()), look(&agent.pid().to_string()));
    open.kill().unwrap();
    open.wait().unwrap();
    assert_eq!(seen, (true, false));
    agent.log.wait_for("the agent has no CAP_IPC_LOCK");
}

#[test]
fn directories_that_are_not_safe_are_refused() {
    let wide = Place::new();
    std::fs::create_dir(wide.state()).unwrap();
    set_mode(&wide.state(), 0o750);
    let (code, words) = wide.refused();
    assert!(code == 77 && words.contains("has mode 0750, which is wider than 0700"), "{code} {words}");
    assert!(!wide.run().exists());

    let writable = Place::new();
    std::fs::create_dir(writable.run()).unwrap();
    set_mode(&writable.run(), 0o777);
    assert_eq!(writable.refused().0, 77);

    let link = Place::new();
    std::fs::create_dir(link.path("elsewhere")).unwrap();
    symlink(link.path("elsewhere"), link.run()).unwrap();
    let (code, words) = link.refused();
    assert!(code == 77 && words.contains("symbolic link"), "{code} {words}");
    assert_eq!(std::fs::read_dir(link.path("elsewhere")).unwrap().count(), 0);

    let foreign = Place::new();
    std::fs::create_dir(foreign.state()).unwrap();
    set_mode(&foreign.state(), 0o700);
    chown(foreign.state(), Some(65534), None).unwrap();
    let (code, words) = foreign.refused();
    assert!(code == 77 && words.contains("belongs to user 65534"), "{code} {words}");

    let shaky = Place::new();
    set_mode(&shaky.path(""), 0o777);
    let (code, words) = shaky.refused();
    assert!(code == 77 && words.contains("others can change"), "{code} {words}");
}

#[test]
fn a_configuration_that_is_not_right_is_refused() {
    let place = Place::new();
    place.configure("[paths]\nstate-dir = \"/a\"\nsate-dir = \"/b\"\n");
    let (code, words) = place.refused();
    let file = place.path("config.toml");
    let expected = format!("runsecrets-agent: {}:3:1: unknown field `sate-dir`", file.display());
    assert!(code == 78 && words.starts_with(&expected), "{code} {words}");
    assert!(!place.state().exists());

    place.configure("");
    set_mode(&file, 0o666);
    let (code, words) = place.refused();
    assert!(code == 77 && words.contains("has mode 0666"), "{code} {words}");

    let missing = Command::new(AGENT).args(["--config", "/nonexistent/config.toml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(78));
    for arguments in [&["--nonsense"][..], &["--state-dir", "relative"], &["--log-format", "xml"], &["nonsense"]] {
        assert_eq!(Command::new(AGENT).args(arguments).output().unwrap().status.code(), Some(64), "{arguments:?}");
    }
    assert_eq!(Command::new(AGENT).arg("--version").output().unwrap().status.code(), Some(0));
}

#[test]
fn check_config_says_where_and_changes_nothing() {
    let check = |file: &Path| Command::new(AGENT).arg("check-config").arg(file).output().unwrap();
    let shipped = check(Path::new("packaging/config.toml"));
    assert!(shipped.status.success(), "{}", String::from_utf8_lossy(&shipped.stderr));
    assert_eq!(String::from_utf8_lossy(&shipped.stdout), "packaging/config.toml: ok\n");
    let place = Place::new();
    place.configure("[limits]\nbody-seconds = 0\n");
    let file = place.path("config.toml");
    let output = check(&file);
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(words, format!("runsecrets-agent: {}:2:16: 0 is not within 1 to 600\n", file.display()));
}

#[test]
fn a_root_key_that_others_could_have_read_is_refused() {
    let place = Place::new();
    assert!(place.start().stop().success());
    set_mode(&place.state().join("root.key"), 0o440);
    let (code, words) = place.refused();
    assert!(code == 77 && words.contains("root.key has mode 0440"), "{code} {words}");
    assert!(!place.admin().exists());
}

#[test]
fn a_root_key_that_a_store_needs_is_never_replaced() {
    let place = Place::new();
    let agent = place.start();
    agent.create("db", &base64(b"x"));
    drop(agent);
    let key = place.state().join("root.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let (code, words) = place.refused();
    assert!(code == 77 && words.contains("is missing, but the store"), "{code} {words}");
    assert!(!key.exists());
    std::fs::write(&key, [7; 32]).unwrap();
    set_mode(&key, 0o600);
    assert_eq!(place.refused().0, 65);
    std::fs::write(&key, kept).unwrap();
    assert_eq!(place.start().get("/secrets/db").status, 200);
}

#[test]
fn a_store_that_is_damaged_is_refused() {
    let place = Place::new();
    let mut agent = place.start();
    agent.create("db", &base64(&[7; 4000]));
    assert!(agent.stop().success());
    let file = place.state().join("store.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[..middle].fill(0xA5);
    std::fs::write(&file, bytes).unwrap();
    let (code, words) = place.refused();
    assert_eq!(code, 65, "{words}");
    assert!(!place.admin().exists());
}

#[test]
fn a_second_agent_is_refused_and_the_first_goes_on() {
    let place = Place::new();
    let first = place.start();
    for same in ["--state-dir", "--run-dir"] {
        let other = Place::new();
        let mut second = other.command();
        // The later of two flags would be an error: build the command anew.
        let (state, run) = match same {
            "--state-dir" => (place.state(), other.run()),
            _ => (other.state(), place.run()),
        };
        second = Command::new(second.get_program());
        let output = second.arg("--state-dir").arg(state).arg("--run-dir").arg(run).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{words}");
        assert!(words.contains("another agent uses"), "{words}");
    }
    assert_eq!(first.get("/_ping").body, "OK");
}

#[test]
fn what_is_no_socket_of_ours_is_not_removed() {
    let place = Place::new();
    std::fs::create_dir(place.run()).unwrap();
    set_mode(&place.run(), 0o711);
    std::fs::write(place.hook(), "kept").unwrap();
    let (code, words) = place.refused();
    assert!(code == 77 && words.contains("is no socket of ours"), "{code} {words}");
    assert_eq!(std::fs::read_to_string(place.hook()).unwrap(), "kept");
    assert!(!place.admin().exists());
}

#[test]
fn after_a_kill_the_next_start_takes_the_sockets_over() {
    let place = Place::new();
    let mut agent = place.start();
    agent.signal(Signal::SIGKILL);
    agent.child.wait().unwrap();
    assert!(place.admin().exists());
    assert_eq!(place.start().get("/_ping").status, 200);
}

#[test]
fn sigterm_lets_a_request_finish_and_takes_the_sockets_away() {
    let place = Place::new();
    let mut agent = place.start();
    let body = json!({"Name": "late", "Data": base64(b"x")}).to_string();
    let mut stream = agent.connect();
    let head = format!("POST /secrets/create HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..5]).unwrap();
    // A second conversation, answered, shows that the agent had time to read the first one's head.
    assert_eq!(agent.get("/_ping").status, 200);
    agent.signal(Signal::SIGTERM);
    let mut message = [0; 64];
    let len = agent.notify.recv(&mut message).unwrap();
    assert!(message[..len].starts_with(b"STOPPING=1"));
    stream.write_all(&body.as_bytes()[5..]).unwrap();
    assert_eq!(Answer::read(stream).status, 201);
    assert!(agent.child.wait().unwrap().success());
    assert!(!place.admin().exists() && !place.hook().exists());
}

#[test]
fn sigint_ends_a_stream_of_events() {
    let place = Place::new();
    let mut agent = place.start();
    let mut stream = agent.connect();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 16];
    stream.read_exact(&mut first).unwrap();
    agent.signal(Signal::SIGINT);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(agent.child.wait().unwrap().success());
}

#[test]
fn log_lines_can_be_json() {
    let place = Place::new();
    let mut agent = place.start_with(place.command().args(["--log-format", "json"]));
    agent.create("db", &base64(b"x"));
    agent.stop();
    agent.log.wait_for("SIGTERM");
    for line in agent.log.text().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"));
    }
}

#[test]
fn standard_error_may_be_closed() {
    let place = Place::new();
    place.configure("[nonsense]\n");
    let mut child = place.command().stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(78));
}

#[test]
fn its_status_counts_and_names_no_secret() {
    let place = Place::new();
    let agent = place.start();
    agent.create("quite-a-name", &base64(b"quite a value"));
    agent.post("/runsecrets/v1/services/create", &json!({"Name": "web", "Secrets": [{"Source": "quite-a-name"}]}));
    let answer = agent.get("/runsecrets/v1/status");
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("quite"), "{}", answer.body);
    let status = answer.json();
    let counts = ["Locked", "Secrets", "Services", "Containers"].map(|field| status[field].clone());
    assert_eq!(counts, [json!(false), json!(1), json!(1), json!(0)]);
    assert_eq!(status["Version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["Pid"], agent.child.id());
    assert_eq!(status["StateDir"], json!(place.state()));
    assert_eq!(status["RunDir"], json!(place.run()));
    assert_eq!(status["ConfigFile"], json!(place.path("config.toml")));
    let sockets = json!([{"Name": "agent.sock", "Mode": "0600"}, {"Name": "hook.sock", "Mode": "0600"}]);
    assert_eq!(status["Sockets"], sockets);
    let file = place.state().join("root.key");
    assert_eq!(status["RootKey"], json!({"File": file, "Clear": {"UID": 0, "Mode": "0400"}, "Wrapped": null}));
    // What the log of the start says.
    let log = agent.log.text();
    assert!(log.contains(&format!("filesystem={}", status["Protection"].as_str().unwrap())), "{log}");
    assert!(log.contains(&format!("detached_clones={}", status["DetachedClones"])), "{log}");
    assert!(log.contains(&format!("arena_locked={}", status["Memory"]["ArenaLocked"])), "{log}");
    assert_eq!(status["SwapAllowed"], false);
}

#[test]
fn its_status_shows_the_lock_and_what_is_allowed() {
    let place = Place::new();
    place.configure("[delivery]\nfilesystem = \"ramfs\"\nallow-swap = true\n");
    let agent = place.start();
    agent.create("db", &base64(b"x"));
    let status = agent.get("/runsecrets/v1/status").json();
    assert_eq!((&status["Protection"], &status["SwapAllowed"]), (&json!("ramfs"), &json!(true)));
    let made = agent.post("/runsecrets/v1/autolock", &json!({"Autolock": true})).json();
    // Begun and not confirmed: both are there.
    let keys = |agent: &running_agent::Agent| {
        let keys = agent.get("/runsecrets/v1/status").json()["RootKey"].clone();
        (keys["Clear"].is_object(), keys["Wrapped"].is_object())
    };
    assert_eq!(keys(&agent), (true, true));
    let key = base64(made["UnlockKey"].as_str().unwrap().as_bytes());
    assert_eq!(agent.post("/runsecrets/v1/unlock", &json!({"Data": key})).status, 200);
    assert_eq!(keys(&agent), (false, true));
    drop(agent);
    let status = place.start().get("/runsecrets/v1/status").json();
    assert_eq!((&status["Locked"], &status["Secrets"]), (&json!(true), &json!(null)));
}
