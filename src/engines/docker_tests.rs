//! daemon.json before and after, for each form in which people have it.
use super::*;

fn wish() -> Wish {
    Wish::default()
}

/// Installs, installs again, takes out again: what the file becomes in between.
fn round_trip(before: &str, wish: &Wish) -> String {
    let after = install(before, wish).unwrap().text;
    assert_eq!(install(&after, wish).unwrap().text, after, "not idempotent");
    if !before.trim().is_empty() {
        assert_eq!(uninstall(&after).unwrap(), before);
    }
    assert_eq!(uninstall(before).unwrap(), before);
    after
}

const FRESH: &str = r#"{
    "runtimes": {
        "runsecrets": {
            "path": "/usr/bin/runsecrets-runtime"
        }
    }
}
"#;

#[test]
fn a_file_that_is_missing_or_empty_is_made() {
    assert_eq!(round_trip("", &wish()), FRESH);
    assert_eq!(install("\n", &wish()).unwrap().text, FRESH);
    assert_eq!(install("{}\n", &wish()).unwrap().text, FRESH);
    assert!(is_blank(&uninstall(FRESH).unwrap()) && is_blank("") && !is_blank("[1]"));
}

#[test]
fn other_settings_keep_their_place_and_look() {
    let before = r#"{
  "exec-opts": ["native.cgroupdriver=systemd"],   "log-driver":"journald",
  "runtimes": {
    "nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}
  },
  "storage-driver": "overlay2"
}"#;
    let after = r#"{
  "exec-opts": ["native.cgroupdriver=systemd"],   "log-driver":"journald",
  "runtimes": {
    "nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []},
    "runsecrets": {
      "path": "/usr/bin/runsecrets-runtime"
    }
  },
  "storage-driver": "overlay2"
}"#;
    assert_eq!(round_trip(before, &wish()), after);
}

#[test]
fn one_line_stays_one_line() {
    let after = round_trip(r#"{"debug": true}"#, &wish());
    assert_eq!(after, r#"{"debug": true, "runtimes": {"runsecrets":{"path":"/usr/bin/runsecrets-runtime"}}}"#);
}

#[test]
fn the_default_runtime_is_called_behind_the_wrapper_with_its_arguments() {
    let before = r#"{
	"default-runtime": "crun",
	"runtimes": {
		"crun": {"path": "/opt/crun", "runtimeArgs": ["--debug"]}
	}
}
"#;
    let wish = Wish { claim_from_environment: true, hook: Some("/opt/hook".to_owned()), ..wish() };
    let after = round_trip(before, &wish);
    let ours = r#",
		"runsecrets": {
			"path": "/usr/bin/runsecrets-runtime",
			"runtimeArgs": ["--real-runtime", "/opt/crun", "--hook", "/opt/hook", "--debug"]
		},
		"runsecrets-env": {
			"path": "/usr/bin/runsecrets-runtime",
			"runtimeArgs": ["--real-runtime", "/opt/crun", "--hook", "/opt/hook", "--claim-from-environment", "--debug"]
		}
	}"#;
    assert!(after.contains(ours), "{after}");
}

#[test]
fn a_runtime_that_asks_is_there_where_it_is_asked_for() {
    let after = round_trip("{}", &Wish { ask: true, ..wish() });
    let config: Value = serde_json::from_str(&after).unwrap();
    let expected = json!({"path": "/usr/bin/runsecrets-runtime", "runtimeArgs": ["--ask"]});
    assert_eq!(config["runtimes"]["runsecrets-ask"], expected);
    assert!(config["runtimes"].get("runsecrets-env").is_none());
    // Not asked for any more, it goes.
    let without: Value = serde_json::from_str(&install(&after, &wish()).unwrap().text).unwrap();
    assert_eq!(without["runtimes"].as_object().unwrap().len(), 1);
}

#[test]
fn the_options_of_the_default_runtime_are_inherited() {
    let before = r#"{
  "default-runtime": "own",
  "runtimes": {"own": {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": true, "BinaryName": "/usr/bin/crun"}}}
}"#;
    let edited = install(before, &wish()).unwrap();
    let config: Value = serde_json::from_str(&edited.text).unwrap();
    let expected =
        json!({"runtimeType": RUNC_V2, "options": {"SystemdCgroup": true, "BinaryName": "/usr/bin/runsecrets-crun"}});
    assert_eq!(config["runtimes"]["runsecrets"], expected);
    assert!(
        edited.notes[0].contains("ln -s /usr/bin/runsecrets-runtime /usr/bin/runsecrets-crun"),
        "{:?}",
        edited.notes
    );
    assert_eq!(round_trip(before, &wish()), edited.text);

    let kata = r#"{"default-runtime": "kata", "runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}}"#;
    assert!(matches!(install(kata, &wish()), Err(EditError::DefaultRuntime { .. })));
}

#[test]
fn another_wrapper_takes_the_place_of_the_first() {
    let first = round_trip("{\n  \"debug\": true\n}\n", &Wish { claim_from_environment: true, ..wish() });
    let second = install(&first, &Wish { wrapper: "/opt/w".to_owned(), ..wish() }).unwrap().text;
    let expected =
        "{\n  \"debug\": true,\n  \"runtimes\": {\n    \"runsecrets\": {\n      \"path\": \"/opt/w\"\n    }\n  }\n}\n";
    assert_eq!(second, expected);
    assert_eq!(wrapper(&second).unwrap().as_deref(), Some("/opt/w"));
}

#[test]
fn what_is_the_default_stays() {
    let own = FRESH.replacen('{', "{\n    \"default-runtime\": \"runsecrets\",", 1);
    let in_use = EditError::InUse { key: "default-runtime", name: "runsecrets".to_owned() };
    assert_eq!(uninstall(&own).unwrap_err(), in_use);
    assert_eq!(install(&own, &wish()).unwrap().text, own);
    let with_crun = own.replace("runtime\"\n", "runtime\", \"runtimeArgs\": [\"--real-runtime\", \"crun\"]\n");
    assert_eq!(install(&with_crun, &wish()).unwrap().text, with_crun, "what it has inherited before is kept");
}

#[test]
fn what_is_broken_is_refused() {
    for text in ["{", "{\"a\": 1,}", "// no\n{}", "[]", "{} {}"] {
        assert!(install(text, &wish()).is_err() && uninstall(text).is_err(), "{text}");
    }
    for text in ["{\"runtimes\": []}", "{\"runtimes\": null}", "{\"runtimes\": {\"runc\": 1}}"] {
        assert!(matches!(install(text, &wish()), Err(EditError::Shape { .. })), "{text}");
    }
    // A key that is there twice: the last one counts, and that is the one that is edited.
    let twice = round_trip(r#"{"runtimes": {}, "runtimes": {"x": {"path": "/x"}}}"#, &wish());
    assert!(twice.starts_with(r#"{"runtimes": {}, "runtimes": {"x": {"path": "/x"}, "runsecrets""#), "{twice}");
}
