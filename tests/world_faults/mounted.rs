//! A file system of its own for a directory of the agent's, to be filled and broken; unmounted when dropped.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::testbed::{program, words};

pub(crate) struct Mounted {
    at: PathBuf,
    image: Option<PathBuf>,
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", words(&output));
}

/// A root file system without udev (`.ci/make-root`) has not the names of the kernel's loop devices.
fn make_loop_devices() {
    let make = |name: &str, kind: &str, major: u32, minor: u32| {
        let path = Path::new("/dev").join(name);
        if !path.exists() {
            // Another test may have been faster.
            let numbers = [major, minor].map(|number| number.to_string());
            let _ = Command::new("mknod").arg("-m600").arg(path).arg(kind).args(numbers).output();
        }
    };
    make("loop-control", "c", 10, 237);
    (0..64).for_each(|number| make(&format!("loop{number}"), "b", 7, number));
}

impl Mounted {
    /// A tmpfs of `size` on the new directory `at`.
    pub(crate) fn tmpfs(at: &Path, mode: u32, size: &str) -> Self {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={size},mode={mode:o}");
        run(Command::new(program("mount", "mount")).args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at));
        Self { at: at.to_owned(), image: None }
    }

    /// An ext4 in the new file `image` on the new directory `at`.
    pub(crate) fn ext4(at: &Path, image: &Path) -> Self {
        make_loop_devices();
        std::fs::create_dir(at).unwrap();
        std::fs::File::create(image).unwrap().set_len(16 * 1024 * 1024).unwrap();
        run(Command::new(program("mkfs.ext4", "e2fsprogs")).arg("-q").arg(image));
        let mounted = Self { at: at.to_owned(), image: Some(image.to_owned()) };
        mounted.mount();
        std::fs::set_permissions(at, Permissions::from_mode(0o700)).unwrap();
        mounted
    }

    fn mount(&self) {
        let mut command = Command::new(program("mount", "mount"));
        run(command.args(["-o", "loop"]).args(&self.image).arg(&self.at));
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let filler = std::fs::File::create(self.filler()).unwrap();
        for size in [1024 * 1024, 4096, 1] {
            let chunk = vec![b'x'; size];
            while std::io::Write::write_all(&mut &filler, &chunk).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Makes an ext4 read-only, as the kernel does when it finds an error in it.
    pub(crate) fn fail(&self) {
        run(Command::new(program("mount", "mount")).args(["-o", "remount,abort"]).arg(&self.at));
    }

    /// Unmounts it, and mounts a repaired copy in its place: a mount namespace of anybody's may have the old one still.
    pub(crate) fn mount_repaired(&mut self) {
        run(Command::new(program("umount", "mount")).arg(&self.at));
        let copy = self.image.as_ref().unwrap().with_extension("repaired");
        std::fs::copy(self.image.as_ref().unwrap(), &copy).unwrap();
        // It says with its status that there was something to repair.
        Command::new(program("e2fsck", "e2fsprogs")).arg("-fy").arg(&copy).output().unwrap();
        self.image = Some(copy);
        self.mount();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}
