//! What others got wrong, one test a row: images, volumes and environments that were made to mislead whoever mounts into
//! a container. Rows that are tested where the code is: CVE-2021-30465 and CVE-2023-27561 in `deliver/linux/attach_tests.rs`,
//! links at every component of a target in `refusals.rs`.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::{Bed, Runtime};

on_each_runtime!(
    cve_2021_30465_cve_2024_45310_a_volume_that_changes_under_us,
    cve_2017_1002102_cve_2025_9566_links_left_in_a_volume,
    cve_2025_23266_a_library_of_the_image_is_not_loaded,
    cve_2019_5736_the_image_brings_its_own_loader_and_lookup_files,
    cve_2025_31133_device_nodes_of_the_image_are_links,
);

/// The longest that one race is run.
const ROUNDS: usize = 25;

fn cve_2021_30465_cve_2024_45310_a_volume_that_changes_under_us(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"hunter2");
    bed.service("web", &["source=key,target=/vol/a/b/key"]);
    let (volume, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let racer = {
        let (stop, at, to) = (stop.clone(), volume.path().join("a"), host.path().to_owned());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let _ = std::fs::create_dir(&at);
                let _ = std::fs::rename(&at, at.with_extension("away"));
                let _ = symlink(&to, &at);
                let _ = std::fs::remove_file(&at);
                let _ = std::fs::remove_dir_all(at.with_extension("away"));
            }
        })
    };
    let (mut started, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let bundle = bed.bundle("web").mounting("/vol", "bind", volume.path().to_str().unwrap(), &["bind", "rw"]);
        std::fs::create_dir(bundle.rootfs.path("vol")).unwrap();
        match bed.try_start(&bundle) {
            Ok(container) => {
                started += 1;
                container.stop();
            }
            Err(_) => refused += 1,
        }
        assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 0, "something was made outside the container");
    }
    stop.store(true, Ordering::SeqCst);
    racer.join().unwrap();
    assert_eq!(started + refused, ROUNDS);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(host.path().to_str().unwrap()), "{mounts}");
    bed.holds_nothing();
}

