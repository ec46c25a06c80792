//! Services as CDI devices: the file, and podman with `--device runsecrets.io/service=NAME`.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Output;

use testbed::{Bed, CLI, Canary, Podman, Runtime, words};

on_each_runtime!(
    a_device_brings_its_services_secrets,
    a_device_that_does_not_exist_is_refused,
    a_device_of_a_service_that_is_gone_is_refused,
    without_the_agent_it_is_refused,
    an_annotation_that_says_another_service_is_refused,
    two_devices_on_one_container_are_refused,
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
