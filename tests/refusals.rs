//! What must not start: each refusal is one clear line, ends with a non-zero exit, and changes nothing.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testbed::{Bed, Runtime};

on_each_runtime!(
    an_unknown_service,
    an_agent_that_is_down,
    the_hosts_mount_namespace,
    a_link_at_every_component,
    a_target_that_is_a_directory,
    a_target_inside_a_kernel_file_system,
    a_target_where_the_container_has_a_mount,
    a_root_that_cannot_be_written,
    a_file_system_in_ram_that_is_too_small,
    a_run_directory_without_room,
    a_claim_without_its_token,
    a_second_container_of_the_same_name,
);

fn an_unknown_service(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.refuse(&bed.bundle("nowhere"), "service 'nowhere' not found; create it with `runsecrets service create");
    bed.refuse(&bed.bundle("../etc"), "the container claims no possible service: invalid service name");
}

fn an_agent_that_is_down(runtime: Runtime) {
    let mut bed = Bed::new(runtime);
    bed.agent.stop();
    let bundle = bed.bundle("web");
    let before = bundle.listing();
    let error = bed.try_start(&bundle).map(|_| ()).unwrap_err();
    assert!(error.contains("cannot reach the agent at") && error.contains("start it with"), "{error}");
    assert_eq!(bundle.listing(), before);
}

fn the_hosts_mount_namespace(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    // With no namespace to prepare, a runtime mounts nothing and masks nothing.
    let mut bundle = bed.bundle("web").sharing("mount");
    bundle.config["mounts"] = serde_json::json!([]);
    bundle.config["linux"]["maskedPaths"] = serde_json::json!([]);
    bundle.config["linux"]["readonlyPaths"] = serde_json::json!([]);
    bed.refuse(&bundle, "shares the mount namespace of its runtime");
}

fn a_link_at_every_component(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    bed.service("deep", &["source=key,target=/opt/app/conf/key"]);
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().to_str().unwrap();
    for (service, link) in [
        ("web", "run"),
        ("web", "run/secrets"),
        ("deep", "opt"),
        ("deep", "opt/app"),
        ("deep", "opt/app/conf"),
        ("deep", "opt/app/conf/key"),
    ] {
        for to in [outside, "../../../../../../../tmp", "/etc", "/proc/self/cwd", "."] {
            let bundle = bed.bundle(service);
            let at = bundle.rootfs.path(link);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            let _ = std::fs::remove_dir(&at);
            symlink(to, &at).unwrap();
            bed.refuse(&bundle, &format!("leads through '/{link}', a symbolic link in the image; name the real path"));
        }
    }
    assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
}

fn a_target_that_is_a_directory(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key", "source=key,target=/etc"]);
    bed.refuse(&bed.bundle("web"), "'/etc' in the image is not a regular file");
    bed.service("under", &["source=key,target=/etc/passwd/key"]);
    bed.refuse(&bed.bundle("under"), "'/etc/passwd' in the image is not a directory");
}

fn a_target_inside_a_kernel_file_system(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    let output = bed.cli(&["service", "create", "--name", "web", "--secret", "source=key,target=/proc/1/x"]);
    assert!(!output.status.success());
    assert!(testbed::words(&output).contains("inside /proc"), "{}", testbed::words(&output));
    // Known only when the container is there: a sysfs in another place.
    bed.service("other", &["source=key,target=/mnt/kernel/mm/key"]);
    let bundle = bed.bundle("other").mounting("/mnt", "sysfs", "sysfs", &["ro"]);
    std::fs::create_dir(bundle.rootfs.path("mnt")).unwrap();
    bed.refuse(&bundle, "leads into a sysfs file system");
}

