//! Adoption from a real process in a mount namespace of its own. These run as root.

use super::*;
use crate::sys::linux::file_system::FsContext;
use crate::sys::linux::mount::{attach, restrict};
use crate::wire::MountKind;
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::Read;
use std::process::{Child, Command};

/// A process whose mount namespace shows, read-only, at `at` a file system with one file `key` that says `hunter2`.
struct Container {
    child: Child,
    at: tempfile::TempDir,
    file_system: FileSystem,
}

impl Container {
    fn start() -> Self {
        let at = tempfile::tempdir().unwrap();
        let child = Command::new("unshare").args(["-m", "sleep", "60"]).spawn().unwrap();
        let process = Process::open(child.id() as i32).unwrap();
        let own = crate::sys::linux::pidfd::MountNamespace::own().unwrap();
        while process.mount_namespace().unwrap() == own {
            std::thread::yield_now();
        }
        let path = at.path().to_owned();
        let file_system = std::thread::spawn(move || {
            let mount = FsContext::open(c"tmpfs").unwrap().mount().unwrap();
            let clone = clone_tree(&mount, c"").unwrap();
            let root = Dir::from(mount);
            std::io::Write::write_all(&mut root.make_file("key", 0o600).unwrap(), b"hunter2").unwrap();
            restrict(&clone).unwrap();
            unshare(CloneFlags::CLONE_FS).unwrap();
            process.enter_mount_namespace().unwrap();
            attach(&clone, Dir::root(&path).unwrap()).unwrap();
            FileSystem::of(&root).unwrap()
        })
        .join()
        .unwrap();
        Self { child, at, file_system }
    }

    fn process(&self) -> Process {
        Process::open(self.child.id() as i32).unwrap()
    }

    fn mounts(&self) -> Vec<Mount> {
        vec![Mount { at: self.at.path().to_str().unwrap().to_owned(), kind: MountKind::Directory }]
    }

    fn open_inside(&self) -> File {
        File::open(format!("/proc/{}/root{}/key", self.child.id(), self.at.path().display())).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_an_earlier_agent_made_can_be_scrubbed_also_where_it_is_open() {
    let container = Container::start();
    let mut open = container.open_inside();
    let adopted = adopt(&container.process(), &container.mounts(), &[container.file_system], None).unwrap();
    assert_eq!(adopted.len(), 1);
    let scrubbed = adopted.scrub();
    assert_eq!((scrubbed.files, scrubbed.failures), (1, Vec::new()));
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let container = Container::start();
    let own = container.file_system;
    // A number that was free again may have gone to somebody else's; the serial tells them apart.
    for other in [FileSystem { device: own.device + 1, ..own }, FileSystem { serial: own.serial + 1, ..own }] {
        assert!(adopt(&container.process(), &container.mounts(), &[other], None).unwrap().is_empty());
    }
    let mut text = String::new();
    container.open_inside().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hunter2");
}

#[test]
fn a_process_that_is_gone_is_an_error() {
    let mut container = Container::start();
    let process = container.process();
    container.child.kill().unwrap();
    container.child.wait().unwrap();
    assert!(adopt(&process, &container.mounts(), &[container.file_system], None).is_err());
}
