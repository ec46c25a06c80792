//! A root file system as engines make it: an image below, and above it the writable layer, which is what a commit
//! captures. The mounts are made in a mount namespace of the test's own thread: they end with it, whatever happens.

use std::cell::Cell;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::{Rootfs, words};

thread_local! {
    /// Whether this thread has a mount namespace of its own.
    static APART: Cell<bool> = const { Cell::new(false) };
}

/// A mounted overlay.
#[derive(Clone)]
pub struct Overlay {
    layers: Rc<Layers>,
}

struct Layers {
    /// `upper`, `work` and `merged`.
    directory: tempfile::TempDir,
    /// The lowest last.
    image: Vec<PathBuf>,
    /// What the layers of the image belong to.
    _kept: Vec<Rc<dyn std::any::Any>>,
}

impl Overlay {
    /// A container's file system on this image.
    pub fn on(image: &Rootfs) -> Self {
        Self::mount(vec![image.path("")], vec![Rc::new(image.clone())])
    }

    /// `docker commit`: a container's file system on the image with a copy of this writable layer on top.
    pub fn committed(&self) -> Self {
        let copy = tempfile::tempdir().unwrap();
        // With everything that an overlay means by a file: devices that stand for removals, extended attributes.
        let output = Command::new("cp").arg("-a").arg(self.upper().join(".")).arg(copy.path()).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        let image = [vec![copy.path().to_owned()], self.layers.image.clone()].concat();
        Self::mount(image, vec![Rc::new(copy), Rc::new(self.clone())])
    }

    fn mount(image: Vec<PathBuf>, kept: Vec<Rc<dyn std::any::Any>>) -> Self {
        if !APART.get() {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            APART.set(true);
        }
        let directory = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let layers = Rc::new(Layers { directory, image, _kept: kept });
        let lower: Vec<&str> = layers.image.iter().map(|layer| layer.to_str().unwrap()).collect();
        let below = |name: &str| layers.directory.path().join(name).to_str().unwrap().to_owned();
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), below("upper"), below("work"));
        mount(Some("overlay"), below("merged").as_str(), Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .unwrap_or_else(|error| panic!("overlay: {error}; {options}"));
        Self { layers }
    }

    /// What the container has as its root.
    pub fn rootfs(&self) -> Rootfs {
        Rootfs::of(&self.layers.directory.path().join("merged"), self.layers.clone())
    }

    /// The writable layer.
    pub fn upper(&self) -> PathBuf {
        self.layers.directory.path().join("upper")
    }

    /// What the writable layer adds to the image or removes from it: paths from the root, in order. A directory of the
    /// image that was only opened for writing is neither.
    pub fn changes(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.look_into(&self.upper(), Path::new("/"), &mut found);
        found.sort();
        found
    }

    fn look_into(&self, upper: &Path, at: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(upper).unwrap().map(Result::unwrap) {
            let path = at.join(entry.file_name());
            let below = path.strip_prefix("/").unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.look_into(&entry.path(), &path, found);
            }
            let known = self.layers.image.iter().any(|layer| layer.join(below).is_dir());
            if !(kind.is_dir() && known) {
                let removed = if kind.is_char_device() { "removed " } else { "" };
                found.push(format!("{removed}{}", path.display()));
            }
        }
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        let _ = umount2(&self.directory.path().join("merged"), MntFlags::MNT_DETACH);
    }
}