fn a_target_where_the_container_has_a_mount(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["source=key,target=/data/./x/../key"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let bundle = bed.bundle("web").mounting("/data/key", "bind", file.path().to_str().unwrap(), &["bind"]);
    std::fs::create_dir(bundle.rootfs.path("data")).unwrap();
    std::fs::write(bundle.rootfs.path("data/key"), "").unwrap();
    bed.refuse(&bundle, "target '/data/key' conflicts with the container's own mount '/data/key'");
}

fn a_root_that_cannot_be_written(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["source=key,target=/opt/key"]);
    // Not the container's flag, under which mount points can still be made, but a file system below that is read-only.
    let empty = tempfile::tempdir().unwrap();
    let at = empty.path().to_str().unwrap();
    let run =
        |arguments: &[&str]| assert!(Command::new(arguments[0]).args(&arguments[1..]).status().unwrap().success());
    run(&["mount", "-t", "tmpfs", "-o", "ro", "none", at]);
    let bundle = bed.bundle("web").mounting("/opt", "bind", at, &["bind"]);
    std::fs::create_dir(bundle.rootfs.path("opt")).unwrap();
    let error = bed.try_start(&bundle).map(|_| ());
    run(&["umount", at]);
    let error = error.unwrap_err();
    assert!(error.contains("cannot make the mount point '/opt/key'") && error.contains("Read-only"), "{error}");
    bed.holds_nothing();
}

fn a_file_system_in_ram_that_is_too_small(runtime: Runtime) {
    let bed = Bed::configured(runtime, "[delivery]\nsize-limit = 65536\n");
    bed.secret("small", b"k");
    bed.secret("large", &[7; 100_000]);
    bed.service("web", &["small", "large"]);
    bed.refuse(&bed.bundle("web"), "a container may have 65536; raise delivery.size-limit");
    bed.service("fits", &["small"]);
    bed.start(&bed.bundle("fits"));
}

