//! A container is told when its secrets have changed: by a signal to its first process, if its service asks for that.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use testbed::{Bed, Container, Runtime};

on_each_runtime!(
    the_first_process_is_told_after_each_change,
    nobody_is_told_where_nothing_has_changed,
    what_it_was_told_by_is_on_record,
);

/// Writes down what its secret is whenever it is told to.
const PROGRAM: &str = "trap 'cat /run/secrets/key >> /tmp/told' HUP; touch /tmp/ready; while :; do sleep 0.1; done";

fn bed(runtime: Runtime, more: &[&str]) -> (Bed, Container) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"one");
    bed.secret("other", b"o");
    bed.cli_ok(&[&["service", "create", "--name", "web", "--secret", "key"], more].concat());
    let container = bed.start(&bed.bundle("web").running(&["sh", "-c", PROGRAM]));
    bed.eventually("the program is ready", || container.try_exec(&["stat", "/tmp/ready"]).status.success());
    (bed, container)
}

fn told(container: &Container) -> String {
    container.exec(&["sh", "-c", "cat /tmp/told 2>/dev/null || true"])
}

fn the_first_process_is_told_after_each_change(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["--notify", "hup"]);
    assert_eq!(bed.cli_ok(&["ps", "--format", "{{.Notified}}"]), "\n");
    bed.cli_given(&["secret", "update", "key", "-"], b"two");
    bed.eventually("it has read the new value", || told(&container) == "two");
    assert!(bed.cli_ok(&["service", "ps", "web"]).contains("SIGHUP"), "{}", bed.cli_ok(&["service", "ps", "web"]));
    bed.cli_ok(&["service", "update", "web", "--secret-add", "other"]);
    bed.eventually("it has been told of a grant", || told(&container) == "twotwo");
    let events = bed.cli_ok(&["events", "--since", "10m", "--until", "0s", "--filter", "event=notify"]);
    assert_eq!(events.matches("SIGHUP").count(), 2, "{events}");
    // Not any more.
    bed.cli_ok(&["service", "update", "web", "--notify", ""]);
    bed.cli_given(&["secret", "update", "key", "-"], b"three");
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "three");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(told(&container), "twotwo");
}

fn nobody_is_told_where_nothing_has_changed(runtime: Runtime) {
    let (bed, container) = bed(runtime, &["--notify", "SIGHUP"]);
    bed.cli_given(&["secret", "update", "key", "-"], b"one");
    bed.cli_given(&["secret", "update", "other", "-"], b"p");
    bed.cli_given(&["secret", "update", "--live=false", "key", "-"], b"two");
    assert_eq!(bed.cli_ok(&["ps", "--format", "{{.Notified}}"]), "\n");
    assert_eq!(told(&container), "");
    let refused = bed.cli(&["service", "create", "--name", "odd", "--notify", "KILL"]);
    assert!(testbed::words(&refused).contains("'KILL' is no signal to tell a program by"));
}

/// What a container was told by is on record, also for an agent that is started later.
fn what_it_was_told_by_is_on_record(runtime: Runtime) {
    let (mut bed, container) = bed(runtime, &["--notify", "USR1"]);
    bed.cli_given(&["secret", "update", "key", "-"], b"two");
    let before = bed.cli_ok(&["ps", "--format", "{{.Notified}}"]);
    assert!(before.starts_with("SIGUSR1 "), "{before}");
    drop(bed.agent);
    bed.agent = bed.place.start();
    assert!(bed.cli_ok(&["ps", "--format", "{{.Notified}}"]).starts_with("SIGUSR1 "));
    // The program has no handler for it, and goes on.
    assert!(container.is_running());
}