fn cve_2017_1002102_cve_2025_9566_links_left_in_a_volume(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"hunter2");
    bed.service("web", &["key"]);
    let (volume, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = host.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let bundle = bed.bundle("web").mounting("/run/secrets", "bind", volume.path().to_str().unwrap(), &["bind", "rw"]);
    bed.start(&bundle).stop();
    // What a container could do with its volume between two starts.
    for to in [victim.to_str().unwrap(), "../../../../../../etc/shadow", "/proc/self/exe"] {
        let _ = std::fs::remove_file(volume.path().join("key"));
        symlink(to, volume.path().join("key")).unwrap();
        bed.refuse(&bundle, "a symbolic link in the image");
        assert!(volume.path().join("key").is_symlink(), "their link was removed");
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
}

fn cve_2025_23266_a_library_of_the_image_is_not_loaded(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let mut bundle = bed.bundle("web");
    let owned = tempfile::tempdir().unwrap();
    let owned = owned.path().join("owned");
    let source = bundle.path().join("poc.c");
    let code = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) static void run(void) {{ open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        owned.display()
    );
    std::fs::write(&source, code).unwrap();
    let library = bundle.rootfs.path("poc.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.expect("cc is missing; apt-get install -y gcc").success());
    std::fs::copy(&library, bundle.path().join("poc.so")).unwrap();
    let environment = bundle.config["process"]["env"].as_array_mut().unwrap();
    environment.push(serde_json::json!("LD_PRELOAD=/proc/self/cwd/poc.so"));
    environment.push(serde_json::json!("LD_LIBRARY_PATH=/proc/self/cwd"));
    let container = bed.start(&bundle);
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    container.stop();
    assert!(!owned.exists(), "the hook ran code of the image");
    // The library does work: this is how it looks when it is loaded.
    Command::new("true").env("LD_PRELOAD", &library).status().unwrap();
    assert!(owned.exists());
}

fn cve_2019_5736_the_image_brings_its_own_loader_and_lookup_files(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["source=key,uid=www-data"]);
    let bundle = bed.bundle("web");
    for (file, text) in [
        ("etc/ld.so.preload", "/poc.so\n"),
        ("etc/nsswitch.conf", "passwd: poc\ngroup: poc\n"),
        ("lib64/ld-linux-x86-64.so.2", "not a loader"),
    ] {
        std::fs::create_dir_all(bundle.rootfs.path(file).parent().unwrap()).unwrap();
        std::fs::write(bundle.rootfs.path(file), text).unwrap();
    }
    let container = bed.start(&bundle);
    assert_eq!(container.exec(&["stat", "-c", "%u", "/run/secrets/key"]), "33\n");
    // A passwd that never ends, and one that is a pipe.
    container.stop();
    let passwd = bundle.rootfs.path("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    symlink("/dev/zero", &passwd).unwrap();
    bed.refuse(&bundle, "etc/passwd in the container");
    std::fs::remove_file(&passwd).unwrap();
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).unwrap();
    bed.refuse(&bundle, "etc/passwd in the container");
}

fn cve_2025_31133_device_nodes_of_the_image_are_links(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key", "source=key,target=/dev/shm/key"]);
    let bundle = bed.bundle("web");
    symlink("/proc/sys/kernel/core_pattern", bundle.rootfs.path("dev/null")).unwrap();
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if let Ok(container) = bed.try_start(&bundle) {
        assert_eq!(container.exec(&["cat", "/run/secrets/key", "/dev/shm/key"]), "kk");
        container.stop();
    }
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
    bed.holds_nothing();
}

#[test]
fn cve_2024_21626_descriptors_and_environment_are_not_inherited() {
    let bed = Bed::new(Runtime::Runc);
    let bundle = bed.bundle("web");
    let path = bundle.write();
    // Somebody who listens, takes the claim and never answers: the hook can be looked at.
    let run = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(run.path().join("hook.sock")).unwrap();
    let mut container = Command::new("unshare").args(["-m", "sleep", "100"]).spawn().unwrap();
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).unwrap();
    bed.eventually("a mount namespace of its own", || namespace(&container.id().to_string()) != namespace("self"));
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 7</etc 8</etc/passwd \"$0\" \"$@\""])
        .arg(testbed::hook())
        .args(["create-runtime", "--run-dir"])
        .arg(run.path());
    command.env("LEAKED", "x").current_dir("/etc").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut hook = command.spawn().unwrap();
    let state = serde_json::json!({"id": "c", "pid": container.id(), "bundle": path}).to_string();
    hook.stdin.take().unwrap().write_all(state.as_bytes()).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let of_hook = |name: &str| format!("/proc/{}/{name}", hook.id());
    let entered = || namespace(&hook.id().to_string()) == namespace(&container.id().to_string());
    bed.eventually("the hook in the container", entered);
    bed.eventually("nothing inherited", || {
        let open: Vec<_> = std::fs::read_dir(of_hook("fd")).unwrap().map(|entry| entry.unwrap()).collect();
        let targets: Vec<_> = open.iter().filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
        let foreign = |target: &&std::path::PathBuf| target.starts_with("/etc");
        assert_eq!(targets.iter().filter(foreign).count(), 0, "{targets:?}");
        targets.len() >= 5
    });
    // The kernel shows the memory that the environment had at the start: what counts is what `getenv` would find.
    assert_eq!(std::fs::read_link(of_hook("cwd")).unwrap(), Path::new("/"));
    drop(connection);
    let output = hook.wait_with_output().unwrap();
    container.kill().unwrap();
    container.wait().unwrap();
    assert!(!output.status.success());
    assert!(testbed::words(&output).contains("broke off"), "{}", testbed::words(&output));
}
