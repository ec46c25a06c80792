//! Directories of hooks in every state, below a temporary root.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::finding::Level;

const FIRST: &str = "/usr/share/containers/oci/hooks.d";
const SECOND: &str = "/etc/hooks.d";
const HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";
const CREATE_FILE: &str = "60-runsecrets-create.json";
const POSTSTOP_FILE: &str = "60-runsecrets-poststop.json";

/// A machine with our hook installed and two directories.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.install(HOOK);
        [FIRST, SECOND].iter().for_each(|directory| std::fs::create_dir_all(machine.path(directory)).unwrap());
        machine
    }

    /// With both of our files, as they are shipped, in the first directory.
    fn wired() -> Self {
        let machine = Self::new();
        for name in [CREATE_FILE, POSTSTOP_FILE] {
            machine.put(FIRST, name, &shipped(name).to_string());
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        below(self.0.path(), Path::new(path))
    }

    fn install(&self, program: &str) {
        let path = self.path(program);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/true\n").unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    fn put(&self, directory: &str, name: &str, text: &str) {
        std::fs::write(self.path(directory).join(name), text).unwrap();
    }

    fn check(&self, wired: bool) -> Vec<Finding> {
        let known = Known { root: self.0.path().to_owned(), run_dir: RUN_DIR.into(), services: None };
        check("podman", &[FIRST.into(), SECOND.into(), "/none".into()], wired, &known)
    }

    /// The one finding that is as bad as `level`; nothing is worse.
    #[track_caller]
    fn only(&self, level: Level) -> String {
        let found = self.check(true);
        assert!(found.iter().all(|finding| finding.level() <= level), "{found:?}");
        let mut bad = found.iter().filter(|finding| finding.level() == level);
        let (Some(one), None) = (bad.next(), bad.next()) else { panic!("{found:?}") };
        one.to_string()
    }
}

