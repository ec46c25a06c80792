//! Trees that were prepared to mislead. These run as root in a mount namespace of their own thread, with real mounts.

use super::*;
use crate::deliver::linux::{Empty, Medium, Protection, Room, Stage, owner_names, plan};
use crate::model::{Grant, Grants, Target};
use crate::secret::SecretBytes;
use crate::wire::Layout;
use std::path::Path;

/// Runs `body` on a thread that has a mount namespace of its own, with an empty root file system and one secret that
/// says `hunter2`, filled for `grants`.
fn in_container(
    grants: &'static [&'static str],
    body: impl FnOnce(&Path, &Dir, &[Mount], &[OwnedFd]) + Send + 'static,
) {
    in_container_with(Protection::Noswap, Stage::Detached, grants, body);
}

fn in_container_with(
    protection: Protection,
    stage: Stage,
    grants: &'static [&'static str],
    body: impl FnOnce(&Path, &Dir, &[Mount], &[OwnedFd]) + Send + 'static,
) {
    let run = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("these tests need root");
        crate::sys::linux::mount::make_private().unwrap();
        let top = tempfile::tempdir().unwrap();
        let grants =
            Grants::try_from(grants.iter().map(|text| Grant::parse(text).unwrap()).collect::<Vec<_>>()).unwrap();
        assert_eq!(owner_names(&grants), (vec![], vec![]));
        let maps = crate::deliver::linux::owners::IdMaps::for_test("0 0 4294967295");
        let layout = Layout::Directory { keep: Vec::new() };
        let request = crate::deliver::linux::Request {
            generations: false,
            grants: &grants,
            users: &[],
            groups: &[],
            maps: &maps,
            layout: &layout,
            mounts: &[],
        };
        let plan = plan(&request).unwrap();
        let medium = Medium::probe(&[protection]).unwrap();
        let room = Room::of(&grants, &[7, 7], false);
        let empty = Empty::make(medium, room, None).unwrap();
        let value = |_| Ok::<_, DeliverError>(SecretBytes::take_from(&mut b"hunter2".to_vec()).unwrap());
        let filled = empty.fill(&plan, &stage, value).unwrap();
        let mounts: Vec<Mount> = plan.mounts.iter().map(|(mount, _)| mount.clone()).collect();
        let rootfs = Dir::root(top.path()).unwrap();
        body(top.path(), &rootfs, &mounts, &filled.clones);
    };
    std::thread::spawn(run).join().unwrap();
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

