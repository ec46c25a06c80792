//! `$CREDENTIALS_DIRECTORY` beside the files: a service that wants it, through the wrapper and through a CDI device.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::path::PathBuf;

use testbed::{Bed, Bundle, CLI, Container, Podman, Rootfs, Runtime, WRAPPER, words};

on_each_runtime!(
    the_wrapper_sets_it_where_the_service_wants_it,
    another_value_is_refused,
    without_an_answer_nothing_starts_without_it,
    a_device_sets_it,
);

const PRINT: [&str; 3] = ["sh", "-c", "cat $CREDENTIALS_DIRECTORY/key; sleep 1000"];

/// A service `web` that wants it and a service `plain` that does not.
fn bed(runtime: Runtime) -> Bed {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.cli_ok(&["service", "create", "--name", "web", "--secret", "key", "--credentials"]);
    bed.service("plain", &["key"]);
    bed
}

/// The wrapper with what an installed one would find by itself.
fn wrapper(bed: &Bed, more: &str) -> PathBuf {
    let path = bed.place.path("wrapped");
    let (real, hook, run_dir) = (bed.runtime.path(), testbed::hook(), bed.place.run());
    let own = format!("--real-runtime {} --hook {} --run-dir {}", real.display(), hook.display(), run_dir.display());
    testbed::running_agent::write_program(&path, &format!("#!/bin/sh\nexec {WRAPPER} {own} {more} \"$@\"\n"));
    path
}

fn bare() -> Bundle {
    let mut bundle = Bundle::new(Rootfs::busybox()).running(&PRINT);
    bundle.config["annotations"] = serde_json::json!({});
    bundle
}

/// Starts `bundle` by the wrapper.
fn start(bed: &Bed, bundle: &Bundle, more: &str) -> Result<Container, String> {
    Container::run_by(bed.runtime, &wrapper(bed, more), bundle)
}

/// What the first process has in its environment.
fn environment(container: &Container) -> Vec<String> {
    environment_of(container.pid())
}

fn environment_of(pid: i32) -> Vec<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let variables = environment.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    variables.filter(|text| text.starts_with("CREDENTIALS_DIRECTORY=")).collect()
}

fn the_wrapper_sets_it_where_the_service_wants_it(runtime: Runtime) {
    let bed = bed(runtime);
    for (bundle, more) in [(bare().claiming("web"), ""), (bare(), "--service web"), (bare().claiming("web"), "--ask")] {
        let container = start(&bed, &bundle, more).unwrap();
        assert_eq!(environment(&container), ["CREDENTIALS_DIRECTORY=/run/secrets"], "{more}");
        bed.eventually("the program has read its credential", || container.output() == "k");
        // Programs that come later have it too.
        assert_eq!(container.exec(&["sh", "-c", "cat $CREDENTIALS_DIRECTORY/key"]), "k");
        container.stop();
    }
    let container = start(&bed, &bare().claiming("plain"), "").unwrap();
    assert_eq!(environment(&container), [""; 0]);
    container.stop();
    // The one who knows no service has nothing.
    let container = start(&bed, &bare(), "--ask").unwrap();
    assert_eq!(environment(&container), [""; 0]);
    container.stop();

    // Switched off and on for those that start from then on.
    bed.cli_ok(&["service", "update", "--credentials=false", "web"]);
    assert!(!bed.cli_ok(&["service", "inspect", "--pretty", "web"]).contains("Credentials"));
    let container = start(&bed, &bare().claiming("web"), "").unwrap();
    assert_eq!(environment(&container), [""; 0]);
    container.stop();
    bed.cli_ok(&["service", "update", "--credentials", "plain"]);
    assert!(bed.cli_ok(&["service", "inspect", "--pretty", "plain"]).contains("Credentials:     true"));
    let container = start(&bed, &bare().claiming("plain"), "").unwrap();
    assert_eq!(environment(&container), ["CREDENTIALS_DIRECTORY=/run/secrets"]);
    container.stop();
    bed.holds_nothing();
}

fn with(variable: &str) -> Bundle {
    let mut bundle = bare().claiming("web");
    bundle.config["process"]["env"].as_array_mut().unwrap().push(variable.into());
    bundle
}

fn another_value_is_refused(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = with("CREDENTIALS_DIRECTORY=/elsewhere");
    let said = start(&bed, &bundle, "").map(drop).unwrap_err();
    assert!(said.contains("says another CREDENTIALS_DIRECTORY than its service, which wants /run/secrets"), "{said}");
    bed.holds_nothing();
    // The same value is no contradiction, and a service that wants none leaves it alone.
    let container = start(&bed, &with("CREDENTIALS_DIRECTORY=/run/secrets"), "").unwrap();
    assert_eq!(environment(&container), ["CREDENTIALS_DIRECTORY=/run/secrets"]);
    container.stop();
    bed.cli_ok(&["service", "update", "--credentials=false", "web"]);
    let container = start(&bed, &bundle, "").unwrap();
    assert_eq!(environment(&container), ["CREDENTIALS_DIRECTORY=/elsewhere"]);
    container.stop();
}

fn without_an_answer_nothing_starts_without_it(runtime: Runtime) {
    let mut bed = bed(runtime);
    bed.agent.stop();
    // Nobody listens: the hook says so.
    let said = start(&bed, &bare().claiming("web"), "").map(drop).unwrap_err();
    assert!(said.contains("cannot reach the agent"), "{said}");
    // Somebody listens, and hangs up.
    let _ = std::fs::remove_file(bed.place.hook());
    let listener = std::os::unix::net::UnixListener::bind(bed.place.hook()).unwrap();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    let said = start(&bed, &bare().claiming("web"), "").map(drop).unwrap_err();
    assert!(said.contains("runsecrets-runtime: cannot ask the agent at"), "{said}");
}

fn a_device_sets_it(runtime: Runtime) {
    let bed = bed(runtime);
    let podman = Podman::without_hooks(runtime);
    let mut command = podman.inside(CLI);
    command.arg("--run-dir").arg(bed.place.run()).args(["cdi", "generate", "--output", "/etc/cdi/runsecrets.json"]);
    let output = command.arg("--hook").arg(testbed::hook()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let first = |name: &str| {
        let pid = podman.ok(&["inspect", "--format", "{{.State.Pid}}", name]);
        environment_of(pid.trim_end().parse().unwrap())
    };
    podman.start("web", &["--device", "runsecrets.io/service=web"]).unwrap();
    assert_eq!(first("web"), ["CREDENTIALS_DIRECTORY=/run/secrets"]);
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key"]), "k");
    podman.start("plain", &["--device", "runsecrets.io/service=plain"]).unwrap();
    assert_eq!(first("plain"), [""; 0]);
    // podman sets what a device brings over what it is told, and does not set it for `podman exec`: the README says so.
    let options = ["--env", "CREDENTIALS_DIRECTORY=/elsewhere", "--device", "runsecrets.io/service=web"];
    podman.start("both", &options).unwrap();
    assert_eq!(first("both"), ["CREDENTIALS_DIRECTORY=/run/secrets"]);
    assert_eq!(podman.exec("web", &["sh", "-c", "echo $CREDENTIALS_DIRECTORY"]), "\n");
    for name in ["web", "plain", "both"] {
        podman.remove(name);
    }
    bed.holds_nothing();
}
