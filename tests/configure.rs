//! `runsecrets configure`: what it writes is read by a real dockerd, containerd and podman, and goes away again.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/image.rs"]
mod image;
mod testbed;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use docker::Docker;
use testbed::{Bed, CLI, Podman, Rootfs, Runtime, WRAPPER, program, words};

const SECRET: &str = "/run/secrets/key";

/// An agent with a service `web`, and the wrapper as it needs it, as one program.
fn scene(directory: &Path) -> (Bed, PathBuf) {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let wrapper = directory.join("wrapper");
    bed.write_wrapper(&wrapper, "");
    (bed, wrapper)
}

fn configure(arguments: &[&str]) -> Output {
    Command::new(CLI).arg("configure").args(arguments).output().unwrap()
}

/// What it says; it must succeed.
fn configured(arguments: &[&str]) -> String {
    let output = configure(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn docker_takes_it_by_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let (_bed, wrapper) = scene(directory.path());
    let engine = Docker::with(serde_json::json!({"debug": false, "runtimes": {"other": {"path": "runc"}}}));
    engine.import(&Rootfs::busybox(), "busybox");
    let run = |runtime: &str| {
        let options = ["run", "--rm", "--network=none", "--runtime", runtime, "-eRUNSECRETS_SERVICE=web"];
        engine.docker(&[&options[..], &["busybox", "cat", SECRET]].concat())
    };
    let is_unknown = |output: &Output| {
        let words = words(output);
        let unknown = ["nknown runtime", "unknown or invalid runtime name"]; // to Docker 20.10, to later ones
        assert!(unknown.iter().any(|part| words.contains(part)), "{words}");
        true
    };
    assert!(is_unknown(&run("runsecrets")));

    let before = std::fs::read(engine.config()).unwrap();
    let (config, path) = (engine.config(), wrapper.to_str().unwrap());
    let line = ["docker", "--config", config.to_str().unwrap(), "--runtime-path", path, "--claim-from-environment"];
    let shown = configured(&[&line[..], &["--dry-run"]].concat());
    assert!(shown.contains("+    \"runsecrets-env\": {") && shown.contains("nothing was written"), "{shown}");
    assert_eq!(std::fs::read(&config).unwrap(), before);
    let said = configured(&line);
    assert!(said.ends_with("to make Docker read it: systemctl reload docker\n"), "{said}");
    assert!(configured(&line).ends_with("docker is configured already: nothing to do\n"));

    engine.reload(1);
    assert_eq!(run("runsecrets-env").stdout, b"k");
    assert!(words(&run("runsecrets")).contains("No such file or directory"), "nothing was claimed there");
    assert!(run("runc").status.code() == Some(1), "the default one is as it was");

    configured(&["docker", "--config", config.to_str().unwrap(), "--uninstall"]);
    assert_eq!(std::fs::read(&config).unwrap(), before);
    // With no other runtime in the file, only a restart makes dockerd forget.
    engine.reload(2);
    assert!(is_unknown(&run("runsecrets")));
}

/// containerd with its CRI plugin on a configuration of the test's.
struct Cri {
    directory: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Cri {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config.replace("DIR", directory.path().to_str().unwrap());
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        Self { directory, daemon: None }
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap()
    }

    /// `containerd config dump`: what it makes of the file. Version 2 has other quotes.
    fn dump(&self) -> String {
        let mut command = Command::new(program("containerd", "containerd"));
        let output = command.arg("--config").arg(self.config()).args(["config", "dump"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        String::from_utf8(output.stdout).unwrap().replace('\'', "\"")
    }

    /// The first number of its version.
    fn major() -> u32 {
        let output = Command::new(program("containerd", "containerd")).arg("--version").output().unwrap();
        let version = words(&output).split_whitespace().nth(2).unwrap().to_owned();
        version.split('.').next().unwrap().parse().unwrap()
    }

    /// Starts it; what `ctr plugins ls` says of the CRI plugin.
    fn cri_plugin(&mut self) -> String {
        let path = |name: &str| self.directory.path().join(name);
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new(program("containerd", "containerd"));
        command.arg("--config").arg(path("config.toml")).arg("--root").arg(path("root"));
        command.arg("--state").arg(path("state")).arg("--address").arg(path("sock"));
        self.daemon = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let start = Instant::now();
        loop {
            let mut ctr = Command::new(program("ctr", "containerd"));
            let output = ctr.arg("--address").arg(path("sock")).args(["plugins", "ls"]).output().unwrap();
            let listed = String::from_utf8(output.stdout).unwrap();
            if let Some(line) = listed.lines().find(|line| line.split_whitespace().nth(1) == Some("cri")) {
                return line.split_whitespace().last().unwrap().to_owned();
            }
            let log = || std::fs::read_to_string(path("log")).unwrap();
            assert!(start.elapsed() < testbed::running_agent::LIMIT, "containerd did not come up:\n{}", log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// What containerd needs here, in version 2 of its format.
const VERSION_2: &str = r#"# of the test
version = 2
oom_score = 0 # no right to less
[plugins]
  [plugins."io.containerd.internal.v1.opt"]
    path = "DIR/opt"
  [plugins."io.containerd.grpc.v1.cri"]
    stream_server_port = "0"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "native"
"#;
/// The same with a default runtime that has options.
const DEFAULT_RUNTIME: &str = r#"      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          SystemdCgroup = true
"#;
/// The same in version 1.
const VERSION_1: &str = r#"oom_score = 0
[plugins.opt]
  path = "DIR/opt"
[plugins.cri]
  stream_server_port = "0"
  [plugins.cri.containerd]
    snapshotter = "native"
"#;

#[test]
fn containerd_loads_its_cri_plugin_with_the_runtime_class() {
    for (config, inherits) in
        [(VERSION_1.to_owned(), false), (VERSION_2.to_owned(), false), (VERSION_2.to_owned() + DEFAULT_RUNTIME, true)]
    {
        let mut engine = Cri::new(&config);
        let before = engine.text();
        let file = engine.config();
        let line = ["containerd", "--config", file.to_str().unwrap(), "--runtime-path", WRAPPER];
        if config == VERSION_1 && Cri::major() >= 2 {
            // It reads nothing of such a file's plugins, and does not say so: we do.
            testbed::lacks("config.toml of version 1");
            let refused = configure(&line);
            assert!(!refused.status.success() && words(&refused).contains("containerd config migrate"));
            assert_eq!(engine.text(), before);
            continue;
        }
        let said = configured(&line);
        assert!(said.contains("to make containerd read it: systemctl restart containerd"), "{said}");
        assert!(configured(&line).contains("configured already"));

        let dump = engine.dump();
        let runtimes = dump.split("containerd.runtimes.runsecrets]").nth(1).unwrap_or_else(|| panic!("{dump}"));
        let (ours, options) = runtimes.split_once("containerd.runtimes.runsecrets.options]").unwrap();
        assert!(ours.contains("pod_annotations = [\"io.runsecrets.*\"]"), "{ours}");
        let options = options.split("\n\n").next().unwrap();
        assert!(options.contains(&format!("BinaryName = \"{WRAPPER}\"")), "{options}");
        assert_eq!(options.contains("SystemdCgroup = true"), inherits, "{options}");
        assert!(dump.contains("containerd.runtimes.runc]"), "the default runtime is gone:\n{dump}");
        assert_eq!(engine.cri_plugin(), "ok");

        configured(&["containerd", "--config", file.to_str().unwrap(), "--uninstall"]);
        assert_eq!(engine.text(), before);
    }
}

#[test]
fn containerd_before_2_forgets_its_own_runtime_without_the_table_that_we_add() {
    let class = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runsecrets]\n\
                 runtime_type = \"io.containerd.runc.v2\"\n";
    let expected = if Cri::major() < 2 { "error" } else { "ok" };
    assert_eq!(Cri::new(&format!("{VERSION_2}{class}")).cri_plugin(), expected);
}

const CONTAINERS: &str = "/etc/containers/containers.conf.d";
const WEB: &str = "io.runsecrets.service=web";

/// `runsecrets configure podman …` where podman is.
fn configure_podman(podman: &Podman, more: &[&str]) -> String {
    let mut command = podman.inside(CLI);
    command.args(["configure", "podman", "--hooks-dir"]).arg(podman.path("ours")).args(more);
    words(&command.output().unwrap())
}

#[test]
fn podman_reads_the_directory_behind_those_it_has() {
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let podman = Podman::new(Runtime::Runc, &bed.place.run());
    // Our files, where podman does not look yet.
    std::fs::rename(podman.path("hooks.d"), podman.path("ours")).unwrap();
    std::fs::create_dir(podman.path("hooks.d")).unwrap();
    // podman's own default is not on every machine; to name it must do no harm.
    assert!(podman.inside("mkdir").args(["-p", CONTAINERS]).status().unwrap().success());
    let first = format!(
        "[engine]\nhooks_dir = [\"{}\", \"/usr/share/containers/oci/hooks.d\"]\n",
        podman.path("hooks.d").display()
    );
    podman.write(&format!("{CONTAINERS}/10-first.conf"), &first);
    let file = format!("{CONTAINERS}/99-runsecrets.conf");
    let text = || words(&podman.inside("cat").arg(&file).output().unwrap());
    let has_it = |name: &str| {
        podman.start(name, &["--annotation", WEB]).unwrap();
        let has = podman.run(&["exec", name, "cat", SECRET]).stdout == b"k";
        podman.remove(name);
        has
    };
    assert!(!has_it("before"));

    let said = configure_podman(&podman, &[]);
    assert!(said.ends_with("podman reads it when it is called the next time\n"), "{said}");
    let list = format!("\"/usr/share/containers/oci/hooks.d\", \"{}\"]\n", podman.path("ours").display());
    assert!(text().starts_with("# By `runsecrets configure`") && text().ends_with(&list), "{}", text());
    assert!(has_it("with"));
    assert!(configure_podman(&podman, &[]).contains("podman is configured already"));

    let said = configure_podman(&podman, &["--uninstall"]);
    assert!(said.contains("+++ /dev/null") && text().contains("No such file"), "{said}");
    assert!(!has_it("after"));

    // A list that is read later would replace ours: it is not written in vain, but can be told to go there.
    let last = format!("{CONTAINERS}/zz-last.conf");
    podman.write(&last, "[engine]\nhooks_dir = [] # none\n");
    let refused = configure_podman(&podman, &[]);
    assert!(refused.contains(&format!("give --config {last}")) && text().contains("No such file"), "{refused}");
    configure_podman(&podman, &["--config", &last]);
    assert!(has_it("there"));
    configure_podman(&podman, &["--config", &last, "--uninstall"]);
    assert_eq!(words(&podman.inside("cat").arg(&last).output().unwrap()), "[engine]\nhooks_dir = [] # none\n");
    bed.holds_nothing();
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "broken").unwrap();
    let config = file.to_str().unwrap();
    for (line, part) in [
        (&["docker", "--config", config][..], "it is not JSON"),
        (&["docker", "--config", config, "--uninstall"], "it is not JSON"),
        (&["containerd", "--config", config], "it is not TOML"),
        (&["podman", "--config", config], "it is not TOML"),
        (&["crio", "--config", config], "it is not TOML"),
        (&["crio", "--config", config, "--as-runtime"], "it is not TOML"),
        (&["docker", "--config", config, "--runtime-path", "rel"], "must be an absolute path"),
        (&["podman", "--runtime-path", "/w"], "--runtime-path is not for podman"),
        (&["podman", "--claim-from-environment"], "--claim-from-environment is not for podman"),
        (&["containerd", "--hook-path", "/h"], "--hook-path is not for containerd"),
        (&["docker", "--hooks-dir", "/h"], "--hooks-dir is not for docker"),
    ] {
        let output = configure(line);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {}", words(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{line:?}: {}", words(&output));
    }
    assert_eq!(configure(&["lxc"]).status.code(), Some(125));
    assert_eq!(std::fs::read(&file).unwrap(), b"broken");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_may_be_named_from_where_the_user_is() {
    let directory = tempfile::tempdir().unwrap();
    for more in [&[][..], &["--uninstall"]] {
        let mut command = Command::new(CLI);
        command.current_dir(directory.path()).args(["configure", "docker", "--config", "daemon.json"]).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        assert_eq!(directory.path().join("daemon.json").exists(), more.is_empty());
    }
}

#[test]
fn crio_gets_a_file_and_loses_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("99-runsecrets.conf");
    for more in [&[][..], &["--as-runtime"]] {
        let line = [&["crio", "--config", file.to_str().unwrap()], more].concat();
        assert!(configured(&line).contains("systemctl restart crio"));
        assert!(configured(&line).contains("configured already"));
        configured(&[&line[..], &["--uninstall"]].concat());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
