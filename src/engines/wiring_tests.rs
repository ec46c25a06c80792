//! A machine's files in a directory of its own: how its engines are wired.
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::survey::survey;
use super::*;

/// A root directory with these engines.
fn machine(engines: &[Engine]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for engine in engines {
        let version = match engine {
            Engine::Docker => "Docker version 20.10.24+dfsg1, build 5d6db84",
            Engine::Containerd => "containerd github.com/containerd/containerd/v2 v2.1.4 abc",
            Engine::Podman => "podman version 4.3.1",
            Engine::Crio => "crio version 1.33.0",
        };
        program(&root, &format!("/usr/bin/{}", engine.program()), &format!("echo {version}"));
    }
    root
}

fn put(root: &tempfile::TempDir, path: &str, text: &str) {
    let path = below(root.path(), path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn program(root: &tempfile::TempDir, path: &str, line: &str) {
    put(root, path, &format!("#!/bin/sh\n{line}\n"));
    fs::set_permissions(below(root.path(), path), fs::Permissions::from_mode(0o755)).unwrap();
}

/// How the one engine of the machine is wired, and by which file.
fn wired(root: &tempfile::TempDir) -> (String, Wired) {
    let found = survey(root.path());
    assert_eq!(found.len(), 1, "{found:?}");
    let config = found[0].config.strip_prefix(root.path()).unwrap().display().to_string();
    (config, found[0].wired.clone())
}

fn broken(root: &tempfile::TempDir, part: &str) {
    let (file, wired) = wired(root);
    let Wired::Broken(words) = wired else { panic!("{file}: {wired:?}") };
    assert!(words.contains(part), "{words}");
}

const HOOK_FILE: &str =
    r#"{"version":"1.0.0","hook":{"path":"/usr/libexec/runsecrets/runsecrets-hook"},"when":{},"stages":[]}"#;
const OURS: &str = "/usr/share/runsecrets/hooks.d";

#[test]
fn what_is_there_is_found_with_its_version_and_wired_by_nothing() {
    let root = machine(&Engine::ALL);
    let found = survey(root.path());
    let seen: Vec<_> = found.iter().map(|found| (found.engine, found.version.clone().unwrap())).collect();
    let versions = ["20.10.24+dfsg1", "2.1.4", "4.3.1", "1.33.0"].map(str::to_owned);
    assert_eq!(seen, Engine::ALL.into_iter().zip(versions).collect::<Vec<_>>());
    for found in found {
        assert_eq!(found.wired, Wired::No, "{}", found.engine);
        assert_eq!(found.config, below(root.path(), found.engine.config()));
    }
    assert_eq!(survey(machine(&[]).path()), vec![]);
}

#[test]
fn docker_by_a_runtime_whose_program_is_there() {
    let root = machine(&[Engine::Docker]);
    put(&root, "/etc/docker/daemon.json", r#"{"runtimes": {"runsecrets": {"path": "/usr/bin/runsecrets-runtime"}}}"#);
    broken(&root, "/usr/bin/runsecrets-runtime, which is not there");
    program(&root, "/usr/bin/runsecrets-runtime", "");
    let path = "/usr/bin/runsecrets-runtime".into();
    assert_eq!(wired(&root), ("etc/docker/daemon.json".to_owned(), Wired::Runtime { path }));
    put(&root, "/etc/docker/daemon.json", r#"{"runtimes": {"x": {"path": "runsecrets-runtime"}}}"#);
    assert_eq!(wired(&root).1, Wired::Runtime { path: "runsecrets-runtime".into() });
    put(&root, "/etc/docker/daemon.json", "{");
    broken(&root, "not JSON");
}

#[test]
fn containerd_by_its_main_file_or_one_that_it_imports() {
    let root = machine(&[Engine::Containerd]);
    program(&root, "/usr/bin/runsecrets-runtime", "");
    let class = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.x.options]\nBinaryName = '/usr/bin/runsecrets-runtime'\n";
    put(&root, "/etc/containerd/config.toml", "version = 3\n");
    put(&root, "/etc/containerd/conf.d/a.toml", &format!("version = 3\n{class}"));
    assert_eq!(wired(&root).1, Wired::No);
    put(&root, "/etc/containerd/config.toml", "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n");
    let runtime = || Wired::Runtime { path: "/usr/bin/runsecrets-runtime".into() };
    assert_eq!(wired(&root), ("etc/containerd/conf.d/a.toml".to_owned(), runtime()));
    put(&root, "/etc/containerd/config.toml", &format!("version = 3\n{class}"));
    assert_eq!(wired(&root), ("etc/containerd/config.toml".to_owned(), runtime()));
}

#[test]
fn podman_by_the_list_that_wins() {
    let root = machine(&[Engine::Podman]);
    put(&root, "/usr/share/containers/oci/hooks.d/60-runsecrets-create.json", HOOK_FILE);
    broken(&root, "runsecrets-hook, which is not there: containers start without their secrets");
    program(&root, "/usr/libexec/runsecrets/runsecrets-hook", "");
    assert_eq!(wired(&root).1, Wired::Hooks { dir: "/usr/share/containers/oci/hooks.d".into() });

    put(&root, "/etc/containers/containers.conf.d/99-runsecrets.conf", &format!("[engine]\nhooks_dir = ['{OURS}']\n"));
    broken(&root, "no file there calls our hook");
    put(&root, &format!("{OURS}/60-runsecrets-create.json"), HOOK_FILE);
    let ours = ("etc/containers/containers.conf.d/99-runsecrets.conf".to_owned(), Wired::Hooks { dir: OURS.into() });
    assert_eq!(wired(&root), ours);
    put(&root, "/etc/containers/containers.conf.d/zz.conf", "[engine]\nhooks_dir = ['/none']\n");
    assert_eq!(wired(&root).1, Wired::No);
    put(&root, "/etc/cdi/runsecrets.json", r#"{"cdiVersion":"0.5.0","kind":"runsecrets.io/service"}"#);
    assert_eq!(wired(&root), ("etc/cdi/runsecrets.json".to_owned(), Wired::Cdi));
    put(&root, "/none/x.json", "{");
    broken(&root, "no container starts");
}

#[test]
fn crio_by_its_directory_or_by_a_runtime() {
    let root = machine(&[Engine::Crio]);
    program(&root, "/usr/libexec/runsecrets/runsecrets-hook", "");
    program(&root, "/usr/bin/runsecrets-runtime", "");
    put(&root, &format!("{OURS}/60-runsecrets-create.json"), HOOK_FILE);
    let runtime = "[crio.runtime.runtimes.runsecrets]\nruntime_path = '/usr/bin/runsecrets-runtime'\n";
    put(&root, "/etc/crio/crio.conf", runtime);
    assert_eq!(wired(&root).1, Wired::Runtime { path: "/usr/bin/runsecrets-runtime".into() });
    put(&root, "/etc/crio/crio.conf.d/x", &format!("[crio.runtime]\nhooks_dir = ['{OURS}']\n"));
    assert_eq!(wired(&root), ("etc/crio/crio.conf.d/x".to_owned(), Wired::Hooks { dir: OURS.into() }));
}
