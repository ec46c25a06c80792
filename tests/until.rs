//! Secrets that leave a container that runs: after a time, when it is healthy, when they have been read.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use testbed::{Bed, Container, Runtime, User};

on_each_runtime!(
    a_secret_leaves_after_its_time_and_stays_away,
    a_time_that_passed_while_no_agent_was_there_counts,
    a_secret_leaves_when_its_container_is_healthy,
    a_secret_leaves_when_it_has_been_read,
    looking_at_a_secret_is_not_reading_it,
    a_mapped_secret_leaves_when_it_is_unmapped,
    what_was_being_read_when_the_value_changed_counts,
    a_new_agent_sees_who_reads,
    the_generation_directory_lets_go_of_it,
    a_restarted_container_has_it_anew,
    an_end_can_be_given_and_taken_while_the_container_runs,
    where_nobody_sees_who_reads_that_end_is_refused,
    secrets_of_rootless_containers_leave_too,
);

fn bed(runtime: Runtime, grants: &[&str]) -> (Bed, Container) {
    bed_configured(runtime, "", grants)
}

fn bed_configured(runtime: Runtime, lines: &str, grants: &[&str]) -> (Bed, Container) {
    let bed = Bed::configured(runtime, lines);
    for name in ["a", "b"] {
        bed.secret(name, name.repeat(3).as_bytes());
    }
    bed.service("web", grants);
    let container = bed.start(&bed.bundle("web"));
    (bed, container)
}

fn seen(container: &Container, target: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{target}", container.pid()))
}

fn is_there(container: &Container, target: &str) -> bool {
    seen(container, target).try_exists().unwrap()
}

fn kill(bed: &mut Bed) {
    // The mount points that were made for a container are on record when it has been delivered to, not when it runs.
    bed.eventually("the delivery is on record", || {
        let text = bed.agent.log.text();
        text.contains("delivered") || text.contains("taken over")
    });
    let _ = (bed.agent.child.kill(), bed.agent.child.wait());
}

fn restart(bed: &mut Bed) {
    kill(bed);
    bed.agent = bed.place.start();
}

/// What `ps` says of the only container.
fn ps(bed: &Bed) -> Value {
    bed.agent.get("/runsecrets/v1/ps").json()[0].take()
}

fn has_ended(bed: &Bed, container: &Container, target: &str, until: &str) {
    bed.eventually("it has left", || !is_there(container, target));
    bed.eventually("that is said", || {
        let ended = &ps(bed)["Ended"];
        ended.as_array().unwrap().iter().any(|it| it["Target"] == target && it["Until"] == until)
    });
    let event = format!("target={target}");
    bed.eventually("those who watch are told", || {
        bed.cli_ok(&["events", "--since", "10m", "--until", "0s", "--filter", "event=expire"]).contains(&event)
    });
}

/// Nobody who still has it open can read it.
fn is_emptied(bed: &Bed, open: &mut File) {
    bed.eventually("what is open is emptied", || open.metadata().unwrap().len() == 0);
    let mut text = String::new();
    open.rewind().unwrap();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}

