//! Root file systems of real programs: Debian's static busybox, and any program with the libraries it needs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Host, Outcome, require};

/// A root file system in the host's directory.
pub struct Rootfs {
    path: PathBuf,
    lower: PathBuf,
    upper: Option<PathBuf>,
}

impl Rootfs {
    /// Busybox with all its applets, the usual directories, and users `root` and `app` (1000:1000).
    #[track_caller]
    pub fn busybox(host: &Host) -> Self {
        let busybox = require("busybox", "busybox-static");
        let shared = Outcome::of(Command::new("ldd").arg(&busybox));
        assert_ne!(
            shared.code,
            Some(0),
            "{} is not static; install the one that is: apt-get install -y --no-install-recommends busybox-static",
            busybox.display()
        );
        let path = host.new_dir("rootfs");
        for dir in [
            "bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "var/lib",
            "var/log",
        ] {
            fs::create_dir_all(path.join(dir)).unwrap();
        }
        fs::copy(&busybox, path.join("bin/busybox")).unwrap();
        for applet in Outcome::of(Command::new(&busybox).arg("--list")).ok().lines().filter(|&name| name != "busybox") {
            symlink("busybox", path.join("bin").join(applet)).unwrap();
        }
        fs::write(path.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n").unwrap();
        fs::write(path.join("etc/group"), "root:x:0:\napp:x:1000:\n").unwrap();
        Self { lower: path.clone(), path, upper: None }
    }

    /// Busybox and `program` of Debian's `package`, at its own path, with the libraries that ldd says it has.
    #[track_caller]
    pub fn with_program(host: &Host, program: &str, package: &str) -> Self {
        let rootfs = Self::busybox(host);
        rootfs.add_program(program, package);
        rootfs
    }

    /// Copies one more program in.
    #[track_caller]
    pub fn add_program(&self, program: &str, package: &str) {
        assert!(
            Path::new(program).is_file(),
            "{program} is missing; install it: apt-get install -y --no-install-recommends {package}"
        );
        self.add_file(program);
        // Lines are `libc.so.6 => /lib/…/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
        for line in Outcome::of(Command::new("ldd").arg(program)).ok().lines() {
            if let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) {
                self.add_file(library);
            }
        }
    }

    /// Copies a file of the machine to the same path; links are followed.
    #[track_caller]
    pub fn add_file(&self, file: &str) {
        let target = self.path.join(file.trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, &target).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// This root file system as an image: what is there is the lower layer, and writes go to an upper one, which is
    /// what a commit of the container captures.
    #[track_caller]
    pub fn overlay(mut self, host: &Host) -> Self {
        let [upper, work, merged] = ["upper", "work", "merged"].map(|name| host.new_dir(name));
        let options =
            format!("lowerdir={},upperdir={},workdir={}", self.lower.display(), upper.display(), work.display());
        mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .unwrap_or_else(|error| panic!("overlay at {}: {error}", merged.display()));
        self.path = merged;
        self.upper = Some(upper);
        self
    }

    /// Gives everything to `uid:gid`: the mapped root of a container with a user namespace.
    #[track_caller]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        Outcome::of(Command::new("chown").arg("-hR").arg(format!("{uid}:{gid}")).arg(&self.path)).ok();
        self
    }

    /// Where it is on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The writable layer of an overlay.
    #[track_caller]
    pub fn upper(&self) -> &Path {
        self.upper.as_deref().expect("only an overlay has a writable layer")
    }

    /// All that lies below it, sorted, with a `/` after a directory's name: to see that nothing was left.
    pub fn listing(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![dir.to_owned()];
        while let Some(next) = pending.pop() {
            for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
                let name = entry.path().strip_prefix(dir).unwrap().display().to_string();
                if entry.file_type().unwrap().is_dir() {
                    found.push(format!("{name}/"));
                    pending.push(entry.path());
                } else {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        if self.upper.is_some() {
            let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        }
    }
}
