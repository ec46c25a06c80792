//! `runsecrets doctor` on the real thing: a running agent, real sockets, and podman with our files in its hooks.d.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testbed::running_agent::{Place, base64, set_mode};
use testbed::{Bed, CLI, Podman, Runtime, WRAPPER, words};

const CLAIM: &str = "io.runsecrets.service=web";

/// The findings, and the exit status.
fn doctor(command: &mut Command) -> (Vec<Value>, i32) {
    let output = command.args(["doctor", "--format", "json"]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", words(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

fn of_run_dir(run_dir: &Path) -> Command {
    let mut command = Command::new(CLI);
    command.arg("--run-dir").arg(run_dir);
    command
}

/// What is said of `subject` that is as bad as `level`, with the fixes.
fn said(findings: &[Value], subject: &str, level: &str) -> String {
    let ours = findings.iter().filter(|finding| finding["Subject"] == subject && finding["Level"] == level);
    ours.map(|finding| format!("{}; fix: {}\n", finding["Finding"].as_str().unwrap(), finding["Fix"])).collect()
}

/// What is as bad as an error or a warning, of what does not depend on the engines of this machine.
fn faults(findings: &[Value]) -> Vec<&Value> {
    let is_fault = |finding: &&Value| finding["Level"] == "error" || finding["Level"] == "warning";
    findings.iter().filter(is_fault).filter(|finding| finding["Subject"] != "engines").collect()
}

#[test]
fn all_is_well_with_an_agent_that_runs() {
    let place = Place::new();
    let agent = place.start();
    agent.create("quite-a-name", &base64(b"quite a value"));
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    assert_eq!(faults(&findings), Vec::<&Value>::new());
    assert_eq!(code, 0, "{findings:?}");
    assert!(said(&findings, "agent", "ok").contains("keeps 1 secret, 0 services"));
    assert!(said(&findings, "sockets", "ok").contains(&format!("(process {})", agent.child.id())));
    for subject in ["agent", "sockets", "keys", "kernel", "swap"] {
        assert!(findings.iter().any(|finding| finding["Subject"] == subject), "{subject}: {findings:?}");
    }
    // The same in words, one line each, and nothing of a secret.
    let output = of_run_dir(&place.run()).arg("doctor").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(0), findings.len()), "{text}");
    assert!(text.starts_with("ok        agent     answers at "), "{text}");
    assert!(!text.contains("quite"), "{text}");
    // It has knocked at the hook's socket, and nobody was alarmed.
    assert!(!agent.log.text().contains("hung up"), "{}", agent.log.text());
}

#[test]
fn an_agent_that_is_down_or_was_killed_is_an_error() {
    let place = Place::new();
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    assert!(said(&findings, "agent", "error").contains("fix: \"systemctl start runsecrets-agent"), "{findings:?}");
    assert!(!said(&findings, "keys", "unchecked").is_empty() && !said(&findings, "kernel", "unchecked").is_empty());
    assert_eq!(code, 1);
    let mut agent = place.start();
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    assert_eq!(said(&findings, "sockets", "error").matches("was left by an agent that was killed").count(), 2);
    assert_eq!(code, 1);
}

#[test]
fn a_locked_agent_is_an_error() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    let unlock_key = bed.cli_ok(&["autolock", "on"]);
    let key = unlock_key.split_whitespace().find(|word| word.starts_with("RSKEY-")).unwrap().to_owned();
    let (findings, code) = doctor(&mut of_run_dir(&bed.place.run()));
    assert!(said(&findings, "keys", "warning").contains("begun and not confirmed"), "{findings:?}");
    assert_eq!(code, 2, "{findings:?}");
    bed.cli_given(&["unlock"], key.as_bytes());
    assert_eq!(doctor(&mut of_run_dir(&bed.place.run())).1, 0);
    let Bed { place, agent, .. } = bed;
    drop(agent);
    let agent = place.start();
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    assert!(said(&findings, "agent", "error").contains("is locked") && code == 1, "{findings:?}");
    assert!(said(&findings, "keys", "ok").contains("only wrapped"), "{findings:?}");
    drop(agent);
}