fn a_secret_leaves_after_its_time_and_stays_away(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["b", "a", "source=a,target=/etc/app/a"]);
    let targets = ["/run/secrets/a", "/etc/app/a"];
    let mut open = targets.map(|target| File::open(seen(&container, target)).unwrap());
    assert_eq!(container.exec(&["cat", "/run/secrets/a"]), "aaa");
    // Given an end when all this is done, however long it took: the time counts from the delivery.
    let ends = ["source=a,until=2s", "source=a,target=/etc/app/a,until=2s"];
    let ends = ["--secret-rm", "a", "--secret-add", ends[0], "--secret-add", ends[1]];
    bed.cli_ok(&[&["service", "update", "web"], &ends[..]].concat());
    for target in targets {
        has_ended(&bed, &container, target, "2s");
    }
    open.iter_mut().for_each(|open| assert_eq!(open.metadata().unwrap().len(), 0, "emptied before it is said"));
    assert!(!container.exec(&["cat", "/proc/self/mountinfo"]).contains("/etc/app"));
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
    let shown = bed.cli_ok(&["service", "ps", "web"]);
    assert!(shown.contains("b:1,a:1 ended "), "{shown}");
    assert!(bed.cli_ok(&["service", "inspect", "--pretty", "web"]).contains("Until:         2s"));
    // Neither a new version nor another change brings it back.
    bed.cli_given(&["secret", "update", "a", "-"], b"new");
    bed.cli_ok(&["service", "update", "web", "--secret-add", "source=b,target=c"]);
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "b\nc\n");
    // Taken away and granted again, it is there again.
    bed.cli_ok(&["service", "update", "web", "--secret-rm", "a"]);
    assert_eq!(ps(&bed)["Ended"], serde_json::json!([]));
    bed.cli_ok(&["service", "update", "web", "--secret-add", "source=a,until=1h"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/a"]), "new");
    container.stop();
    bed.holds_nothing();
}

fn a_time_that_passed_while_no_agent_was_there_counts(runtime: Runtime) {
    // The agent has to be gone before the time is over: on a machine that is too slow for one it is tried with a longer one.
    let in_time = |seconds: u64| {
        let time = format!("source=a,until={seconds}s");
        let (mut bed, container) = bed(runtime, &[&time, "source=b,target=/etc/app/b,until=1h"]);
        let open = File::open(seen(&container, "/run/secrets/a")).ok()?;
        kill(&mut bed);
        (open.metadata().unwrap().len() > 0).then_some((seconds, bed, container, open))
    };
    let (seconds, mut bed, container, mut open) = [2, 8, 32, 128].into_iter().find_map(in_time).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "aaa", "nobody was there to take it away");
    bed.agent = bed.place.start();
    has_ended(&bed, &container, "/run/secrets/a", &format!("{seconds}s"));
    is_emptied(&bed, &mut open);
    assert_eq!(container.exec(&["cat", "/etc/app/b"]), "bbb");
    // What has left stays away for the next agent, too.
    restart(&mut bed);
    bed.cli_given(&["secret", "update", "a", "-"], b"new");
    assert!(!is_there(&container, "/run/secrets/a"));
}

