//! mountinfo as the kernel writes it, and which layout follows from it.

use super::*;

const MOUNTINFO: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
90 22 254:0 /b/rootfs /b/root\\040fs rw,relatime - ext4 /dev/vda rw
91 90 0:50 / /b/root\\040fs/proc rw,nosuid - proc proc rw
92 90 0:51 / /b/root\\040fs/run/secrets/kubernetes.io/serviceaccount ro,relatime - tmpfs tmpfs rw
93 90 0:52 / /b/root\\040fsx/run rw - tmpfs tmpfs rw
94 92 0:53 / /b/root\\040fs/run/secrets/kubernetes.io/serviceaccount/deep rw - tmpfs tmpfs ro
";

fn existing(text: &str) -> Existing {
    Existing { mounts: parse(text, Path::new("/b/root fs")).unwrap() }
}

#[test]
fn only_mounts_below_the_root_are_taken_and_not_the_root_itself() {
    assert_eq!(
        existing(MOUNTINFO).places(),
        ["/proc", "/run/secrets/kubernetes.io/serviceaccount", "/run/secrets/kubernetes.io/serviceaccount/deep",]
    );
}

#[test]
fn read_only_is_seen_on_the_mount_and_on_the_file_system() {
    let flags: Vec<bool> = existing(MOUNTINFO).mounts.iter().map(|mount| mount.read_only).collect();
    assert_eq!(flags, [false, true, true]);
}

#[test]
fn text_that_is_no_mountinfo_is_refused() {
    for text in ["garbage", "1 2 3 / /b - ", "22 1 254:0 / /b\\9 rw - ext4 x rw"] {
        assert!(parse(text, Path::new("/b")).is_none(), "{text}");
    }
}

/// A directory stands in for the root file system: nothing is mounted, `Existing` says what would be.
fn layout(make: &[&str], mounts: &[(&str, bool)]) -> Layout {
    let top = tempfile::tempdir().unwrap();
    for path in make {
        let path = top.path().join(path);
        if path.extension().is_some_and(|extension| extension == "file") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::create_dir_all(path).unwrap();
        }
    }
    let mounts =
        mounts.iter().map(|(at, read_only)| Standing { at: (*at).to_owned(), read_only: *read_only }).collect();
    Existing { mounts }.layout(&Dir::root(top.path()).unwrap()).unwrap()
}

fn kept(texts: &[(&str, MountKind)]) -> Layout {
    let keep = texts.iter().map(|(at, kind)| Kept { target: Target::parse(at).unwrap(), kind: *kind }).collect();
    Layout::Directory { keep }
}

#[test]
fn an_absent_or_empty_directory_gets_one_mount() {
    assert_eq!(layout(&[], &[]), kept(&[]));
    assert_eq!(layout(&["run/secrets"], &[("/proc", false)]), kept(&[]));
}

#[test]
fn a_mount_below_is_put_back_once_and_takes_its_own_with_it() {
    let account = "/run/secrets/kubernetes.io/serviceaccount";
    let made = ["run/secrets/kubernetes.io/serviceaccount"];
    let deep = format!("{account}/deep");
    assert_eq!(layout(&made, &[(account, true), (&deep, true)]), kept(&[(account, MountKind::Directory)]));
}

#[test]
fn files_of_the_image_are_not_covered() {
    assert_eq!(layout(&["run/secrets/own.file"], &[]), Layout::Files);
    let beside = ["run/secrets/a/m", "run/secrets/a/own.file"];
    assert_eq!(layout(&beside, &[("/run/secrets/a/m", false)]), Layout::Files);
}

#[test]
fn a_mount_on_the_directory_stays_alive_or_is_put_back_by_entry() {
    let made = ["run/secrets/d", "run/secrets/x.file"];
    assert_eq!(layout(&made, &[("/run/secrets", false)]), Layout::Files);
    let Layout::Directory { mut keep } = layout(&made, &[("/run/secrets", true)]) else { panic!("one mount expected") };
    keep.sort_by(|a, b| a.target.cmp(&b.target));
    assert_eq!(
        Layout::Directory { keep },
        kept(&[("/run/secrets/d", MountKind::Directory), ("/run/secrets/x.file", MountKind::File)])
    );
}
