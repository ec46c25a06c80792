//! Root file systems made of Debian's own programs.

use std::any::Any;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use super::program;
use super::running_agent::copy_program;

/// What containers of busybox call.
const APPLETS: [&str; 24] = [
    "cat", "chmod", "cp", "echo", "env", "false", "find", "grep", "id", "ln", "ls", "mkdir", "mount", "ps", "readlink",
    "rm", "sh", "sleep", "stat", "tail", "test", "touch", "true", "umount",
];

/// A directory that is a container's root file system.
#[derive(Clone)]
pub struct Rootfs {
    root: PathBuf,
    /// What takes it away again, when nobody uses it any more.
    files: Rc<dyn Any>,
}

impl Rootfs {
    /// The directory `root`, which is there as long as `files`.
    pub fn of(root: &Path, files: Rc<dyn Any>) -> Self {
        Self { root: root.to_owned(), files }
    }

    /// busybox, a passwd, a group, and the usual empty directories.
    pub fn busybox() -> Self {
        let directory = Rc::new(tempfile::tempdir().unwrap());
        let rootfs = Self::of(directory.path(), directory.clone());
        // A container in a user namespace passes through as somebody else.
        std::fs::set_permissions(rootfs.path(""), Permissions::from_mode(0o755)).unwrap();
        for name in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "var"] {
            std::fs::create_dir(rootfs.path(name)).unwrap();
        }
        copy_program(&program("busybox", "busybox-static"), &rootfs.path("bin/busybox"));
        for applet in APPLETS {
            symlink("busybox", rootfs.path("bin").join(applet)).unwrap();
        }
        std::fs::write(rootfs.path("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33::/:\n").unwrap();
        std::fs::write(rootfs.path("etc/group"), "root:x:0:\nwww-data:x:33:\nssl-cert:x:109:\n").unwrap();
        rootfs
    }

    /// Adds a program of Debian's `package` and the libraries that it needs.
    pub fn with_program(self, name: &str, package: &str) -> Self {
        let program = program(name, package);
        self.copy(&program);
        let output = Command::new("ldd").arg(&program).output().unwrap();
        for word in String::from_utf8(output.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(Path::new(word));
        }
        self
    }

    /// Writes a file of the image.
    pub fn write(&self, below: &str, text: &str) {
        std::fs::write(self.path(below), text).unwrap();
    }

    /// A path below it, or its own: without a slash at the end, which runc 1.1.15 takes for another directory.
    pub fn path(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.root.clone() } else { self.root.join(below) }
    }

    /// Adds a file of this machine, at the same path.
    pub fn copy(&self, file: &Path) {
        let to = self.path(file.strip_prefix("/").unwrap().to_str().unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy_program(file, &to);
    }
}
