//! The wrapper as engines use it: a drop-in for runc and for crun.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testbed::{Bed, Bundle, Container, Rootfs, Runtime, WRAPPER};

on_each_runtime!(
    an_annotation_is_enough,
    create_and_start_as_containerd_does,
    hooks_of_others_run_first_and_stay,
    without_a_claim_nothing_is_touched,
    the_operator_may_claim_for_the_container,
    the_environment_claims_last_and_only_where_asked_for,
    unknown_fields_mode_and_owner_survive,
    a_second_start_adds_nothing,
    no_way_of_writing_it_gets_past_the_hook,
    another_config_is_refused_only_if_it_claims,
    a_socket_as_standard_error_is_no_obstacle,
    a_link_stays_a_link,
    refusals_are_one_line_and_change_nothing,
    everything_else_is_the_real_runtimes,
);

/// A script that calls the wrapper with what an installed one would find by itself.
fn wrapper(bed: &Bed, more: &str) -> PathBuf {
    let path = bed.place.path("wrapped");
    bed.write_wrapper(&path, more);
    path
}

fn bed(runtime: Runtime) -> Bed {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    bed
}

fn bare() -> Bundle {
    let mut bundle = Bundle::new(Rootfs::busybox());
    bundle.config["annotations"] = serde_json::json!({});
    bundle
}

fn config(bundle: &Bundle) -> String {
    std::fs::read_to_string(bundle.path().join("config.json")).unwrap()
}

fn an_annotation_is_enough(runtime: Runtime) {
    let bed = bed(runtime);
    let container = Container::run_by(runtime, &wrapper(&bed, ""), &bare().claiming("web")).unwrap();
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    container.stop();
    bed.holds_nothing();
}

fn create_and_start_as_containerd_does(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bare().claiming("web").running(&["sh", "-c", "cat /run/secrets/key; sleep 1000"]);
    let path = bundle.write();
    let root = tempfile::tempdir().unwrap();
    let log = path.join("log.json");
    let call = |arguments: &[&str]| {
        let mut command = runtime.command_of(&wrapper(&bed, ""), root.path());
        command.args(["--log", log.to_str().unwrap(), "--log-format", "json"]).args(arguments);
        let out = std::fs::File::options().append(true).create(true).open(path.join("out")).unwrap();
        command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).current_dir(&path).status().unwrap()
    };
    // The bundle is the working directory here, as for runc called by hand.
    assert!(call(&["create", "--pid-file", "init.pid", "c"]).success(), "{:?}", std::fs::read_to_string(&log));
    assert!(call(&["start", "c"]).success());
    bed.eventually("the container's output", || std::fs::read_to_string(path.join("out")).unwrap() == "k");
    assert!(call(&["delete", "--force", "c"]).success());
    bed.holds_nothing();
}

fn hooks_of_others_run_first_and_stay(runtime: Runtime) {
    let bed = bed(runtime);
    let mut bundle = bare().claiming("web");
    let record = bundle.path().join("record");
    let hook = |name: &str| {
        // It reads what it is given: crun ends without a word where a hook has gone before it has taken its state (SIGPIPE).
        let script = format!(
            "cat > /dev/null; echo {name} $(ls {} | wc -l) >> {}",
            bed.place.run().join("containers").display(),
            record.display()
        );
        serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})
    };
    bundle.config["hooks"] =
        serde_json::json!({"createRuntime": [hook("one"), hook("two")], "poststop": [hook("three")]});
    let container = Container::run_by(runtime, &wrapper(&bed, ""), &bundle).unwrap();
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    container.stop();
    assert_eq!(
        std::fs::read_to_string(&record).unwrap().lines().map(|line| &line[..3]).collect::<Vec<_>>(),
        ["one", "two", "thr"]
    );
    let hooks: serde_json::Value = serde_json::from_str(&config(&bundle)).unwrap();
    assert_eq!(hooks["hooks"]["createRuntime"].as_array().unwrap().len(), 3);
}

