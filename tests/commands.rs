//! A container is told that its secrets have changed by a command: a program of root's that `runsecrets notifier` runs.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use testbed::running_agent::set_mode;
use testbed::{Bed, CLI, Container, Runtime, User};

on_each_runtime!(
    the_runtimes_own_exec_makes_a_program_reload,
    what_waits_for_a_notifier_is_run_when_there_is_one,
    a_program_is_told_what_changed_and_no_value,
    a_program_that_others_can_write_is_not_run,
    changes_while_a_command_runs_are_one_more_run,
    an_end_that_no_agent_hears_is_told_to_the_next,
    a_program_of_roots_is_given_no_users_container,
);

/// Reads its secret when it is told to.
const PROGRAM: &str = "trap 'cat /run/secrets/key >> /tmp/told' HUP; touch /tmp/ready; while :; do sleep 0.1; done";

struct Notifier(Child);

impl Notifier {
    fn start(bed: &Bed) -> Self {
        let mut command = Command::new(CLI);
        command.arg("--run-dir").arg(bed.place.run()).args(["notifier", "--directory"]).arg(directory(bed));
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn directory(bed: &Bed) -> PathBuf {
    bed.place.path("notify.d")
}

fn write_program(bed: &Bed, name: &str, script: &str) {
    let _ = std::fs::create_dir(directory(bed));
    set_mode(&directory(bed), 0o755);
    testbed::running_agent::write_program(&directory(bed).join(name), &format!("#!/bin/sh\n{script}\n"));
}

fn bed(runtime: Runtime, command: &str) -> (Bed, Container) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"one");
    bed.cli_ok(&["service", "create", "--name", "web", "--secret", "key", "--notify-command", command]);
    let container = bed.start(&bed.bundle("web").running(&["sh", "-c", PROGRAM]));
    bed.eventually("the program is ready", || container.try_exec(&["stat", "/tmp/ready"]).status.success());
    (bed, container)
}

fn update(bed: &Bed, value: &[u8]) {
    bed.cli_given(&["secret", "update", "key", "-"], value);
}

fn notified(bed: &Bed) -> String {
    bed.cli_ok(&["service", "ps", "--format", "{{.Notified}}", "web"])
}

/// As an operator would write it: the runtime that made the container, its root, its exec.
fn by_the_runtime(container: &Container) -> String {
    let command = container.command();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"))).collect();
    format!("exec {} exec \"$RUNSECRETS_CONTAINER\" \"$@\"", words.join(" "))
}

fn the_runtimes_own_exec_makes_a_program_reload(runtime: Runtime) {
    let (bed, container) = bed(runtime, "in-container busybox kill -HUP 1");
    write_program(&bed, "in-container", &by_the_runtime(&container));
    let _notifier = Notifier::start(&bed);
    assert_eq!(notified(&bed), "\n");
    update(&bed, b"two");
    bed.eventually("it has read the new value", || {
        container.exec(&["sh", "-c", "cat /tmp/told 2>/dev/null || true"]) == "two"
    });
    bed.eventually("that is said", || notified(&bed).starts_with("in-container exit 0 "));
    let events = || bed.cli_ok(&["events", "--since", "10m", "--until", "0s", "--filter", "event=notify"]);
    bed.eventually("those who watch are told", || events().contains("outcome=exit 0"));
    let shown = bed.cli_ok(&["service", "inspect", "web"]);
    assert!(shown.contains("\"NotifyCommand\": [\n"), "{shown}");
    // Another command, which fails; and then none.
    bed.cli_ok(&["service", "update", "web", "--notify-command", "in-container false"]);
    update(&bed, b"three");
    bed.eventually("its status is said", || notified(&bed).starts_with("in-container exit 1 "));
    bed.cli_ok(&["service", "update", "web", "--notify-command", ""]);
    update(&bed, b"four");
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "four");
    assert!(notified(&bed).starts_with("in-container exit 1 "));
    for wrong in ["/bin/sh", "../x", "x 'a b'"] {
        let refused = bed.cli(&["service", "update", "web", "--notify-command", wrong]);
        assert_eq!(refused.status.code(), Some(125), "{wrong}: {}", testbed::words(&refused));
    }
}

fn what_waits_for_a_notifier_is_run_when_there_is_one(runtime: Runtime) {
    let (mut bed, _container) = bed(runtime, "note");
    write_program(&bed, "note", &format!("echo ran >> {}", bed.place.path("ran").display()));
    update(&bed, b"two");
    assert!(notified(&bed).starts_with("note waiting for runsecrets notifier "), "{}", notified(&bed));
    // Also one that has waited for longer than the agent has lived.
    drop(bed.agent);
    bed.agent = bed.place.start();
    let notifier = Notifier::start(&bed);
    bed.eventually("it is run", || notified(&bed).starts_with("note exit 0 "));
    // A notifier lives longer than an agent.
    drop(bed.agent);
    bed.agent = bed.place.start();
    update(&bed, b"three");
    bed.eventually("it is run again", || std::fs::read_to_string(bed.place.path("ran")).unwrap() == "ran\nran\n");
    drop(notifier);
}

