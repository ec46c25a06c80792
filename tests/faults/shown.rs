//! What a container shows of its secrets, looked at from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::control::wait_for;

/// Files at targets, by target.
pub(crate) type Files = BTreeMap<String, String>;

/// What a container shows of its file systems: the kernel says when no mount and no descriptor holds it any more.
pub(crate) struct FileSystems {
    inotify: Inotify,
    count: usize,
}

impl FileSystems {
    /// Those that a running container shows.
    pub(crate) fn of(pid: i32) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        let mut count = 0;
        for at in mounts_of(pid).keys() {
            inotify.add_watch(&in_container(pid, at), AddWatchFlags::IN_UNMOUNT).unwrap();
            count += 1;
        }
        Self { inotify, count }
    }

    /// Waits until nobody in the machine holds one of them any more.
    pub(crate) fn are_gone(self) {
        let mut gone = 0;
        wait_for("the file systems are gone", || {
            match self.inotify.read_events() {
                Ok(events) => gone += events.iter().filter(|it| it.mask.contains(AddWatchFlags::IN_IGNORED)).count(),
                Err(error) => assert_eq!(error, Errno::EAGAIN),
            }
            gone >= self.count
        });
    }
}

/// Whether `path` is a place of ours in the root file system, with nothing in it.
pub(crate) fn is_empty_mount_point(path: &Path, root: &Path) -> bool {
    let places = ["run/secrets", "etc/app", "etc/app/key", "etc/app/third", "etc/other", "etc/third"];
    let is_empty = match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => data.len() == 0,
        Ok(data) => data.is_dir(),
        Err(_) => false,
    };
    is_empty && path.strip_prefix(root).is_ok_and(|below| places.iter().any(|place| below == Path::new(place)))
}

/// A path in a container, from outside.
pub(crate) fn in_container(pid: i32, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{path}"))
}

/// What a container has at every place where it may have a secret.
pub(crate) fn seen(pid: i32) -> Files {
    let mut found = Files::new();
    for name in names(&in_container(pid, "/run/secrets")).iter().filter(|name| *name != "..current") {
        found.insert(format!("/run/secrets/{name}"), String::new());
    }
    for target in ["/etc/app/key", "/etc/other", "/etc/third", "/etc/app/third"] {
        if in_container(pid, target).exists() {
            found.insert(target.to_owned(), String::new());
        }
    }
    for (target, value) in &mut found {
        *value = fs::read_to_string(in_container(pid, target)).unwrap_or_else(|error| format!("({error})"));
    }
    found
}

/// How many mounts of ours a container has at each place.
pub(crate) fn mounts_of(pid: i32) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    for line in text.lines().filter(|line| line.contains(" runsecrets ")) {
        *found.entry(line.split(' ').nth(4).unwrap().to_owned()).or_default() += 1;
    }
    found
}

/// Whether a target is a mount of its own.
pub(crate) fn is_single(target: &str) -> bool {
    target != "/run/secrets" && !target.starts_with("/run/secrets/")
}

/// The names in a directory, in order; none where there is none.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