fn without_a_claim_nothing_is_touched(runtime: Runtime) {
    let mut bed = bed(runtime);
    bed.agent.stop();
    let bundle = bare();
    let container = Container::run_by(runtime, &wrapper(&bed, ""), &bundle).unwrap();
    assert_eq!(config(&bundle), serde_json::to_string_pretty(&bundle.config).unwrap());
    container.stop();
}

fn the_operator_may_claim_for_the_container(runtime: Runtime) {
    let bed = bed(runtime);
    let container = Container::run_by(runtime, &wrapper(&bed, "--service web"), &bare()).unwrap();
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
}

fn the_environment_claims_last_and_only_where_asked_for(runtime: Runtime) {
    let bed = bed(runtime);
    let naming = |service: &str| {
        let mut bundle = bare();
        bundle.config["process"]["env"] = serde_json::json!(["PATH=/bin", format!("RUNSECRETS_SERVICE={service}")]);
        bundle
    };
    let read = |options: &str, bundle: &Bundle| {
        let container = Container::run_by(runtime, &wrapper(&bed, options), bundle).unwrap();
        let output = container.try_exec(&["cat", "/run/secrets/key"]);
        container.stop();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(read("", &naming("web")), "");
    assert_eq!(read("--claim-from-environment", &naming("web")), "k");
    assert_eq!(read("--claim-from-environment", &naming("")), "");
    // An image cannot take a container away from the service that its operator names.
    assert_eq!(read("--claim-from-environment", &naming("nobody").claiming("web")), "k");
    assert_eq!(read("--claim-from-environment --service web", &naming("nobody")), "k");
}

fn unknown_fields_mode_and_owner_survive(runtime: Runtime) {
    let bed = bed(runtime);
    let mut bundle = bare().claiming("web");
    bundle.config["aaa"] = serde_json::json!({"new": [1, 2.5, null, {"x": "y"}]});
    bundle.config["linux"]["zzz"] = serde_json::json!("kept");
    let path = bundle.write().join("config.json");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(0), Some(33)).unwrap();
    // Not `run`, which writes the bundle anew.
    let root = tempfile::tempdir().unwrap();
    let mut command = runtime.command_of(&wrapper(&bed, ""), root.path());
    command.arg("create").arg(format!("--bundle={}", bundle.path().display())).arg("c");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert!(
        runtime.command_of(&runtime.path(), root.path()).args(["delete", "--force", "c"]).status().unwrap().success()
    );
    let mut after: serde_json::Value = serde_json::from_str(&config(&bundle)).unwrap();
    assert_eq!(after["hooks"]["createRuntime"].as_array().unwrap().len(), 1);
    after.as_object_mut().unwrap().remove("hooks");
    if runtime == Runtime::Crun {
        after["annotations"].as_object_mut().unwrap().remove("run.oci.hooks.stderr").unwrap();
    }
    assert_eq!(after, bundle.config);
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 0, 33));
    assert!(!bundle.path().join(".config.json.runsecrets").exists());
}

fn a_second_start_adds_nothing(runtime: Runtime) {
    let bed = bed(runtime);
    let mut bundle = bare().claiming("web");
    for _ in 0..2 {
        Container::run_by(runtime, &wrapper(&bed, ""), &bundle).unwrap().stop();
        bundle.config = serde_json::from_str(&config(&bundle)).unwrap();
        for stage in ["createRuntime", "poststop"] {
            assert_eq!(bundle.config["hooks"][stage].as_array().unwrap().len(), 1);
        }
    }
}