#[test]
fn what_was_changed_under_a_running_agent_is_an_error() {
    let place = Place::new();
    let _agent = place.start();
    set_mode(&place.hook(), 0o666);
    set_mode(&place.state(), 0o755);
    set_mode(&place.state().join("root.key"), 0o444);
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    let sockets = said(&findings, "sockets", "error");
    assert!(
        sockets.contains("has mode 0666, and the agent made it with 0600") && sockets.contains("chmod 0600"),
        "{sockets}"
    );
    let keys = said(&findings, "keys", "error");
    assert!(keys.contains("root.key has mode 0444") && keys.contains("chmod 0700"), "{keys}");
    assert_eq!(code, 1);
}

#[test]
fn another_process_behind_the_hooks_socket_is_an_impostor() {
    let place = Place::new();
    let _agent = place.start();
    std::fs::remove_file(place.hook()).unwrap();
    let _impostor = UnixListener::bind(place.hook()).unwrap();
    set_mode(&place.hook(), 0o600);
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    let sockets = said(&findings, "sockets", "error");
    let words = format!("process {} answers at {}, not the agent", std::process::id(), place.hook().display());
    assert!(sockets.contains(&words) && code == 1, "{findings:?}");
}

#[test]
fn the_fallback_in_force_and_what_it_means_are_told() {
    let place = Place::new();
    place.configure("[delivery]\nfilesystem = \"ramfs\"\n");
    let _agent = place.start();
    let (findings, code) = doctor(&mut of_run_dir(&place.run()));
    assert!(said(&findings, "kernel", "note").contains("its size is bounded by the agent alone"), "{findings:?}");
    assert_eq!(code, 0, "{findings:?}");
}

#[test]
fn who_may_not_ask_is_told_what_was_not_checked() {
    let place = Place::new();
    let _agent = place.start();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(for_everybody(&place));
    let (findings, code) = doctor(command.arg("--run-dir").arg(place.run()));
    assert!(said(&findings, "agent", "warning").contains("run doctor as root"), "{findings:?}");
    for subject in ["sockets", "keys", "kernel"] {
        assert!(!said(&findings, subject, "unchecked").is_empty(), "{subject}: {findings:?}");
    }
    assert_eq!((said(&findings, "sockets", "error"), code), (String::new(), 2));
}

/// A copy of the CLI where everybody may run it.
fn for_everybody(place: &Place) -> PathBuf {
    let path = place.path("runsecrets");
    assert!(Command::new("cp").arg(CLI).arg(&path).status().unwrap().success());
    set_mode(&path, 0o755);
    path
}

/// A copy of a program in a directory that is root's alone, as where it is installed.
fn installed(podman: &Podman, program: &Path, name: &str) -> PathBuf {
    let path = podman.path(name);
    assert!(Command::new("cp").arg(program).arg(&path).status().unwrap().success());
    path
}

/// A podman whose hook is one of its own, and can go away.
fn podman_with_hook(bed: &Bed) -> Podman {
    let podman = Podman::without_hooks(Runtime::Runc);
    let hook = installed(&podman, &testbed::hook(), "runsecrets-hook");
    for name in ["60-runsecrets-create.json", "60-runsecrets-poststop.json"] {
        podman.add_hook(name, &hook, &bed.place.run());
    }
    podman
}

/// As this podman's administrator sees it.
fn of_podman(podman: &Podman, bed: &Bed) -> (Vec<Value>, i32) {
    doctor(podman.inside(CLI).arg("--run-dir").arg(bed.place.run()))
}

fn is_there(output: &Output) -> bool {
    output.status.success()
}

#[test]
fn a_hook_that_is_missing_is_found_though_podman_starts_the_container() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let podman = podman_with_hook(&bed);
    let (findings, code) = of_podman(&podman, &bed);
    assert_eq!(faults(&findings), Vec::<&Value>::new());
    assert!(said(&findings, "hooks.d", "ok").contains("podman runs our hook by"), "{findings:?}");
    assert!(said(&findings, "engines", "ok").contains("is wired by the hooks of"), "{findings:?}");
    assert_eq!(code, 0, "{findings:?}");
    podman.start("with", &["--annotation", CLAIM]).unwrap();
    assert_eq!(podman.exec("with", &["cat", "/run/secrets/key"]), "k");

    std::fs::remove_file(podman.path("runsecrets-hook")).unwrap();
    podman.start("without", &["--annotation", CLAIM]).unwrap();
    assert!(!is_there(&podman.run(&["exec", "without", "ls", "/run/secrets/key"])));
    let (findings, code) = of_podman(&podman, &bed);
    let errors = said(&findings, "hooks.d", "error");
    assert!(
        errors.contains("starts containers WITHOUT their secrets") && errors.contains("fix: \"install"),
        "{errors}"
    );
    assert_eq!(code, 1);
}

