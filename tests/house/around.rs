//! The files around the code: hook registrations, the Makefile's verbs.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::root;

/// Where packages put the hook; the wrapper looks there too.
const INSTALLED_HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";

#[test]
fn registrations_call_the_hook_for_exactly_what_claims_a_service() {
    let mut stages = Vec::new();
    for entry in fs::read_dir(root().join("hooks")).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(file["version"], "1.0.0", "{}", path.display());
        assert_eq!(file["hook"]["path"], INSTALLED_HOOK);
        // A hook that is told no environment gets the runtime's own.
        assert!(file["hook"]["env"].as_array().unwrap().iter().all(|word| word.as_str().unwrap().starts_with("PATH=")));
        assert!(file["hook"]["timeout"].as_i64().unwrap() > 0);
        let keys: Vec<_> = file["when"]["annotations"].as_object().unwrap().keys().collect();
        // oci-hooks(5): the expressions are not anchored by themselves.
        assert_eq!(keys, [r"^io\.runsecrets\.service$"]);
        assert_eq!(file["when"].as_object().unwrap().len(), 1);
        // A registration does not say its stage to the hook: the arguments must.
        let stage = file["stages"][0].as_str().unwrap();
        let argument = if stage == "createRuntime" { "create-runtime" } else { stage };
        assert_eq!(file["hook"]["args"], serde_json::json!(["runsecrets-hook", argument]));
        assert_eq!(file["stages"].as_array().unwrap().len(), 1);
        stages.push(stage.to_owned());
    }
    stages.sort();
    assert_eq!(stages, ["createRuntime", "poststop"]);
}

#[test]
fn make_has_its_verbs_and_says_them() {
    let output = Command::new("make").arg("-C").arg(root()).arg("--no-print-directory").arg("help").output();
    let output = output.expect("make is missing; install it: apt-get install -y --no-install-recommends make");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for verb in ["help", "build", "demo", "test", "check", "bench", "fmt", "install", "deps"] {
        assert!(said.contains(&verb), "`make help` does not list {verb}: {said:?}");
    }
}
