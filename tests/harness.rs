//! The test bed itself: what the other tests rely on must be able to fail.
#![allow(clippy::unwrap_used)]

mod testbed;

use std::fs;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use testbed::*;

on_runc_and_crun! {
    fn a_container_runs_and_goes_away(host) {
        let rootfs = Rootfs::busybox(host);
        let bundle = Bundle::of(host, &rootfs).args(&["sh", "-c", "id -u; ls /proc/1/exe"]).write();
        assert_eq!(host.run(&bundle, "once").ok(), "0\n/proc/1/exe\n");

        let bundle = Bundle::of(host, &rootfs).write();
        host.create(&bundle, "life").ok();
        assert_eq!(host.state("life")["status"], "created");
        host.start("life").ok();
        assert_eq!(host.exec("life", &["echo", "hello"]).ok(), "hello\n");
        host.stop("life");
        host.run_detached(&bundle, "life").ok();
        assert!(host.pid("life") > 1);
    }

    fn hooks_mappings_and_flags_reach_the_runtime(host) {
        let rootfs = Rootfs::busybox(host).owned_by(100_000, 100_000);
        let seen = host.path().join("seen");
        fs::create_dir(rootfs.path().join("extra")).unwrap();
        let bundle = Bundle::of(host, &rootfs)
            .args(&["sh", "-c", "cat /proc/self/uid_map; touch /x; ls -d /extra; echo $WORD"])
            .user_namespace(100_000, 100_000, 65_536)
            .readonly_root()
            .no_pivot()
            .env("WORD=word")
            .mount(serde_json::json!({"destination": "/extra", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}))
            .hook("createRuntime", std::path::Path::new("/bin/sh"), &["-c", &format!("cat > {}", seen.display())])
            .write();
        let outcome = host.run(&bundle, "options");
        let text = format!("{}{}", outcome.out(), outcome.err());
        for part in ["100000", "Read-only file system", "/extra\n", "word\n"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert!(fs::read_to_string(seen).unwrap().contains("\"options\""));
    }

    fn an_overlay_keeps_what_was_written_apart(host) {
        let rootfs = Rootfs::busybox(host).overlay(host);
        let bundle = Bundle::of(host, &rootfs).args(&["sh", "-c", "echo written > /root/file"]).write();
        host.run(&bundle, "writer").ok();
        let listing = Rootfs::listing(rootfs.upper());
        assert!(listing.contains(&"root/file".to_owned()), "{listing:?}");
        assert!(!listing.contains(&"bin/busybox".to_owned()), "{listing:?}");
    }

    fn a_program_of_debian_runs_with_its_libraries(host) {
        let rootfs = Rootfs::with_program(host, "/usr/bin/redis-server", "redis-server");
        let bundle = Bundle::of(host, &rootfs).args(&["/usr/bin/redis-server", "--version"]).write();
        assert!(host.run(&bundle, "redis").ok().starts_with("Redis server v="));
    }
}

#[test]
fn a_panic_leaves_no_container_and_no_mount() {
    let kept = std::sync::Mutex::new(None);
    let outcome = std::panic::catch_unwind(|| {
        let host = Host::new(Runtime::Runc);
        let rootfs = Rootfs::busybox(&host).overlay(&host);
        host.run_detached(&Bundle::of(&host, &rootfs).write(), "left").ok();
        *kept.lock().unwrap() = Some((host.path().to_owned(), host.pid("left")));
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    let (path, pid) = kept.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).unwrap();
    assert!(!path.exists(), "{}", path.display());
    eventually("the container's process is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(!mounts.contains(path.to_str().unwrap()), "{mounts}");
}

#[test]
fn a_canary_is_found_wherever_it_is_planted() {
    let canary = Canary::new();
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(canary.search(&[dir.path()]), Vec::<std::path::PathBuf>::new());
    for (lead, name) in ["a", "ab", "abc"].iter().zip(["base64-1", "base64-2", "base64-3"]) {
        fs::write(dir.path().join(name), STANDARD.encode(format!("{lead}{}tail", canary.value()))).unwrap();
    }
    fs::write(dir.path().join("raw"), format!("x{}x", canary.value())).unwrap();
    let hex: String = canary.value().bytes().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir(dir.path().join("deep")).unwrap();
    fs::write(dir.path().join("deep/hex"), hex).unwrap();
    std::os::unix::fs::symlink(canary.value(), dir.path().join("link")).unwrap();
    fs::write(dir.path().join(canary.value()), "").unwrap();
    assert_eq!(canary.search(&[dir.path()]).len(), 7);

    let mut holder =
        Command::new("sleep").arg("600").env("PLANTED", canary.value()).stdin(Stdio::null()).spawn().unwrap();
    let seen = canary.search_processes();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(seen, [std::path::PathBuf::from(format!("/proc/{}/environ", holder.id()))]);
}