fn shipped(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn other(program: &str, stage: &str) -> String {
    json!({"version": "1.0.0", "hook": {"path": program}, "when": {"always": true}, "stages": [stage]}).to_string()
}

#[test]
fn files_as_they_are_shipped_are_well() {
    let words = Machine::wired().only(Level::Ok);
    assert_eq!(words, format!("podman runs our hook by {FIRST}/{CREATE_FILE} and {FIRST}/{POSTSTOP_FILE}"));
    // Nothing is said of an engine that is not wired this way.
    assert_eq!(Machine::new().check(false), []);
}

#[test]
fn a_hook_that_is_missing_lets_containers_start_without_secrets() {
    let machine = Machine::wired();
    std::fs::remove_file(machine.path(HOOK)).unwrap();
    let found = machine.check(true);
    let errors: Vec<String> =
        found.iter().filter(|finding| finding.level() == Level::Error).map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{found:?}");
    assert!(errors[0].contains(&format!("{HOOK} is not there, so podman passes the file over")), "{errors:?}");
    assert!(errors[0].contains("WITHOUT their secrets; fix: install "), "{errors:?}");
}

#[test]
fn a_hook_that_does_not_run_or_is_not_roots_alone_is_an_error() {
    for (mode, words) in [(0o644, "is no executable file"), (0o777, "has mode 0777")] {
        let machine = Machine::wired();
        std::fs::set_permissions(machine.path(HOOK), Permissions::from_mode(mode)).unwrap();
        let found = machine.check(true);
        assert!(found.iter().any(|f| f.level() == Level::Error && f.to_string().contains(words)), "{found:?}");
    }
    let machine = Machine::wired();
    std::fs::set_permissions(machine.path(FIRST).join(CREATE_FILE), Permissions::from_mode(0o666)).unwrap();
    let words = machine.only(Level::Error);
    assert!(words.contains("by which root runs") && words.contains("has mode 0666"), "{words}");
}

#[test]
fn one_broken_file_stops_every_container() {
    for (text, words) in [
        ("{", "is no JSON"),
        ("[]", "has no version"),
        (r#"{"version": "2.0.0"}"#, "has no version"),
        (r#"{"version": "1.0.0", "hook": {}, "stages": ["poststop"]}"#, "names no program"),
        (r#"{"version": "1.0.0", "hook": {"path": "/x"}}"#, "names no stage"),
        (r#"{"version": "1.0.0", "hook": {"path": "/x"}, "stages": ["later"]}"#, "names the stage 'later'"),
    ] {
        let machine = Machine::wired();
        machine.put(SECOND, "50-other.json", text);
        let found = machine.only(Level::Error);
        assert!(found.starts_with(&format!("{SECOND}/50-other.json {words}")), "{found}");
        assert!(found.contains("podman starts no container at all; fix: repair or remove"), "{found}");
    }
    // What engines do not read cannot break them.
    let machine = Machine::wired();
    machine.put(FIRST, "README", "{");
    machine.only(Level::Ok);
}

#[test]
fn a_later_directory_masks_a_file_of_the_same_name() {
    let machine = Machine::wired();
    machine.install("/bin/other");
    machine.put(SECOND, CREATE_FILE, &other("/bin/other", "poststart"));
    let found: Vec<String> = machine.check(true).iter().map(ToString::to_string).collect();
    assert!(
        found.iter().any(|words| words.contains(&format!("{SECOND}/{CREATE_FILE} takes the place of"))),
        "{found:?}"
    );
    assert!(found.iter().any(|words| words.contains("no file that runs our hook at createRuntime")), "{found:?}");
    // Names count as they are written, whatever the order is made by.
    std::fs::remove_file(machine.path(SECOND).join(CREATE_FILE)).unwrap();
    machine.put(SECOND, &CREATE_FILE.to_uppercase().replace(".JSON", ".json"), &other("/bin/other", "poststart"));
    machine.only(Level::Ok);
}

#[test]
fn a_hook_that_runs_before_ours_is_named() {
    let machine = Machine::wired();
    machine.install("/bin/other");
    machine.put(SECOND, "10-early.json", &other("/bin/other", "prestart"));
    machine.put(SECOND, "20-end.json", &other("/bin/other", "poststop"));
    machine.put(SECOND, "90-late.json", &other("/bin/other", "createRuntime"));
    let words = machine.only(Level::Note);
    assert_eq!(words, format!("{SECOND}/10-early.json runs before ours, and sees no secrets in the container"));
}

#[test]
fn a_half_of_our_files_is_not_enough() {
    let machine = Machine::wired();
    std::fs::remove_file(machine.path(FIRST).join(POSTSTOP_FILE)).unwrap();
    assert!(machine.only(Level::Warning).contains("the agent scrubs all the same"));
    let machine = Machine::wired();
    std::fs::remove_file(machine.path(FIRST).join(CREATE_FILE)).unwrap();
    let words = machine.only(Level::Error);
    assert!(words.ends_with("containers start WITHOUT their secrets; fix: runsecrets configure podman"), "{words}");
    assert_eq!(machine.check(false).len(), 1);
}

#[test]
fn our_files_must_say_what_they_must() {
    let changed = |change: fn(&mut Value)| {
        let machine = Machine::wired();
        let mut file = shipped(CREATE_FILE);
        change(&mut file);
        machine.put(FIRST, CREATE_FILE, &file.to_string());
        machine
    };
    let words = changed(|file| file["hook"]["env"] = json!([])).only(Level::Warning);
    assert!(words.contains("sets no env"), "{words}");
    let words = changed(|file| file["when"] = json!({})).only(Level::Error);
    assert!(words.contains("never runs for one"), "{words}");
    let words = changed(|file| file["when"] = json!({"annotations": {"^other$": "."}})).only(Level::Error);
    assert!(words.contains("never runs for one"), "{words}");
    changed(|file| file["when"] = json!({"always": true})).only(Level::Ok);
    let asking = |file: &mut Value| file["hook"]["args"] = json!(["runsecrets-hook", "create-runtime", "--ask"]);
    let words = changed(asking).only(Level::Error);
    assert!(words.contains("an image can be taken for any service"), "{words}");
    let elsewhere =
        |file: &mut Value| file["hook"]["args"] = json!(["runsecrets-hook", "create-runtime", "--run-dir", "/x"]);
    let words = changed(elsewhere).only(Level::Warning);
    assert!(words.contains("asks the agent of /x"), "{words}");
}

#[test]
fn the_older_format_is_read_too() {
    let machine = Machine::wired();
    machine.put(SECOND, "10-old.json", r#"{"hook": "/bin/gone", "stage": ["prestart"], "cmds": [".*"]}"#);
    let found: Vec<String> =
        machine.check(true).iter().filter(|f| f.level() == Level::Note).map(ToString::to_string).collect();
    assert!(found[0].contains("10-old.json, not ours: /bin/gone is not there"), "{found:?}");
}
