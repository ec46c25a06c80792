//! Machines with engines that are wired in every way, below a temporary root.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::model::RUN_DIR;

/// A machine with `docker`, which says that it is of this version.
fn machine(version: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), "/usr/bin/dockerd", &format!("#!/bin/sh\necho Docker version {version}, build 1\n"));
    root
}

/// Copied by another process: a file that this one has written may still be open in a child of another test, and then
/// does not run.
fn install(root: &Path, program: &str, text: &str) {
    put(root, "/text", text);
    std::fs::set_permissions(root.join("text"), Permissions::from_mode(0o755)).unwrap();
    let path = programs::below(root, Path::new(program));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("cp").arg(root.join("text")).arg(path).status().unwrap().success());
}

fn put(root: &Path, path: &str, text: &str) {
    let path = programs::below(root, Path::new(path));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn found(root: &Path) -> Vec<String> {
    let known = Known { root: root.to_owned(), run_dir: RUN_DIR.into(), services: Some(Vec::new()) };
    examine(&known).iter().map(|finding| format!("{}: {finding}", finding.level())).collect()
}

#[test]
fn an_engine_that_is_not_wired_is_a_note() {
    let root = machine("20.10.24");
    let found = found(root.path());
    assert!(found[0].starts_with("note: docker 20.10.24 is not wired: "), "{found:?}");
    assert_eq!(found.len(), 1);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(super::tests::found(empty.path()), ["note: no podman, Docker, containerd or CRI-O is installed"]);
}

#[test]
fn a_runtime_needs_its_program_and_its_hook() {
    let root = machine("20.10.24");
    let wrapper = "/usr/bin/runsecrets-runtime";
    put(
        root.path(),
        "/etc/docker/daemon.json",
        &format!(r#"{{"runtimes": {{"runsecrets": {{"path": "{wrapper}"}}}}}}"#),
    );
    let said = found(root.path()).join("\n");
    assert!(said.starts_with("error: docker 20.10.24, by ") && said.contains("which is not there"), "{said}");
    install(root.path(), wrapper, "");
    let said = found(root.path()).join("\n");
    assert!(
        said.contains("ok: docker 20.10.24 is wired by ")
            && said.contains("error: docker 20.10.24: the runtime's hook"),
        "{said}"
    );
    install(root.path(), INSTALLED_HOOK, "");
    let said = found(root.path());
    assert!(said.len() == 1 && said[0].starts_with("ok: docker 20.10.24 is wired by "), "{said:?}");
    let open = Permissions::from_mode(0o777);
    std::fs::set_permissions(programs::below(root.path(), Path::new(wrapper)), open).unwrap();
    let said = found(root.path()).join("\n");
    assert!(
        said.contains("error: docker 20.10.24: the runtime /usr/bin/runsecrets-runtime is not root's alone"),
        "{said}"
    );
}

#[test]
fn devices_are_for_engines_that_take_them() {
    assert!(has_cdi(Engine::Docker, Some("28.3.0")) && has_cdi(Engine::Containerd, Some("1.7.24")));
    assert!(has_cdi(Engine::Podman, Some("4.3.1")) && has_cdi(Engine::Crio, None));
    assert!(!has_cdi(Engine::Docker, Some("20.10.24+dfsg1")) && !has_cdi(Engine::Containerd, Some("1.6.20~ds1")));
    let root = machine("20.10.24");
    put(root.path(), "/etc/cdi/runsecrets.json", r#"{"kind": "runsecrets.io/service", "devices": []}"#);
    let said = found(root.path());
    assert!(said[0].contains("is not wired, being too old for CDI devices"), "{said:?}");
}
