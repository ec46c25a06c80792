//! Services as CDI devices: the file, and podman with `--device runsecrets.io/service=NAME`.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use testbed::{Bed, CLI, Canary, Podman, Runtime, words};

on_each_runtime!(
    a_device_brings_its_services_secrets,
    a_device_that_does_not_exist_is_refused,
    a_device_of_a_service_that_is_gone_is_refused,
    without_the_agent_it_is_refused,
    an_annotation_that_says_another_service_is_refused,
    two_devices_on_one_container_are_refused,
    the_agent_keeps_the_devices_as_the_services_are,
);

/// Where engines look.
const FILE: &str = "/etc/cdi/runsecrets.json";
const WEB: [&str; 2] = ["--device", "runsecrets.io/service=web"];

/// Two services, a podman without hooks.d, and the file as `cdi generate` writes it.
fn devices(runtime: Runtime) -> (Bed, Podman) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key", "source=key,target=/etc/app/key,uid=7,gid=8,mode=0440"]);
    bed.secret("other", b"o");
    bed.service("db", &["other"]);
    let podman = Podman::without_hooks(runtime);
    let output = generate(&podman, &bed);
    assert!(output.status.success(), "{}", words(&output));
    (bed, podman)
}

/// `cdi generate` where podman is.
fn generate(podman: &Podman, bed: &Bed) -> Output {
    let mut command = podman.inside(CLI);
    command.arg("--run-dir").arg(bed.place.run()).args(["cdi", "generate", "--output", FILE, "--hook"]);
    command.arg(testbed::hook()).output().unwrap()
}

fn a_device_brings_its_services_secrets(runtime: Runtime) {
    let (bed, podman) = devices(runtime);
    podman.start("plain", &[]).unwrap();
    assert!(!podman.run(&["exec", "plain", "ls", "/run/secrets/key"]).status.success());
    podman.start("web", &WEB).unwrap();
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    assert_eq!(podman.exec("web", &["stat", "-c", "%u:%g %a", "/etc/app/key"]), "7:8 440\n");
    podman.start("db", &["--device", "runsecrets.io/service=db"]).unwrap();
    assert_eq!(podman.exec("db", &["ls", "/run/secrets"]), "other\n");
    podman.remove("db");
    podman.ok(&["stop", "--time", "0", "web"]);
    bed.holds_nothing();
    podman.ok(&["start", "web"]);
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    podman.remove("web");
    bed.holds_nothing();
}

fn a_device_that_does_not_exist_is_refused(runtime: Runtime) {
    let (bed, podman) = devices(runtime);
    let said = podman.start("web", &["--device", "runsecrets.io/service=nobody"]).unwrap_err();
    assert!(said.contains("runsecrets.io/service=nobody"), "{said}");
    assert_eq!(podman.ok(&["ps", "--quiet"]), "");
    bed.holds_nothing();
}

fn a_device_of_a_service_that_is_gone_is_refused(runtime: Runtime) {
    let (bed, podman) = devices(runtime);
    bed.cli_ok(&["service", "rm", "web"]);
    refused(&podman, &bed, &WEB, "web");
}

fn without_the_agent_it_is_refused(runtime: Runtime) {
    let (mut bed, podman) = devices(runtime);
    bed.agent.stop();
    assert!(podman.start("web", &WEB).is_err());
    assert_eq!(podman.ok(&["ps", "--quiet"]), "");
}

fn an_annotation_that_says_another_service_is_refused(runtime: Runtime) {
    let (bed, podman) = devices(runtime);
    let options = [&WEB[..], &["--annotation", "io.runsecrets.service=db"]].concat();
    refused(&podman, &bed, &options, "argument says service 'web' and the container's annotation says 'db'");
}

fn two_devices_on_one_container_are_refused(runtime: Runtime) {
    let (bed, podman) = devices(runtime);
    let options = [&WEB[..], &["--device", "runsecrets.io/service=db"]].concat();
    refused(&podman, &bed, &options, "the container is service 'web' already and cannot be 'db' too");
}

/// The container does not start, `part` is what our hook says, and nothing is left.
fn refused(podman: &Podman, bed: &Bed, options: &[&str], part: &str) {
    let file = podman.path("said");
    let shown = format!("run.oci.hooks.stderr={}", file.display());
    let mut said = podman.start("web", &[options, &["--annotation", &shown]].concat()).unwrap_err();
    if bed.runtime == Runtime::Crun {
        said = std::fs::read_to_string(file).unwrap();
    }
    assert!(said.contains("runsecrets-hook: ") && said.contains(part), "{said}");
    assert_eq!(podman.ok(&["ps", "--quiet"]), "");
    bed.holds_nothing();
}