fn a_run_directory_without_room(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    // The agent's own view of its records' directory: a file system with no room for one more file.
    let records = bed.place.run().join("containers");
    let pid = bed.agent.pid().to_string();
    let in_agent = |arguments: &[&str]| {
        let output = Command::new("nsenter").args(["-t", &pid, "-m", "--"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", testbed::words(&output));
    };
    let records = records.to_str().unwrap();
    in_agent(&["mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=700", "full", records]);
    let refused = bed.try_start(&bed.bundle("web")).map(|_| ());
    in_agent(&["umount", records]);
    let error = refused.unwrap_err();
    assert!(error.contains("cannot keep the record of a delivery") && error.contains("No space left"), "{error}");
    bed.holds_nothing();
    // Nothing is lost: with room there is a delivery, without a restart.
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
}

fn a_claim_without_its_token(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    let made = bed.cli_ok(&["service", "create", "--name", "web", "--secret", "key", "--require-claim"]);
    let token = made.lines().find_map(|line| line.strip_prefix("io.runsecrets.claim=")).unwrap();
    bed.refuse(&bed.bundle("web"), "service web requires a claim token and the container has none");
    bed.refuse(
        &bed.bundle("web").annotated("io.runsecrets.claim", "RSCLAIM-1-guess"),
        "claim token is not that of service web",
    );
    let container = bed.start(&bed.bundle("web").annotated("io.runsecrets.claim", token));
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
}

fn a_second_container_of_the_same_name(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let bundle = bed.bundle("web");
    let container = bed.start(&bundle);
    // The hook as a second runtime would call it, with another process under the same id and bundle.
    let mut other = Command::new("unshare").args(["-m", "sleep", "100"]).spawn().unwrap();
    bed.eventually("a mount namespace of its own", || {
        std::fs::read_link(format!("/proc/{}/ns/mnt", other.id())).unwrap()
            != std::fs::read_link("/proc/self/ns/mnt").unwrap()
    });
    let state = serde_json::json!({"id": container.id, "pid": other.id(), "bundle": bundle.path()});
    let output = hook(&bed, "create-runtime", state.to_string().as_bytes());
    other.kill().unwrap();
    other.wait().unwrap();
    refused(&output, "another container with the id");
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
}

/// The hook by itself, with `input` on standard input.
fn hook(bed: &Bed, stage: &str, input: &[u8]) -> Output {
    hook_of(&bed.place.run(), stage, input)
}

fn hook_of(run_dir: &Path, stage: &str, input: &[u8]) -> Output {
    let mut command = Command::new(testbed::hook());
    command.arg(stage).arg("--run-dir").arg(run_dir);
    let mut hook = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may refuse before it has read everything.
    let _ = hook.stdin.take().unwrap().write_all(input);
    hook.wait_with_output().unwrap()
}

fn refused(output: &Output, part: &str) {
    let words = testbed::words(output);
    assert!(!output.status.success() && words.contains(part), "no '{part}' in: {words}");
    assert_eq!(words.lines().count(), 1, "more than one line: {words}");
}

#[test]
fn states_that_are_none_are_refused_in_one_line() {
    let bed = Bed::new(Runtime::Runc);
    let bundle = bed.bundle("web");
    let path = bundle.write();
    let whole = serde_json::json!({"ociVersion": "1.0.2", "id": "c", "status": "creating", "pid": 1, "bundle": path})
        .to_string();
    for length in 0..whole.len() - 1 {
        refused(&hook(&bed, "create-runtime", &whole.as_bytes()[..length]), "the state on standard input");
    }
    let long = vec![b' '; 10 * 1024 * 1024];
    refused(&hook(&bed, "create-runtime", &long), "it is longer than 1048576 bytes");
    let state = |value: serde_json::Value| value.to_string().into_bytes();
    refused(
        &hook(&bed, "create-runtime", &state(serde_json::json!({"id": "c", "pid": 1}))),
        "the runtime's state has no bundle",
    );
    refused(
        &hook(&bed, "create-runtime", &state(serde_json::json!({"id": "c", "bundle": path}))),
        "the runtime's state has no pid",
    );
    refused(
        &hook(&bed, "create-runtime", &state(serde_json::json!({"id": "c", "pid": 1, "bundle": "/no/such"}))),
        "is the bundle complete?",
    );
    refused(
        &hook(&bed, "create-runtime", &state(serde_json::json!({"id": "c", "pid": 4_194_304, "bundle": path}))),
        "is it still there?",
    );
    bed.holds_nothing();
}

#[test]
fn configs_that_are_none_are_refused_in_one_line() {
    let bed = Bed::new(Runtime::Runc);
    let bundle = bed.bundle("web");
    let path = bundle.write();
    let state = serde_json::json!({"id": "c", "pid": std::process::id(), "bundle": path}).to_string();
    let config = path.join("config.json");
    for (text, part) in [
        (&b"{\"root\":"[..], "it is cut off"),
        (b"not json", "it is not JSON at line 1"),
        (b"{\"annotations\":7}", "form of the OCI runtime specification"),
        (&vec![b' '; 17 * 1024 * 1024], "it is longer than"),
    ] {
        std::fs::write(&config, text).unwrap();
        refused(&hook(&bed, "create-runtime", state.as_bytes()), part);
    }
    std::fs::remove_file(&config).unwrap();
    refused(&hook(&bed, "create-runtime", state.as_bytes()), "is the bundle complete?");
}

#[test]
fn poststop_always_succeeds() {
    let mut bed = Bed::new(Runtime::Runc);
    let bundle = bed.bundle("web");
    let path = bundle.write();
    let state = serde_json::json!({"id": "c", "status": "stopped", "bundle": path}).to_string();
    for input in [&b""[..], b"{", b"nothing", state.as_bytes(), state.as_bytes()] {
        assert!(hook(&bed, "poststop", input).status.success());
    }
    std::fs::remove_dir_all(&path).unwrap();
    assert!(hook(&bed, "poststop", state.as_bytes()).status.success());
    bed.agent.stop();
    let output = hook(&bed, "poststop", state.as_bytes());
    assert!(output.status.success() && testbed::words(&output).contains("cannot reach the agent"));
}

#[test]
fn somebody_elses_socket_is_no_agent() {
    let bed = Bed::new(Runtime::Runc);
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let socket = directory.path().join("hook.sock");
    let listen = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0])) or die; listen(S, 1); sleep 100";
    let mut impostor = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "perl", "-e", listen])
        .arg(&socket)
        .spawn()
        .unwrap();
    bed.eventually("a socket", || socket.exists());
    let mut child = Command::new("unshare").args(["-m", "sleep", "100"]).spawn().unwrap();
    bed.eventually("a mount namespace of its own", || {
        std::fs::read_link(format!("/proc/{}/ns/mnt", child.id())).unwrap()
            != std::fs::read_link("/proc/self/ns/mnt").unwrap()
    });
    let bundle = bed.bundle("web");
    let state = serde_json::json!({"id": "c", "pid": child.id(), "bundle": bundle.write()}).to_string();
    let place = hook_of(directory.path(), "create-runtime", state.as_bytes());
    for process in [&mut child, &mut impostor] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    refused(&place, "belongs to uid 65534, not to root");
}