#[test]
fn a_file_that_stops_every_container_is_found() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let podman = podman_with_hook(&bed);
    let broken = podman.path("hooks.d/50-other.json");
    for text in ["{", r#"{"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": {}, "stages": ["later"]}"#] {
        std::fs::write(&broken, text).unwrap();
        assert!(podman.start("any", &[]).is_err(), "podman takes {text}");
        let (findings, code) = of_podman(&podman, &bed);
        let errors = said(&findings, "hooks.d", "error");
        assert!(errors.contains("50-other.json") && errors.contains("podman starts no container at all"), "{errors}");
        assert_eq!(code, 1);
    }
    std::fs::write(
        &broken,
        r#"{"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": {"always": true}, "stages": ["prestart"]}"#,
    )
    .unwrap();
    let (findings, code) = of_podman(&podman, &bed);
    assert!(said(&findings, "hooks.d", "note").contains("50-other.json runs before ours"), "{findings:?}");
    assert_eq!(code, 0, "{findings:?}");
}

#[test]
fn a_cdi_file_that_is_older_than_the_services_is_found() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let podman = Podman::without_hooks(Runtime::Runc);
    let hook = installed(&podman, &testbed::hook(), "runsecrets-hook");
    podman.write("/etc/cdi/runsecrets.json", &bed.cli_ok(&["cdi", "generate", "--hook", hook.to_str().unwrap()]));
    let (findings, code) = of_podman(&podman, &bed);
    assert!(said(&findings, "cdi", "ok").contains("runsecrets.json has 1 device"), "{findings:?}");
    assert_eq!(code, 0, "{findings:?}");
    bed.service("db", &["key"]);
    assert!(podman.start("db", &["--device", "runsecrets.io/service=db"]).is_err());
    let (findings, code) = of_podman(&podman, &bed);
    let warnings = said(&findings, "cdi", "warning");
    assert!(warnings.contains("no device for db") && warnings.contains("cdi generate"), "{findings:?}");
    assert_eq!(code, 2);
}

/// A directory that is read later, with a file of the same name as ours.
#[test]
fn a_file_that_masks_ours_is_found_though_podman_starts_the_container() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let podman = podman_with_hook(&bed);
    let later = podman.path("later.d");
    std::fs::create_dir(&later).unwrap();
    configure(&podman, &["podman", "--hooks-dir", later.to_str().unwrap()]);
    podman.start("with", &["--annotation", CLAIM]).unwrap();
    assert_eq!(podman.exec("with", &["cat", "/run/secrets/key"]), "k");

    let other =
        r#"{"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": {"always": true}, "stages": ["poststart"]}"#;
    std::fs::write(later.join("60-runsecrets-create.json"), other).unwrap();
    podman.start("without", &["--annotation", CLAIM]).unwrap();
    assert!(!is_there(&podman.run(&["exec", "without", "ls", "/run/secrets/key"])));
    let (findings, code) = of_podman(&podman, &bed);
    let errors = said(&findings, "hooks.d", "error");
    assert!(errors.contains("podman reads no file that runs our hook at createRuntime"), "{findings:?}");
    assert!(said(&findings, "hooks.d", "warning").contains("later.d/60-runsecrets-create.json takes the place of"));
    assert_eq!(code, 1);
}

fn configure(podman: &Podman, arguments: &[&str]) {
    let output = podman.inside(CLI).arg("configure").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn a_runtime_that_is_configured_and_gone_is_found() {
    testbed::program("dockerd", "docker.io");
    let bed = Bed::new(Runtime::Runc);
    let podman = Podman::without_hooks(Runtime::Runc);
    let wrapper = installed(&podman, Path::new(WRAPPER), "runsecrets-runtime");
    installed(&podman, &testbed::hook(), "runsecrets-hook");
    configure(&podman, &["docker", "--runtime-path", wrapper.to_str().unwrap()]);
    let (findings, code) = of_podman(&podman, &bed);
    let wired = format!("is wired by /etc/docker/daemon.json, to {}", wrapper.display());
    assert!(said(&findings, "engines", "ok").contains(&wired) && code == 0, "{findings:?}");
    std::fs::remove_file(wrapper).unwrap();
    let (findings, code) = of_podman(&podman, &bed);
    assert!(said(&findings, "engines", "error").contains("which is not there") && code == 1, "{findings:?}");
}