fn a_secret_leaves_when_its_container_is_healthy(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,until=healthy", "source=b,target=/etc/app/b,until=healthy", "b"]);
    let mut open = File::open(seen(&container, "/etc/app/b")).unwrap();
    assert_eq!(bed.cli_ok(&["container", "healthy", &container.id]), format!("{}\n", container.id));
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "b\n");
    assert!(!is_there(&container, "/etc/app/b"));
    is_emptied(&bed, &mut open);
    has_ended(&bed, &container, "/run/secrets/a", "healthy");
    // A second one that is started has its own; the service's are told together.
    let second = bed.start(&bed.bundle("web"));
    assert_eq!(second.exec(&["cat", "/run/secrets/a", "/etc/app/b"]), "aaabbb");
    assert_eq!(bed.cli_ok(&["service", "healthy", "web"]), "web\n");
    assert_eq!(second.exec(&["ls", "/run/secrets"]), "b\n");
    let unknown = bed.cli(&["container", "healthy", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(testbed::words(&unknown).contains("no container 'nobody' holds secrets"), "{}", testbed::words(&unknown));
    let many = bed.cli(&["container", "healthy", "testbed-"]);
    assert!(testbed::words(&many).contains("several containers"), "{}", testbed::words(&many));
}

fn a_secret_leaves_when_it_has_been_read(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,until=read", "source=b,target=/etc/app/b,until=read", "b"]);
    // The whole value, though busybox's cat leaves our own pages in the pipe.
    let script = "cat /run/secrets/a | { while [ ! -e /tmp/go ]; do sleep 0.02; done; cat; }";
    let mut reader = container.command();
    reader.arg("exec").arg(&container.id).args(["sh", "-c", script]);
    let reader = reader.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    bed.eventually("its path has gone", || !is_there(&container, "/run/secrets/a"));
    std::fs::write(seen(&container, "/tmp/go"), "").unwrap();
    assert_eq!(reader.wait_with_output().unwrap().stdout, b"aaa");
    has_ended(&bed, &container, "/run/secrets/a", "read");
    assert!(is_there(&container, "/etc/app/b"), "each by itself");
    let mut second = File::open(seen(&container, "/etc/app/b")).unwrap();
    assert_eq!(container.exec(&["cat", "/etc/app/b"]), "bbb");
    has_ended(&bed, &container, "/etc/app/b", "read");
    // Whoever was reading, too, has a while for it.
    is_emptied(&bed, &mut second);
    for _ in 0..3 {
        assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
    }
    container.stop();
    bed.holds_nothing();
}

fn looking_at_a_secret_is_not_reading_it(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,until=read", "b"]);
    container.exec(&["ls", "-la", "/run/secrets"]);
    container.exec(&["stat", "/run/secrets/a"]);
    container.exec(&["sh", "-c", "[ -r /run/secrets/a ] && [ -s /run/secrets/a ]"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
    // Something that has to be seen after all that might have been.
    bed.cli_ok(&["service", "update", "web", "--secret-add", "source=b,target=c,until=read"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/c"]), "bbb");
    has_ended(&bed, &container, "/run/secrets/c", "read");
    assert_eq!(container.exec(&["cat", "/run/secrets/a"]), "aaa");
    has_ended(&bed, &container, "/run/secrets/a", "read");
}

fn a_mapped_secret_leaves_when_it_is_unmapped(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,until=read"]);
    // A mapping holds the file without a descriptor; no read is ever seen.
    let script = "import mmap, sys; f = open(sys.argv[1]); m = mmap.mmap(f.fileno(), 3, mmap.MAP_SHARED, mmap.PROT_READ); \
                  f.close(); print('mapped', flush=True); sys.stdin.readline(); print(m[:].decode())";
    let mut mapper = std::process::Command::new(testbed::program("python3", "python3"))
        .args(["-c", script])
        .arg(seen(&container, "/run/secrets/a"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(mapper.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "mapped\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(is_there(&container, "/run/secrets/a"), "it is being read");
    drop(mapper.stdin.take());
    mapper.wait().unwrap();
    line.clear();
    output.read_to_string(&mut line).unwrap();
    assert_eq!(line, "aaa\n");
    has_ended(&bed, &container, "/run/secrets/a", "read");
}

fn what_was_being_read_when_the_value_changed_counts(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,until=read", "source=b,target=/etc/app/b,until=read"]);
    let old = ["/run/secrets/a", "/etc/app/b"].map(|target| File::open(seen(&container, target)).unwrap());
    bed.cli_given(&["secret", "update", "a", "-"], b"new a");
    bed.cli_given(&["secret", "update", "b", "-"], b"new b");
    assert!(is_there(&container, "/run/secrets/a") && is_there(&container, "/etc/app/b"));
    drop(old);
    has_ended(&bed, &container, "/run/secrets/a", "read");
    has_ended(&bed, &container, "/etc/app/b", "read");
}

fn a_new_agent_sees_who_reads(runtime: Runtime) {
    let (mut bed, container) = bed(runtime, &["source=a,until=read", "source=b,target=/etc/app/b,until=read"]);
    restart(&mut bed);
    bed.agent.log.wait_for("what was read while no agent was there");
    assert!(is_there(&container, "/run/secrets/a") && is_there(&container, "/etc/app/b"));
    bed.cli_given(&["secret", "update", "b", "-"], b"new");
    assert_eq!(container.exec(&["cat", "/run/secrets/a", "/etc/app/b"]), "aaanew");
    has_ended(&bed, &container, "/run/secrets/a", "read");
    has_ended(&bed, &container, "/etc/app/b", "read");
    container.stop();
    bed.holds_nothing();
}

fn the_generation_directory_lets_go_of_it(runtime: Runtime) {
    let lines = "[delivery]\ngenerations = true\n";
    let (bed, container) = bed_configured(runtime, lines, &["source=a,until=read", "source=b,until=healthy"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/..current/a"]), "aaa");
    has_ended(&bed, &container, "/run/secrets/a", "read");
    bed.eventually("by either name", || !is_there(&container, "/run/secrets/..current/a"));
    bed.cli_ok(&["service", "healthy", "web"]);
    assert_eq!(container.exec(&["find", "/run/secrets", "-type", "f"]), "");
}

fn a_restarted_container_has_it_anew(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["source=a,until=read"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/a"]), "aaa");
    has_ended(&bed, &container, "/run/secrets/a", "read");
    container.stop();
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["cat", "/run/secrets/a"]), "aaa");
    has_ended(&bed, &container, "/run/secrets/a", "read");
}

fn an_end_can_be_given_and_taken_while_the_container_runs(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["a", "source=b,until=read"]);
    let change = ["--secret-rm", "a", "--secret-add", "source=a,until=1s", "--secret-rm", "b", "--secret-add", "b"];
    bed.cli_ok(&[&["service", "update", "web"], &change[..]].concat());
    has_ended(&bed, &container, "/run/secrets/a", "1s");
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
    assert_eq!(ps(&bed)["Secrets"][0]["Until"], Value::Null);
    let refused = bed.cli(&["service", "create", "--name", "odd", "--secret", "source=a,until=soon"]);
    assert!(testbed::words(&refused).contains("invalid until 'soon'"), "{}", testbed::words(&refused));
}

/// Starts a program to which a system call does not exist.
const WITHOUT_A_CALL: &str = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[1])), (0x06, 0, 0, 0x00050026), (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in code))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(code), ctypes.addressof(text)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
";

fn where_nobody_sees_who_reads_that_end_is_refused(runtime: Runtime) {
    let (mut bed, container) = bed(runtime, &["source=a,until=read", "b"]);
    kill(&mut bed);
    let usual = bed.place.command();
    let mut command = std::process::Command::new(testbed::program("python3", "python3"));
    command.args(["-c", WITHOUT_A_CALL, &nix::libc::SYS_fanotify_init.to_string()]).env_clear();
    command.arg(usual.get_program()).args(usual.get_args());
    bed.agent = bed.place.start_with(&mut command);
    // What nobody watches any more does not stay.
    has_ended(&bed, &container, "/run/secrets/a", "read");
    bed.refuse_start(&bed.bundle("web"), "until=read cannot be kept");
    let refused = bed.cli(&["service", "update", "web", "--secret-add", "source=a,target=x,until=read"]);
    assert!(testbed::words(&refused).contains("grant it with a time"), "{}", testbed::words(&refused));
    assert_eq!(container.exec(&["cat", "/run/secrets/b"]), "bbb");
}

/// A user's container is not gone into, so that an absolute target stays there, empty.
fn secrets_of_rootless_containers_leave_too(runtime: Runtime) {
    let user = User::new(runtime);
    let bed = Bed::configured(runtime, "[rootless]\nenabled = true\n");
    bed.secret("a", b"aaa");
    bed.service(
        "web",
        &["source=a,until=read", "source=a,target=/etc/app/a,until=read", "source=a,target=b,until=healthy"],
    );
    bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "web"]);
    let bundle = user.bundle(bed.bundle("web"));
    user.start(&bundle, "c1").unwrap();
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/a", "/etc/app/a"]), "aaaaaa");
    bed.eventually("what has been read has left", || user.exec("c1", &["ls", "/run/secrets"]) == "b\n");
    bed.eventually("the other is empty", || user.exec("c1", &["cat", "/etc/app/a"]).is_empty());
    bed.cli_ok(&["container", "healthy", "c1"]);
    assert_eq!(user.exec("c1", &["ls", "/run/secrets"]), "");
    user.stop("c1");
    bed.holds_nothing();
}
