//! A machine's files in a directory of its own: which of them change, and what becomes of them.
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Machine(tempfile::TempDir);

impl Machine {
    /// A machine with these files.
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = below(machine.0.path(), path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            if path.parent().unwrap().ends_with("bin") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        machine
    }

    fn with_containerd(version: &str, config: &str) -> Self {
        let program = format!("#!/bin/sh\necho containerd github.com/containerd/containerd/v2 {version} x\n");
        Self::new(&[("/usr/bin/containerd", &program), ("/etc/containerd/config.toml", config)])
    }

    /// All files below /etc with their texts.
    fn files(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut directories = vec![self.0.path().join("etc")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(self.0.path()).unwrap().display().to_string();
                    found.push((name, fs::read_to_string(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    /// Does it; the files that were changed, and what was said.
    fn apply(
        &self,
        engine: Engine,
        uninstall: bool,
        wish: &Wish,
    ) -> Result<(Vec<String>, Vec<String>), ConfigureError> {
        let (changes, notes) = plan(&Task { root: self.0.path(), engine, config: None, uninstall, wish })?;
        let mut changed = Vec::new();
        for change in changes.iter().filter(|change| !change.is_none()) {
            change.apply()?;
            changed.push(change.path().strip_prefix(self.0.path()).unwrap().display().to_string());
        }
        Ok((changed, notes))
    }

    /// Installs, installs again, takes out again, with everything as it was then: the changed file and its text.
    fn round_trip(&self, engine: Engine, wish: &Wish) -> (String, String) {
        let before = self.files();
        let changed = self.apply(engine, false, wish).unwrap().0;
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!(self.apply(engine, false, wish).unwrap().0, [""; 0], "not idempotent");
        let text = fs::read_to_string(self.0.path().join(&changed[0])).unwrap();
        assert_eq!(self.apply(engine, true, wish).unwrap().0, changed);
        assert_eq!(self.files(), before);
        assert_eq!(self.apply(engine, true, wish).unwrap().0, [""; 0]);
        (changed[0].clone(), text)
    }
}

const OURS: &str = "/usr/share/runsecrets/hooks.d";

#[test]
fn containerd_that_merges_drop_ins_gets_one() {
    let main = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n";
    for (version, config, expected) in [
        ("v2.2.0", main, "etc/containerd/conf.d/99-runsecrets.toml"),
        ("v2.0.5", main, "etc/containerd/config.toml"),
        ("v2.2.0", "version = 3\n", "etc/containerd/config.toml"),
        ("v2.2.0", "version = 3\nimports = ['/etc/other/*.toml']\n", "etc/containerd/config.toml"),
        ("v2.2.0", "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n", "etc/containerd/config.toml"),
        ("1.6.20", "version = 2\n", "etc/containerd/config.toml"),
        ("1.6.20", "", "etc/containerd/config.toml"),
    ] {
        let (file, text) = Machine::with_containerd(version, config).round_trip(Engine::Containerd, &Wish::default());
        assert_eq!(file, expected, "{version}: {config}");
        if file.contains("conf.d") {
            assert!(text.starts_with("# By `runsecrets configure`") && text.contains("\nversion = 3\n"), "{text}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_gets_the_newest_format_of_the_program() {
    for (version, first) in [("v2.1.0", "version = 3\n"), ("1.7.24", "version = 2\n")] {
        let machine = Machine::with_containerd(version, "");
        fs::remove_file(machine.0.path().join("etc/containerd/config.toml")).unwrap();
        let (_, text) = machine.round_trip(Engine::Containerd, &Wish::default());
        assert!(text.starts_with(first), "{version}: {text}");
    }
    let (file, _) = Machine::new(&[]).round_trip(Engine::Docker, &Wish::default());
    assert_eq!(file, "etc/docker/daemon.json");
}

#[test]
fn podman_and_crio_get_a_file_with_what_the_others_have() {
    for (engine, first, second, table) in [
        (Engine::Podman, "/usr/share/containers/containers.conf", "/etc/containers/containers.conf", "engine"),
        (Engine::Crio, "/etc/crio/crio.conf", "/etc/crio/crio.conf.d/01-x.conf", "crio.runtime"),
    ] {
        let list = |dir: &str| format!("[{table}]\nhooks_dir = ['{dir}']\n");
        let machine = Machine::new(&[(first, &list("/a")), (second, &list("/b"))]);
        let (file, text) = machine.round_trip(engine, &Wish::default());
        assert!(file.ends_with(".conf.d/99-runsecrets.conf"), "{file}");
        assert!(text.starts_with("# By `runsecrets configure`"), "{text}");
        assert!(text.ends_with(&format!("[{table}]\nhooks_dir = [\"/b\", \"{OURS}\"]\n")), "{text}");
    }
}

#[test]
fn a_list_that_would_replace_ours_is_named() {
    for (engine, later, table) in [
        (Engine::Podman, "/etc/containers/containers.conf.d/zz.conf", "engine"),
        (Engine::Crio, "/etc/crio/crio.conf.d/zz", "crio.runtime"),
    ] {
        let machine = Machine::new(&[(later, &format!("[{table}]\nhooks_dir = []\n"))]);
        let before = machine.files();
        let error = machine.apply(engine, false, &Wish::default()).unwrap_err().to_string();
        assert!(error.contains(later) && error.contains("--config"), "{error}");
        assert_eq!(machine.files(), before);
        // A broken file of others is named, too.
        fs::write(below(machine.0.path(), later), "[").unwrap();
        let error = machine.apply(engine, false, &Wish::default()).unwrap_err().to_string();
        assert!(error.contains(later) && error.contains("not TOML"), "{error}");
    }
}

#[test]
fn what_is_in_the_list_already_needs_no_file() {
    let list = format!("[engine]\nhooks_dir = ['{OURS}']\n");
    let machine = Machine::new(&[("/etc/containers/containers.conf", &list)]);
    assert_eq!(machine.apply(Engine::Podman, false, &Wish::default()).unwrap().0, [""; 0]);
}

#[test]
fn crio_has_the_one_or_the_other() {
    let machine = Machine::new(&[("/etc/crio/crio.conf", "[crio.runtime.runtimes.runc]\nruntime_root = '/r'\n")]);
    let as_runtime = Wish { as_runtime: true, ..Wish::default() };
    let (file, text) = machine.round_trip(Engine::Crio, &as_runtime);
    assert!(text.contains("runtime_root = '/r'"), "{text}");
    let path = machine.0.path().join(file);
    let parts = || {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# By `runsecrets configure`"), "{text}");
        (text.contains("hooks_dir"), text.contains("runtime_path"))
    };
    machine.apply(Engine::Crio, false, &Wish::default()).unwrap();
    assert_eq!(parts(), (true, false));
    machine.apply(Engine::Crio, false, &as_runtime).unwrap();
    assert_eq!(parts(), (false, true));
    machine.apply(Engine::Crio, false, &Wish::default()).unwrap();
    assert_eq!(parts(), (true, false));
    machine.apply(Engine::Crio, false, &as_runtime).unwrap();
    machine.apply(Engine::Crio, true, &Wish::default()).unwrap();
    assert!(!path.exists());

    let default = Machine::new(&[("/etc/crio/crio.conf", "[crio.runtime]\ndefault_runtime = 'runsecrets'\n")]);
    let error = default.apply(Engine::Crio, true, &Wish::default()).unwrap_err().to_string();
    assert!(error.contains("default_runtime names runsecrets"), "{error}");
}

#[test]
fn what_others_put_into_our_file_stays() {
    let machine = Machine::new(&[]);
    machine.apply(Engine::Podman, false, &Wish::default()).unwrap();
    let path = below(machine.0.path(), podman::DROP_IN);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}runtime = \"crun\"\n")).unwrap();
    machine.apply(Engine::Podman, true, &Wish::default()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().replace(HEADER, ""), "[engine]\nruntime = \"crun\"\n");
}

#[test]
fn what_is_not_installed_is_said() {
    let machine = Machine::new(&[]);
    let said = |engine| machine.apply(engine, false, &Wish::default()).unwrap().1.join("\n");
    assert!(said(Engine::Docker).contains("/usr/bin/runsecrets-runtime is not there"));
    assert!(said(Engine::Podman).contains("/usr/share/runsecrets/hooks.d is not there"));
}

#[test]
fn a_file_that_containerd_2_takes_nothing_from_is_refused() {
    let old = "[plugins.cri]\n  sandbox_image = \"pause\"\n";
    for (version, refused) in [("v2.1.9", true), ("1.6.20", false)] {
        let machine = Machine::with_containerd(version, old);
        let applied = machine.apply(Engine::Containerd, false, &Wish::default());
        assert_eq!(applied.is_err(), refused, "{version}");
        if let Err(error) = applied {
            assert!(error.to_string().contains("containerd config migrate"), "{error}");
            assert_eq!(machine.files()[0].1, old);
        }
    }
}