/// No `cdi generate`: podman looks where the agent writes.
fn the_agent_keeps_the_devices_as_the_services_are(runtime: Runtime) {
    let directory = tempfile::tempdir().unwrap();
    let bed = keeper(runtime, &directory.path().join("cdi/runsecrets.json"));
    bed.secret("key", b"k");
    let podman = Podman::without_hooks(runtime);
    bed.service("web", &["key"]);
    let output = podman.inside("mount").arg("--bind").arg(directory.path().join("cdi")).arg("/etc/cdi").output();
    assert!(output.unwrap().status.success());
    podman.start("web", &WEB).unwrap();
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key"]), "k");
    assert!(podman.start("db", &["--device", "runsecrets.io/service=db"]).is_err());
    podman.remove("db");
    bed.service("db", &["key"]);
    podman.start("db", &["--device", "runsecrets.io/service=db"]).unwrap();
    assert_eq!(podman.exec("db", &["cat", "/run/secrets/key"]), "k");
    for name in ["web", "db"] {
        podman.remove(name);
    }
    bed.cli_ok(&["service", "rm", "web"]);
    let said = podman.start("again", &WEB).unwrap_err();
    assert!(said.contains("runsecrets.io/service=web"), "{said}");
    bed.holds_nothing();
}

/// An agent that keeps this file.
fn keeper(runtime: Runtime, file: &Path) -> Bed {
    Bed::configured(runtime, &format!("[cdi]\nfile = {file:?}\nhook = {:?}\n", testbed::hook()))
}

#[test]
fn the_kept_file_is_there_while_there_are_services() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cdi/runsecrets.json");
    let mut bed = keeper(Runtime::Runc, &file);
    let canary = Canary::new();
    bed.secret("key", canary.value().as_bytes());
    assert!(!file.exists());
    bed.service("web", &["key"]);
    let directory_mode = std::fs::metadata(file.parent().unwrap()).unwrap().mode();
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!((directory_mode & 0o7777, metadata.mode() & 0o7777), (0o755, 0o644));
    canary.is_nowhere_in(&[directory.path().to_owned()]);
    let hook = testbed::hook();
    let generated = || bed.cli_ok(&["cdi", "generate", "--hook", hook.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), generated());
    // What does not change a device does not change the file, and engines do not read it again.
    bed.secret("other", b"o");
    bed.cli_ok(&["service", "update", "--secret-add", "other", "web"]);
    assert_eq!(std::fs::metadata(&file).unwrap().ino(), metadata.ino());
    bed.service("db", &["key"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), generated());
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);

    // An agent that starts writes it as the services are.
    let kept = generated();
    bed.agent.stop();
    for text in [None, Some("old")] {
        std::fs::remove_file(&file).unwrap();
        text.map_or(Ok(()), |text| std::fs::write(&file, text)).unwrap();
        bed.agent = bed.place.start();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
        bed.agent.stop();
    }
    bed.agent = bed.place.start();
    bed.cli_ok(&["service", "rm", "web"]);
    bed.cli_ok(&["service", "rm", "db"]);
    assert!(!file.exists());

    // A file that cannot be written is said, and the service is made.
    std::fs::create_dir(&file).unwrap();
    bed.service("web", &["key"]);
    bed.agent.log.wait_for("cannot keep");
    std::fs::remove_dir(&file).unwrap();
    bed.service("db", &["key"]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"web\""));
}

#[test]
fn behind_a_lock_the_file_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("runsecrets.json");
    let mut bed = keeper(Runtime::Runc, &file);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let on = bed.cli_ok(&["autolock", "on"]);
    let key = on.split_whitespace().find(|word| word.starts_with("RSKEY-1-")).unwrap();
    bed.cli_given(&["unlock", "-"], key.as_bytes());
    bed.agent.stop();
    std::fs::write(&file, "as it was").unwrap();
    bed.agent = bed.place.start();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was");
    bed.cli_given(&["unlock", "-"], key.as_bytes());
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"web\""));
}

#[test]
fn the_file_is_whole_readable_and_without_values() {
    let bed = Bed::new(Runtime::Runc);
    let canary = Canary::new();
    bed.secret("key", canary.value().as_bytes());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("runsecrets.json");
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let arguments = ["cdi", "generate", "--output", file.to_str().unwrap()];

    let output = bed.cli(&arguments);
    assert!(!output.status.success() && words(&output).contains("there is no service"), "{}", words(&output));
    assert_eq!(std::fs::read(&file).unwrap(), b"old");

    bed.service("web", &["key"]);
    bed.service("db.2", &[]);
    let before = std::fs::metadata(&file).unwrap().ino();
    bed.cli_ok(&arguments);
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    assert_ne!(metadata.ino(), before, "written in place");
    canary.is_nowhere_in(&[directory.path().to_owned()]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), bed.cli_ok(&["cdi", "generate"]));
    assert_eq!(bed.cli_ok(&["cdi", "list"]), "runsecrets.io/service=db.2\nrunsecrets.io/service=web\n");

    for wrong in [&["cdi", "generate", "--hook", "hook"][..], &["cdi", "generate", "--output", "/proc/x/y"]] {
        assert!(!bed.cli(wrong).status.success(), "{wrong:?}");
    }
}