/// What a runtime understands and the wrapper does not would start a container without its secrets. Here no agent is up,
/// so that a container that starts is one that no hook was asked about.
fn no_way_of_writing_it_gets_past_the_hook(runtime: Runtime) {
    let mut bed = bed(runtime);
    bed.agent.stop();
    let bundle = bare().claiming("web").running(&["true"]);
    let path = bundle.write();
    let root = tempfile::tempdir().unwrap();
    let (b, r) = (path.to_str().unwrap(), root.path().to_str().unwrap());
    let both = [
        vec!["run", "--bundle", b, "c"],
        vec!["run", "-b", b, "c"],
        vec!["--rootless", "false", "run", "--bundle", b, "c"],
        vec!["--debug", "--log-format", "json", "run", "--pid-file", "create", "--bundle", b, "c"],
    ];
    let own = match runtime {
        Runtime::Runc => [
            vec!["-root", r, "run", "-bundle", b, "c"],
            vec!["-debug", "-log-format=text", "run", "-no-new-keyring", "-b", b, "c"],
        ],
        Runtime::Crun => {
            [vec!["--cgroup-m", "disabled", "run", "--bund", b, "c"], vec!["--log-f", "text", "run", "-db", b, "c"]]
        }
    };
    for arguments in both.iter().chain(&own) {
        let mut command = runtime.command_of(&wrapper(&bed, ""), root.path());
        let output = command.current_dir(root.path()).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = testbed::words(&output);
        assert!(!output.status.success() && said.contains("cannot reach the agent"), "{arguments:?}: {said}");
        let delete = ["delete", "--force", "c"];
        let _ = runtime.command_of(&runtime.path(), root.path()).args(delete).output().unwrap();
    }
}

fn another_config_is_refused_only_if_it_claims(runtime: Runtime) {
    let bed = bed(runtime);
    let claiming = bare().claiming("web").running(&["true"]);
    let bundle = bare().running(&["true"]);
    let (other, path) = (claiming.write().join("config.json"), bundle.write());
    let root = tempfile::tempdir().unwrap();
    let run = |config: &Path| {
        let mut command = runtime.command_of(&wrapper(&bed, ""), root.path());
        command.arg("run").arg("--bundle").arg(&path).arg(format!("--config={}", config.display())).arg("c");
        command.stdin(Stdio::null()).output().unwrap()
    };
    let refused = run(&other);
    let said = testbed::words(&refused);
    if runtime == Runtime::Runc {
        assert!(!refused.status.success() && said.contains("flag provided but not defined: -config"), "{said}");
        return;
    }
    assert!(refused.status.code() == Some(1) && said.contains("is not its bundle's config.json"), "{said}");
    let passed = run(&path.join("config.json"));
    assert!(passed.status.success(), "{}", testbed::words(&passed));

    // The very word is the bundle's file, whatever lies in the working directory.
    let mut command = runtime.command_of(&wrapper(&bed, ""), root.path());
    command.current_dir(&path).args(["run", "--config", "config.json", "--bundle"]).arg(claiming.path()).arg("c");
    assert!(command.stdin(Stdio::null()).output().unwrap().status.success());
    assert!(config(&claiming).contains("\"create-runtime\""), "crun has started it without our hook");
}

/// crun opens what `run.oci.hooks.stderr` names by its path, and a socket cannot be opened so.
fn a_socket_as_standard_error_is_no_obstacle(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bare().claiming("web");
    let (path, root) = (bundle.write(), tempfile::tempdir().unwrap());
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let call = || runtime.command_of(&wrapper(&bed, ""), root.path());
    let mut run = call();
    run.args(["run", "--detach", "--bundle"]).arg(&path).arg("c").stdin(Stdio::null()).stdout(Stdio::null());
    let started = run.stderr(std::os::fd::OwnedFd::from(theirs)).status().unwrap();
    let read = call().args(["exec", "c", "cat", "/run/secrets/key"]).stdin(Stdio::null()).output().unwrap();
    let _ = call().args(["delete", "--force", "c"]).output().unwrap();
    assert!(started.success(), "not started");
    assert_eq!(testbed::words(&read), "k");
}

fn a_link_stays_a_link(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bare().claiming("web");
    let path = bundle.write();
    let (link, target) = (path.join("config.json"), bed.place.path("config.json"));
    std::fs::rename(&link, &target).unwrap();
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut command = runtime.command_of(&wrapper(&bed, ""), root.path());
    command.args(["create", "--bundle"]).arg(&path).arg("c");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    let delete = ["delete", "--force", "c"];
    assert!(runtime.command_of(&runtime.path(), root.path()).args(delete).status().unwrap().success());
    assert_eq!(std::fs::read_link(&link).unwrap(), target);
    assert_eq!(std::fs::symlink_metadata(&target).unwrap().mode() & 0o7777, 0o600);
    assert!(config(&bundle).contains("\"create-runtime\""));
}

