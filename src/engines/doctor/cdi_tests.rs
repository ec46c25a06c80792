//! CDI files in every state, below a temporary root.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::finding::Level;

const HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";
const FILE: &str = "/etc/cdi/runsecrets.json";

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    /// With our hook, and a file with these devices.
    fn new(devices: &[&str]) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.put(HOOK, "");
        std::fs::set_permissions(machine.path(HOOK), Permissions::from_mode(0o755)).unwrap();
        machine.put(FILE, &specification(devices).to_string());
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        below(self.root.path(), Path::new(path))
    }

    fn put(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::fs::write(self.path(path), text).unwrap();
    }

    fn check(&self, services: Option<&[&str]>) -> Vec<Finding> {
        let services = services.map(|services| services.iter().map(|name| (*name).to_owned()).collect());
        check(&Known { root: self.root.path().to_owned(), run_dir: RUN_DIR.into(), services })
    }

    /// The one finding that is as bad as `level`; nothing is worse.
    #[track_caller]
    fn only(&self, services: &[&str], level: Level) -> String {
        let found = self.check(Some(services));
        assert!(found.iter().all(|finding| finding.level() <= level), "{found:?}");
        let mut bad = found.iter().filter(|finding| finding.level() == level);
        let (Some(one), None) = (bad.next(), bad.next()) else { panic!("{found:?}") };
        one.to_string()
    }
}

/// As `runsecrets cdi generate` writes it.
fn specification(devices: &[&str]) -> Value {
    let device = |name: &&str| {
        let hook = |stage: &str, verb: &str| json!({"hookName": stage, "path": HOOK, "args": ["runsecrets-hook", verb, "--service", name]});
        let hooks = [hook("createRuntime", "create-runtime"), hook("poststop", "poststop")];
        json!({"name": name, "containerEdits": {"hooks": hooks}})
    };
    json!({"cdiVersion": "0.5.0", "kind": KIND, "devices": devices.iter().map(device).collect::<Vec<_>>()})
}

#[test]
fn a_file_with_a_device_for_each_service_is_well() {
    let machine = Machine::new(&["db", "web"]);
    assert_eq!(machine.only(&["web", "db"], Level::Ok), format!("{FILE} has 2 devices"));
    machine.put("/etc/cdi/nvidia.yaml", "kind: nvidia.com/gpu\n");
    machine.put("/etc/cdi/other.json", "{");
    machine.only(&["web", "db"], Level::Ok);
    std::fs::remove_file(machine.path(FILE)).unwrap();
    assert_eq!(machine.check(Some(&["web"])), []);
}

#[test]
fn a_stale_file_is_a_warning() {
    let words = Machine::new(&["db"]).only(&["db", "web"], Level::Warning);
    assert!(
        words.contains("no device for web") && words.ends_with(&format!("cdi generate --output {FILE}")),
        "{words}"
    );
    let words = Machine::new(&["db", "web"]).only(&["db"], Level::Warning);
    assert!(words.contains("services that are gone, which refuse their containers: web"), "{words}");
    let found = Machine::new(&["db"]).check(None);
    assert_eq!(found.iter().map(Finding::level).max(), Some(Level::Unchecked), "{found:?}");
}

#[test]
fn a_hook_that_is_missing_is_an_error() {
    let machine = Machine::new(&["db"]);
    std::fs::remove_file(machine.path(HOOK)).unwrap();
    let words = machine.only(&["db"], Level::Error);
    assert!(
        words.contains(&format!("the hook {HOOK} is not there: no container with a device of it starts")),
        "{words}"
    );
}

#[test]
fn a_file_that_others_can_write_is_an_error() {
    let machine = Machine::new(&["db"]);
    std::fs::set_permissions(machine.path(FILE), Permissions::from_mode(0o666)).unwrap();
    assert!(machine.only(&["db"], Level::Error).contains("by which root runs hooks, is not root's alone"));
}

#[test]
fn a_device_that_is_not_as_we_make_it_is_an_error() {
    let machine = Machine::new(&[]);
    let mut changed = specification(&["db", "web"]);
    changed["devices"][1]["containerEdits"]["hooks"][0]["args"][3] = json!("db");
    machine.put(FILE, &changed.to_string());
    let words = machine.only(&["db", "web"], Level::Error);
    assert!(words.contains("names another service, for web"), "{words}");
    machine.put(FILE, "{");
    assert!(machine.only(&[], Level::Error).contains("is no JSON"));
}

#[test]
fn one_device_in_two_files_is_refused() {
    let machine = Machine::new(&["db"]);
    machine.put("/etc/cdi/second.json", &specification(&["db"]).to_string());
    let words = machine.only(&["db"], Level::Error);
    assert_eq!(
        words,
        "/etc/cdi/runsecrets.json and /etc/cdi/second.json have the same devices: engines refuse them; fix: keep one of them"
    );
    // In the second directory it has a place of its own.
    std::fs::remove_file(machine.path("/etc/cdi/second.json")).unwrap();
    machine.put("/var/run/cdi/second.json", &specification(&["db"]).to_string());
    assert_eq!(machine.check(Some(&["db"])).iter().map(Finding::level).max(), Some(Level::Ok));
}

#[test]
fn another_agents_file_is_told() {
    let machine = Machine::new(&[]);
    let mut elsewhere = specification(&["db"]);
    for hook in [0, 1] {
        let arguments = elsewhere["devices"][0]["containerEdits"]["hooks"][hook]["args"].as_array_mut().unwrap();
        arguments.extend([json!("--run-dir"), json!("/x")]);
    }
    machine.put(FILE, &elsewhere.to_string());
    assert!(machine.only(&["db"], Level::Warning).contains("asks the agent of /x"));
}