#[test]
fn files_are_there_read_only_and_gone_again_with_their_mount_points() {
    in_container(&["a", "source=b,target=/etc/app/b,mode=0400"], |top, rootfs, mounts, fds| {
        let attached = Attached::attach(rootfs, (0, 0), mounts, fds, &[]).unwrap();
        assert_eq!(std::fs::read_to_string(top.join("run/secrets/a")).unwrap(), "hunter2");
        assert_eq!(std::fs::read_to_string(top.join("etc/app/b")).unwrap(), "hunter2");
        for path in ["run/secrets/a", "etc/app/b"] {
            let refused = std::fs::OpenOptions::new().write(true).open(top.join(path)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
        }
        let made: Vec<&str> = attached.made().iter().map(|point| point.at.as_str()).collect();
        assert_eq!(made, ["/run", "/run/secrets", "/etc", "/etc/app", "/etc/app/b"]);
        drop(attached);
        assert_eq!(entries(top), 0);
    });
}

#[test]
fn what_was_there_stays_when_ours_is_undone() {
    in_container(&["source=b,target=/etc/b"], |top, rootfs, mounts, fds| {
        std::fs::create_dir(top.join("etc")).unwrap();
        std::fs::write(top.join("etc/b"), "the image's").unwrap();
        let attached = Attached::attach(rootfs, (0, 0), mounts, fds, &[]).unwrap();
        assert_eq!(std::fs::read_to_string(top.join("etc/b")).unwrap(), "hunter2");
        drop(attached);
        assert_eq!(std::fs::read_to_string(top.join("etc/b")).unwrap(), "the image's");
    });
}

fn refused(prepare: impl FnOnce(&Path) + Send + 'static, grants: &'static [&'static str], words: &'static str) {
    in_container(grants, move |top, rootfs, mounts, fds| {
        prepare(top);
        let before = listing(top);
        let error = Attached::attach(rootfs, (0, 0), mounts, fds, &[]).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(listing(top), before, "something was left behind");
    });
}

fn listing(top: &Path) -> Vec<String> {
    let output = std::process::Command::new("find").arg(top).arg("-xdev").output().unwrap();
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn cve_2021_30465_a_link_at_any_component_is_refused() {
    fn link(top: &Path, at: &str, to: &str) {
        std::fs::create_dir_all(top.join(at).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, top.join(at)).unwrap();
    }
    refused(|top| link(top, "run", "/tmp"), &["a"], "symbolic link");
    refused(|top| link(top, "run/secrets", "../../../../tmp"), &["a"], "symbolic link");
    refused(|top| link(top, "etc", "usr"), &["source=a,target=/etc/app/key"], "symbolic link");
    refused(|top| link(top, "etc/app", "/proc/self/cwd"), &["source=a,target=/etc/app/key"], "symbolic link");
    refused(|top| link(top, "etc/app/key", "/etc/shadow"), &["source=a,target=/etc/app/key"], "symbolic link");
}

#[test]
fn the_first_mount_is_undone_when_the_second_target_is_refused() {
    let prepare = |top: &Path| {
        std::fs::create_dir_all(top.join("etc/app/key")).unwrap();
    };
    refused(prepare, &["a", "source=a,target=/etc/app/key"], "not a regular file");
}

#[test]
fn a_file_in_the_way_of_a_directory_is_refused() {
    refused(|top| std::fs::write(top.join("etc"), "").unwrap(), &["source=a,target=/etc/app/key"], "not a directory");
    refused(
        |top| nix::unistd::mkfifo(&top.join("key"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
        &["source=a,target=/key"],
        "not a regular file",
    );
}

#[test]
fn cve_2023_27561_a_kernel_file_system_on_the_way_is_refused() {
    refused(
        |top| {
            std::fs::create_dir(top.join("etc")).unwrap();
            let none: Option<&str> = None;
            nix::mount::mount(none, &top.join("etc"), Some("proc"), nix::mount::MsFlags::empty(), none).unwrap();
        },
        &["source=a,target=/etc/sysrq-trigger"],
        "proc file system",
    );
}

#[test]
fn a_kept_mount_stays_visible_inside_ours() {
    in_container(&["a"], |top, rootfs, mounts, fds| {
        let account = top.join("run/secrets/k8s");
        std::fs::create_dir_all(&account).unwrap();
        let none: Option<&str> = None;
        nix::mount::mount(none, &account, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
        std::fs::write(account.join("token"), "theirs").unwrap();
        // The agent would have made the place in its plan; here the mount point is missing, so it is refused ...
        let keep = [Kept { target: Target::parse("k8s").unwrap(), kind: MountKind::Directory }];
        let refused = Attached::attach(rootfs, (0, 0), mounts, fds, &keep).map(|_| ()).unwrap_err();
        assert!(matches!(refused, DeliverError::MountPoint { .. }), "{refused}");
        // ... and their mount is seen again.
        assert_eq!(std::fs::read_to_string(account.join("token")).unwrap(), "theirs");
    });
}

#[test]
fn kernels_without_noswap_or_detached_clones_have_a_way_too() {
    for protection in [Protection::Ramfs, Protection::Swappable, Protection::Noswap] {
        let directory = tempfile::tempdir().unwrap();
        let stage = Stage::Private(directory.path().to_owned());
        in_container_with(protection, stage, &["a", "source=b,target=/etc/b"], |top, rootfs, mounts, fds| {
            let attached = Attached::attach(rootfs, (0, 0), mounts, fds, &[]).unwrap();
            for path in ["run/secrets/a", "etc/b"] {
                assert_eq!(std::fs::read_to_string(top.join(path)).unwrap(), "hunter2");
                assert!(std::fs::write(top.join(path), "x").is_err());
            }
            drop(attached);
        });
        assert_eq!(entries(directory.path()), 0);
    }
}