/// The wrapper with these options, told to create a container from `bundle`.
fn create(bed: &Bed, options: &[&str], bundle: &Path, log: &Path) -> Output {
    let mut command = Command::new(WRAPPER);
    command.args(["--real-runtime", bed.runtime.path().to_str().unwrap()]).args(options);
    command.arg("--log").arg(log).args(["--log-format", "json", "create", "--bundle"]).arg(bundle).arg("c");
    command.stdin(Stdio::null()).output().unwrap()
}

fn refusals_are_one_line_and_change_nothing(runtime: Runtime) {
    let mut bed = bed(runtime);
    let bundle = bare().claiming("web");
    let path = bundle.write();
    let log = bed.place.path("log.json");
    let hook = testbed::hook();
    let refused = |options: &[&str], part: &str| {
        let before = config(&bundle);
        let output = create(&bed, options, &path, &log);
        let words = testbed::words(&output);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains(part) && words.lines().count() == 1, "no '{part}' in: {words}");
        assert_eq!(config(&bundle), before);
        let logged = std::fs::read_to_string(&log).unwrap();
        let line: serde_json::Value = serde_json::from_str(logged.lines().last().unwrap()).unwrap();
        assert!(line["level"] == "error" && line["msg"].as_str().unwrap().contains(part), "{logged}");
    };
    refused(&["--hook", "/no/such"], "the hook '/no/such' cannot be used");
    refused(&["--hook", "/etc/passwd"], "the hook '/etc/passwd' cannot be used");
    let open = tempfile::tempdir().unwrap();
    let copy = open.path().join("runsecrets-hook");
    std::fs::copy(&hook, &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o775)).unwrap();
    refused(&["--hook", copy.to_str().unwrap()], "others may write it");
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&copy, Some(65534), None).unwrap();
    refused(&["--hook", copy.to_str().unwrap()], "is not root's");
    refused(&["--hook", hook.to_str().unwrap(), "--real-runtime", WRAPPER], "is this wrapper");
    for (text, part) in [
        ("{", "it is cut off"),
        ("no", "it is not JSON"),
        (r#"{"annotations":{"io.runsecrets.service":"web"},"hooks":[]}"#, "its 'hooks' is not an object"),
    ] {
        std::fs::write(path.join("config.json"), text).unwrap();
        refused(&["--hook", hook.to_str().unwrap()], part);
    }
    std::fs::remove_file(path.join("config.json")).unwrap();
    let output = create(&bed, &[], &path, &log);
    assert!(testbed::words(&output).contains("is the bundle complete?"), "{}", testbed::words(&output));
    // An agent that is down is the hook's to report, through the runtime.
    bed.agent.stop();
    let error = Container::run_by(runtime, &wrapper(&bed, ""), &bundle).map(|_| ()).unwrap_err();
    assert!(error.contains("cannot reach the agent"), "{error}");
}

fn everything_else_is_the_real_runtimes(runtime: Runtime) {
    let run = |program: &Path, arguments: &[&str]| Command::new(program).args(arguments).output().unwrap();
    let real = runtime.path();
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    for arguments in [&["--version"][..], &["features"], &["--root", root, "state", "nobody"], &["--help"]] {
        let theirs = run(&real, arguments);
        let mut ours = vec!["--real-runtime", real.to_str().unwrap()];
        ours.extend(arguments);
        let ours = run(Path::new(WRAPPER), &ours);
        assert_eq!((ours.status.code(), ours.stdout), (theirs.status.code(), theirs.stdout), "{arguments:?}");
    }
    // Called by the name of a runtime, it is that runtime.
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join(format!("runsecrets-{}", runtime.name()));
    std::os::unix::fs::symlink(WRAPPER, &link).unwrap();
    assert_eq!(run(&link, &["--version"]).stdout, run(&real, &["--version"]).stdout);
    let none = Command::new(WRAPPER).args(["--real-runtime", "no-such-runtime", "--version"]).output().unwrap();
    assert!(
        testbed::words(&none).contains("no container runtime found (no-such-runtime)"),
        "{}",
        testbed::words(&none)
    );
}