fn a_program_is_told_what_changed_and_no_value(runtime: Runtime) {
    let (bed, container) = bed(runtime, "note these words");
    let told = bed.place.path("told");
    write_program(&bed, "note", &format!("{{ echo \"$@\"; env; }} > {0}.new; mv {0}.new {0}", told.display()));
    let _notifier = Notifier::start(&bed);
    update(&bed, b"MARKED-VALUE");
    bed.eventually("it is run", || told.exists());
    let text = std::fs::read_to_string(&told).unwrap();
    let expected = [
        "these words".to_owned(),
        format!("RUNSECRETS_CONTAINER={}", container.id),
        "RUNSECRETS_SERVICE=web".to_owned(),
        format!("RUNSECRETS_PID={}", container.pid()),
        "RUNSECRETS_SECRETS=key:2".to_owned(),
        format!("RUNSECRETS_RUN_DIR={}", bed.place.run().display()),
    ];
    for line in expected {
        assert!(text.lines().any(|it| it == line), "no {line} in: {text}");
    }
    assert!(!text.contains("MARKED"), "{text}");
}

fn a_program_that_others_can_write_is_not_run(runtime: Runtime) {
    let (bed, _container) = bed(runtime, "note");
    let ran = bed.place.path("ran");
    write_program(&bed, "note", &format!("touch {}", ran.display()));
    set_mode(&directory(&bed).join("note"), 0o777);
    let _notifier = Notifier::start(&bed);
    update(&bed, b"two");
    bed.eventually("that is said", || notified(&bed).contains("note not run: "));
    assert!(notified(&bed).contains("can be written by others than root"), "{}", notified(&bed));
    assert!(!ran.exists());
    bed.cli_ok(&["service", "update", "web", "--notify-command", "nothing"]);
    update(&bed, b"three");
    bed.eventually("that is said", || notified(&bed).contains("nothing not run: cannot look at"));
}

fn changes_while_a_command_runs_are_one_more_run(runtime: Runtime) {
    let (bed, _container) = bed(runtime, "slow");
    let (ran, go) = (bed.place.path("ran"), bed.place.path("go"));
    let script = "echo \"$RUNSECRETS_SECRETS\" >> RAN; while [ ! -e GO ]; do sleep 0.05; done";
    write_program(&bed, "slow", &script.replace("RAN", ran.to_str().unwrap()).replace("GO", go.to_str().unwrap()));
    let _notifier = Notifier::start(&bed);
    let text = || std::fs::read_to_string(&ran).unwrap_or_default();
    update(&bed, b"two");
    bed.eventually("it runs", || text() == "key:2\n");
    // Neither waits for it.
    update(&bed, b"three");
    update(&bed, b"four");
    assert!(notified(&bed).starts_with("slow running "), "{}", notified(&bed));
    std::fs::write(&go, "").unwrap();
    bed.eventually("it has run once more", || text() == "key:2\nkey:4\n");
    bed.eventually("and ended", || notified(&bed).starts_with("slow exit 0 "));
}

fn an_end_that_no_agent_hears_is_told_to_the_next(runtime: Runtime) {
    let (mut bed, _container) = bed(runtime, "slow");
    let [ran, go, done] = ["ran", "go", "done"].map(|name| bed.place.path(name));
    let script = "echo ran >> RAN; while [ ! -e GO ]; do sleep 0.05; done; touch DONE";
    let script = script.replace("RAN", ran.to_str().unwrap()).replace("GO", go.to_str().unwrap());
    write_program(&bed, "slow", &script.replace("DONE", done.to_str().unwrap()));
    let _notifier = Notifier::start(&bed);
    update(&bed, b"two");
    bed.eventually("it runs", || ran.exists());
    let _ = (bed.agent.child.kill(), bed.agent.child.wait());
    std::fs::write(&go, "").unwrap();
    bed.eventually("it has ended", || done.exists());
    bed.agent = bed.place.start();
    bed.eventually("that is said", || notified(&bed).starts_with("slow exit 0 "));
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "ran\n", "it was taken for lost, and run again");
}

/// What a user calls a container may be what root calls another.
fn a_program_of_roots_is_given_no_users_container(runtime: Runtime) {
    let user = User::new(runtime);
    let bed = Bed::configured(runtime, "[rootless]\nenabled = true\n");
    bed.secret("key", b"one");
    bed.cli_ok(&["service", "create", "--name", "web", "--secret", "key", "--notify-command", "note"]);
    bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "web"]);
    let ran = bed.place.path("ran");
    write_program(&bed, "note", &format!("touch {}", ran.display()));
    let _notifier = Notifier::start(&bed);
    user.start(&user.bundle(bed.bundle("web")), "c1").unwrap();
    bed.eventually("it is listed", || bed.cli_ok(&["ps", "--quiet"]) == "c1\n");
    update(&bed, b"two");
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key"]), "two");
    assert!(notified(&bed).starts_with("note not run: it is a user's container"), "{}", notified(&bed));
    assert!(!ran.exists());
    user.stop("c1");
}

/// The time that a command has does not depend on a runtime.
#[test]
fn a_command_that_does_not_end_is_ended() {
    let (bed, container) = bed(Runtime::Runc, "hang");
    write_program(&bed, "hang", "sleep 1000 & exec sleep 1001");
    let _notifier = Notifier::start(&bed);
    update(&bed, b"two");
    bed.eventually("it runs", || notified(&bed).starts_with("hang running "));
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "two", "nothing waits for it");
    bed.eventually("it is ended", || notified(&bed).starts_with("hang timed out "));
}
