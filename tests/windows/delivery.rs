//! Delivery under Wine, from `prepare` to removal. Wine makes no symbolic link and has no BitLocker: where either is needed the
//! delivery has to be refused, with nothing left behind; all the rest happens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use crate::wine::{Wine, said};

/// As long as anything here may take, in looks of a tenth of a second.
const LOOKS: usize = 600;
const CONTAINERS: &str = r"C:\ProgramData\runsecrets\containers";
const LOG: &str = r"C:\agent.log";
const VALUE: &str = "hunter2-of-the-test";

/// An agent that serves, and ends with the test.
struct Agent<'w> {
    wine: &'w Wine,
    process: Child,
}

impl<'w> Agent<'w> {
    /// Starts one whose policy for the volume is `bitlocker`.
    fn start(wine: &'w Wine, bitlocker: &str) -> Self {
        let file = wine.here(r"C:\agent.toml");
        fs::write(&file, format!("[delivery]\nbitlocker = \"{bitlocker}\"\n")).unwrap();
        // Wine makes its access list of this.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let log = fs::File::create(wine.here(LOG)).unwrap();
        let mut command = wine.ours("runsecrets-agent.exe");
        let process = command.args(["--config", r"C:\agent.toml"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let mut agent = Self { wine, process };
        until("the agent serves", || {
            if let Some(status) = agent.process.try_wait().unwrap() {
                panic!("{status}: {}", fs::read_to_string(wine.here(LOG)).unwrap());
            }
            agent.cli(&["secret", "ls"]).status.success()
        });
        agent
    }

    /// One that delivers to any volume and has a service `web` with the secret `app`.
    fn granting(wine: &'w Wine) -> Self {
        let agent = Self::start(wine, "warn");
        agent.secret("app", VALUE);
        agent.service("web", &["app"]);
        agent
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        self.wine.ours("runsecrets.exe").args(arguments).output().unwrap()
    }

    fn does(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        said(&output)
    }

    /// A secret with a value of its own.
    fn secret(&self, name: &str, value: &str) {
        fs::write(self.wine.here(r"C:\value"), value).unwrap();
        self.does(&["secret", "create", name, r"C:\value"]);
    }

    fn service(&self, name: &str, grants: &[&str]) {
        let mut arguments = vec!["service", "create", "--name", name];
        grants.iter().for_each(|grant| arguments.extend(["--secret", grant]));
        self.does(&arguments);
    }

    fn runtime(&self, verb: &str, bundle: &str, more: &[&str]) -> Output {
        self.wine.ours("runsecrets-runtime.exe").arg(verb).arg(bundle).args(more).output().unwrap()
    }

    /// Runs the hook with the state of the container in `bundle`, whose process is not known.
    fn hook(&self, stage: &str, id: &str, bundle: &str) -> Output {
        self.hook_for(stage, id, bundle, 0)
    }

    fn hook_for(&self, stage: &str, id: &str, bundle: &str, pid: u32) -> Output {
        let state = self.wine.here(r"C:\state.json");
        let text =
            serde_json::json!({"ociVersion": "1.2.0", "id": id, "status": "created", "pid": pid, "bundle": bundle});
        fs::write(&state, text.to_string()).unwrap();
        let mut command = self.wine.ours("runsecrets-hook.exe");
        command.arg(stage).stdin(fs::File::open(state).unwrap()).output().unwrap()
    }

    /// What the refusal of `prepare` says; whatever it says, nothing may be left of it.
    fn refused(&self, bundle: &str) -> String {
        let config = self.wine.here(bundle).join("config.json");
        let before = fs::read(&config).unwrap();
        let output = self.runtime("prepare", bundle, &[]);
        assert!(!output.status.success(), "{}", words(&output));
        assert_eq!(fs::read(&config).unwrap(), before, "config.json was edited");
        assert_eq!(self.left(), Vec::<String>::new(), "something is left of what was refused");
        words(&output)
    }

    /// The names in the directory of containers.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.wine.here(CONTAINERS)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Ends it as a crash would.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // The programs of the prefix that were started by Wine end with their own process alone.
        std::mem::forget(self);
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A bundle in `C:\bundles`, whose config.json has `more` in it.
fn bundle(wine: &Wine, id: &str, service: &str, more: &str) -> String {
    let path = format!(r"C:\bundles\{id}");
    fs::create_dir_all(wine.here(&path)).unwrap();
    let text = format!(r#"{{"ociVersion":"1.2.0","annotations":{{"io.runsecrets.service":"{service}"}},"x":1{more}}}"#);
    fs::write(wine.here(&path).join("config.json"), text).unwrap();
    path
}

fn config(wine: &Wine, bundle: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(wine.here(bundle).join("config.json")).unwrap()).unwrap()
}

fn values(wine: &Wine, id: &str) -> PathBuf {
    wine.here(CONTAINERS).join(id).join("secrets")
}

fn words(output: &Output) -> String {
    format!("{}{}", said(output), String::from_utf8_lossy(&output.stderr).replace("\r\n", "\n"))
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("never: {what}");
}

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}

#[test]
fn a_volume_that_nobody_vouches_for_gets_nothing_unless_a_warning_is_enough() {
    let wine = Wine::new();
    let agent = Agent::start(&wine, "require");
    agent.secret("app", VALUE);
    agent.service("web", &["app"]);
    let path = bundle(&wine, "c1", "web", "");
    let text = agent.refused(&path);
    assert!(text.contains("is not known to be encrypted") && text.contains("manage-bde -status C:"), "{text}");
    assert!(text.contains("WMI: ") && text.contains("the Shell: "), "{text}");
    agent.kill();

    let agent = Agent::start(&wine, "warn");
    let output = agent.runtime("prepare", &path, &[]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("warning: the volume of"), "{}", words(&output));
}

#[test]
fn a_container_without_a_layer_gets_files_by_name_from_prepare_to_release() {
    let wine = Wine::new();
    let agent = Agent::start(&wine, "warn");
    agent.secret("app", VALUE);
    agent.service("web", &["app", "source=app,target=sub/other,uid=1000,mode=0400"]);
    let path = bundle(&wine, "c1", "web", r#","root":{"path":""},"mounts":[{"destination":"C:\\d","source":"C:\\"}]"#);

    let unclaimed = bundle(&wine, "c0", "web", "");
    fs::write(wine.here(&unclaimed).join("config.json"), "{}").unwrap();
    let output = agent.runtime("prepare", &unclaimed, &[]);
    assert!(output.status.success() && words(&output).is_empty(), "no claim, nothing done: {}", words(&output));

    let output = agent.runtime("prepare", &path, &[]);
    assert!(output.status.success(), "{}", words(&output));
    let ignored = "warning: secret 'app': uid=1000, mode=0400 has no effect in a Windows container";
    assert!(words(&output).contains(ignored), "{}", words(&output));
    assert_eq!(fs::read_to_string(values(&wine, "c1").join("app")).unwrap(), VALUE);
    assert_eq!(fs::read_to_string(values(&wine, "c1").join("sub").join("other")).unwrap(), VALUE);
    let mounts = serde_json::json!([
        {"destination": r"C:\d", "source": r"C:\"},
        {"destination": r"C:\ProgramData\Docker\secrets", "source": format!(r"{CONTAINERS}\c1\secrets"), "options": ["ro"]},
    ]);
    assert_eq!(config(&wine, &path)["mounts"], mounts);
    assert_eq!(config(&wine, &path)["x"], 1);

    // A second time, and the hook behind it, find everything there.
    let edited = config(&wine, &path);
    for output in [agent.runtime("prepare", &path, &[]), agent.hook("prestart", "c1", &path)] {
        assert!(output.status.success(), "{}", words(&output));
    }
    assert_eq!(config(&wine, &path), edited);
    let listed = agent.does(&["ps"]);
    assert!(listed.contains("c1") && listed.contains("web"), "{listed}");

    // Another bundle of this id is another container.
    let twin = bundle(&wine, r"elsewhere\c1", "web", "");
    let output = agent.runtime("prepare", &twin, &[]);
    assert!(
        !output.status.success() && words(&output).contains("another container with the id 'c1'"),
        "{}",
        words(&output)
    );
    assert!(agent.runtime("release", &twin, &[]).status.success());
    assert_eq!(
        fs::read_to_string(values(&wine, "c1").join("app")).unwrap(),
        VALUE,
        "the twin's release is not its own"
    );

    fs::write(wine.here(r"C:\value"), "a newer one").unwrap();
    agent.does(&["secret", "update", "app", r"C:\value"]);
    assert_eq!(fs::read_to_string(values(&wine, "c1").join("app")).unwrap(), "a newer one");
    assert_eq!(fs::read_to_string(values(&wine, "c1").join("sub").join("other")).unwrap(), "a newer one");
    agent.does(&["service", "update", "--secret-rm", "app", "web"]);
    assert!(is_gone(&values(&wine, "c1").join("app")), "revoked");

    assert!(agent.runtime("release", &path, &[]).status.success());
    assert_eq!(agent.left(), Vec::<String>::new());
    assert!(agent.runtime("release", &path, &[]).status.success(), "a second time is no failure");
}

/// Wine reports a link and makes none.
#[test]
fn a_link_that_is_not_there_refuses_the_container_and_leaves_nothing() {
    let wine = Wine::new();
    let agent = Agent::start(&wine, "warn");
    agent.secret("app", VALUE);
    agent.service("web", &[r"source=app,target=C:\app\key"]);
    fs::create_dir_all(wine.here(r"C:\layer\Windows")).unwrap();
    let path = bundle(&wine, "c1", "web", r#","root":{"path":"C:\\layer\\"}"#);
    let text = agent.refused(&path);
    assert!(text.contains(r"Windows reported a link at 'C:\app\key' in the container and there is none"), "{text}");
    let left: Vec<_> = fs::read_dir(wine.here(r"C:\layer")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["Windows"], "what was made in the layer is taken back");
    let events = fs::read_to_string(wine.here(LOG)).unwrap();
    assert!(!events.contains(VALUE) && !text.contains(VALUE));

    // A link that a mount of the container's would hide.
    let hidden = bundle(
        &wine,
        "c2",
        "web",
        r#","root":{"path":"C:\\layer\\"},"mounts":[{"destination":"c:/APP","source":"C:\\"}]"#,
    );
    let text = agent.refused(&hidden);
    assert!(text.contains(r"would not see a secret at 'C:\app\key', since it has a mount at 'c:/APP'"), "{text}");

    // What the image has at a target is refused before a link is tried.
    fs::create_dir_all(wine.here(r"C:\layer\app")).unwrap();
    fs::write(wine.here(r"C:\layer\app\key"), "the image's").unwrap();
    let text = agent.refused(&path);
    assert!(text.contains(r"the container has something at 'C:\app\key' already"), "{text}");
    assert_eq!(fs::read_to_string(wine.here(r"C:\layer\app\key")).unwrap(), "the image's");
}

#[test]
fn what_is_no_file_of_the_containers_disk_is_refused() {
    let wine = Wine::new();
    let agent = Agent::start(&wine, "warn");
    agent.secret("app", VALUE);
    fs::create_dir_all(wine.here(r"C:\layer")).unwrap();
    let refusals = [
        ("nul.txt", "device"),
        (r"C:\x\a:stream", "alternate data stream"),
        ("key.", "at the end"),
        (r"C:\x\..\y", "'..'"),
        ("C:key", "no '\\' behind"),
        (r"\\server\share\key", "on a share"),
        (r"D:\key", "not D:"),
        ("/etc/key", "Linux"),
        (r"C:\ProgramData\Docker\internal\x", "Docker's own"),
        (r"C:\PROGRA~1\key", "short name"),
    ];
    for (number, (target, reason)) in refusals.into_iter().enumerate() {
        let (service, id) = (format!("s{number}"), format!("c{number}"));
        agent.service(&service, &[&format!("source=app,target={target}")]);
        let path = bundle(&wine, &id, &service, r#","root":{"path":"C:\\layer\\"}"#);
        let text = agent.refused(&path);
        assert!(text.contains("cannot be used in a Windows container") && text.contains(reason), "{target}: {text}");
    }
    agent.service("drive", &[r"source=app,target=C:\x\key"]);
    let text =
        agent.refused(&bundle(&wine, "hyperv", "drive", r#","root":{"path":"C:\\layer\\"},"windows":{"hyperv":{}}"#));
    assert!(text.contains("needs a link in the container's layer"), "{text}");
    agent.service("plain", &["app"]);
    let taken = r#","mounts":[{"destination":"c:/programdata/docker/SECRETS","source":"C:\\"}]"#;
    let text = agent.refused(&bundle(&wine, "taken", "plain", taken));
    assert!(text.contains("the container has a mount at"), "{text}");
    let text = agent.refused(&bundle(&wine, "none", "there-is-none", ""));
    assert!(text.contains("service 'there-is-none' not found"), "{text}");
    let id = bundle(&wine, "con", "plain", "");
    assert!(agent.refused(&id).contains("cannot name a directory"));
}

#[test]
fn a_hook_refuses_a_container_that_was_not_prepared() {
    let wine = Wine::new();
    let agent = Agent::granting(&wine);
    let path = bundle(&wine, "c1", "web", "");
    let output = agent.hook("prestart", "c1", &path);
    assert!(
        !output.status.success() && words(&output).contains("run `runsecrets-runtime prepare"),
        "{}",
        words(&output)
    );
    assert_eq!(agent.left(), Vec::<String>::new());

    assert!(agent.runtime("prepare", &path, &[]).status.success());
    assert!(agent.hook("prestart", "c1", &path).status.success());
    let output = agent.hook("poststop", "c1", &path);
    assert!(output.status.success() && words(&output).is_empty(), "{}", words(&output));
    assert_eq!(agent.left(), Vec::<String>::new());
}

#[test]
fn a_container_that_ends_without_a_word_loses_its_secrets() {
    let wine = Wine::new();
    let agent = Agent::granting(&wine);
    let path = bundle(&wine, "c1", "web", "");
    assert!(agent.runtime("prepare", &path, &[]).status.success());
    fs::remove_dir_all(wine.here(&path)).unwrap();
    until("the secrets are gone", || agent.left().is_empty());
    assert!(!agent.does(&["ps"]).contains("c1"));
}

#[test]
fn a_container_whose_process_ends_loses_its_secrets_though_its_bundle_is_there() {
    let wine = Wine::new();
    let agent = Agent::granting(&wine);
    let path = bundle(&wine, "c1", "web", "");
    assert!(agent.runtime("prepare", &path, &[]).status.success());
    let gone = agent.hook_for("prestart", "c1", &path, 2_000_000_000);
    assert!(!gone.status.success() && words(&gone).contains("is it still there?"), "{}", words(&gone));

    // Stands for the container's process: it watches events for as long as the agent serves.
    let mut process =
        wine.ours("runsecrets.exe").arg("events").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut pid = None;
    until("the process is listed", || {
        pid = wine.pid_of("runsecrets.exe");
        pid.is_some()
    });
    let output = agent.hook_for("prestart", "c1", &path, pid.unwrap());
    assert!(output.status.success(), "{}", words(&output));
    assert!(agent.does(&["ps"]).contains("c1"));
    // From now on the process counts: the bundle stays where it is.
    process.kill().unwrap();
    process.wait().unwrap();
    until("the secrets are gone", || agent.left().is_empty());
}

#[test]
fn what_a_crash_leaves_is_swept_before_the_pipe_opens_and_the_living_are_taken_over() {
    let wine = Wine::new();
    let agent = Agent::granting(&wine);
    for id in ["dead", "alive"] {
        assert!(agent.runtime("prepare", &bundle(&wine, id, "web", ""), &[]).status.success());
    }
    agent.kill();
    fs::remove_dir_all(wine.here(r"C:\bundles\dead")).unwrap();
    fs::create_dir_all(values(&wine, "stray")).unwrap();
    fs::write(values(&wine, "stray").join("key"), VALUE).unwrap();

    let agent = Agent::start(&wine, "warn");
    assert_eq!(agent.left(), ["alive"]);
    assert!(agent.does(&["ps"]).contains("alive"));
    assert_eq!(fs::read_to_string(values(&wine, "alive").join("app")).unwrap(), VALUE);
    assert!(agent.runtime("release", r"C:\bundles\alive", &[]).status.success());
    assert_eq!(agent.left(), Vec::<String>::new());
}

#[test]
fn no_container_outlives_a_restart_of_windows() {
    let wine = Wine::new();
    let agent = Agent::granting(&wine);
    assert!(agent.runtime("prepare", &bundle(&wine, "c1", "web", ""), &[]).status.success());
    agent.kill();
    wine.restart();
    let agent = Agent::start(&wine, "warn");
    assert_eq!(agent.left(), Vec::<String>::new(), "its bundle is there still");
}

#[test]
fn a_service_that_stops_removes_first_what_it_delivered() {
    let wine = Wine::new();
    let file = wine.here(r"C:\agent.toml");
    fs::write(&file, "[delivery]\nbitlocker = \"warn\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let agent = |arguments: &[&str]| {
        let output = wine.ours("runsecrets-agent.exe").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    };
    agent(&["--config", r"C:\agent.toml", "service", "install"]);
    agent(&["service", "start"]);
    fs::write(wine.here(r"C:\value"), VALUE).unwrap();
    for arguments in
        [&["secret", "create", "app", r"C:\value"][..], &["service", "create", "--name", "web", "--secret", "app"]]
    {
        let output = wine.ours("runsecrets.exe").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }
    let path = bundle(&wine, "c1", "web", "");
    let output = wine.ours("runsecrets-runtime.exe").args(["prepare", &path]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(fs::read_to_string(values(&wine, "c1").join("app")).unwrap(), VALUE);
    agent(&["service", "stop"]);
    assert!(fs::read_dir(wine.here(CONTAINERS)).unwrap().next().is_none(), "stopped, with values on the disk");
}
