//! Autolock: a machine that starts cannot open its own store until an operator brings the unlock key.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use testbed::{Bed, CLI, Runtime, words};

on_each_runtime!(a_locked_agent_delivers_nothing_and_an_unlocked_one_all);

/// The CLI with `input` on standard input.
fn given(bed: &Bed, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(CLI);
    command.arg("--run-dir").arg(bed.place.run()).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn new_key(said: &str) -> String {
    said.lines().map(str::trim).find(|line| line.starts_with("RSKEY-1-")).unwrap().to_owned()
}

fn restart(bed: &mut Bed) {
    bed.agent.stop();
    bed.agent = bed.place.start();
}

fn a_locked_agent_delivers_nothing_and_an_unlocked_one_all(runtime: Runtime) {
    let mut bed = Bed::new(runtime);
    bed.secret("key", b"hunter2");
    bed.service("web", &["key"]);
    let clear = bed.place.state().join("root.key");
    let root = std::fs::read(&clear).unwrap();
    let key = new_key(&bed.cli_ok(&["autolock", "on"]));
    // Not before it was given back: until then the machine still has its key.
    restart(&mut bed);
    assert!(bed.cli_ok(&["secret", "ls"]).contains("key"));
    assert!(words(&given(&bed, &["unlock"], &key)).contains("Autolock is on"));
    assert!(!clear.exists());
    for entry in std::fs::read_dir(bed.place.state()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(32).any(|window| window == root), "the root key is still on the disk");
        assert!(!bytes.windows(43).any(|window| window == &key.as_bytes()[8..]), "the unlock key is on the disk");
    }
    let container = bed.start(&bed.bundle("web"));

    restart(&mut bed);
    bed.agent.log.wait_for("locked: nothing is delivered");
    // A container that runs keeps what it has, and the agent still knows it.
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "hunter2");
    assert!(bed.cli_ok(&["ps"]).contains("web"));
    for arguments in [&["secret", "ls"][..], &["service", "ls"], &["secret", "inspect", "key"], &["autolock", "on"]] {
        let output = bed.cli(arguments);
        assert!(!output.status.success() && words(&output).contains("use `runsecrets unlock`"), "{}", words(&output));
    }
    bed.refuse_start(&bed.bundle("web"), "the agent is locked and needs to be unlocked");
    let wrong = format!("{}{}", &key[..50], if key.ends_with('A') { 'E' } else { 'A' });
    for text in [wrong.as_str(), "nonsense", "RSKEY-1-"] {
        let output = given(&bed, &["unlock"], text);
        assert!(!output.status.success(), "{text}");
        assert!(words(&output).contains("could not be unlocked: invalid key provided"), "{}", words(&output));
    }
    container.stop();

    assert!(words(&given(&bed, &["unlock"], &format!("{key}\n"))).contains("unlocked"));
    assert!(words(&given(&bed, &["unlock"], &key)).contains("was not locked"));
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "hunter2");
    container.stop();

    // Another unlock key in place of this one.
    assert!(!bed.cli(&["autolock", "on"]).status.success());
    let other = new_key(&words(&given(&bed, &["autolock", "on", "-"], &key)));
    restart(&mut bed);
    assert!(!given(&bed, &["unlock"], &key).status.success());
    assert!(given(&bed, &["unlock"], &other).status.success());
    // Off again.
    assert!(!given(&bed, &["autolock", "off"], &key).status.success());
    assert!(given(&bed, &["autolock", "off"], &other).status.success());
    assert_eq!(std::fs::read(&clear).unwrap(), root);
    restart(&mut bed);
    assert!(bed.cli_ok(&["secret", "ls"]).contains("key"));
    assert!(!bed.agent.log.text().contains("RSKEY"));
}
