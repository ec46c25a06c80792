//! A memory control group of the agent's own, in whichever hierarchy of the machine has that controller; removed when it is
//! dropped, so it is to be made before what will be in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::testbed::running_agent::LIMIT;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The files of a group.
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// What is no limit.
    none: &'static str,
}

const FIRST: Files = Files { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", none: "-1" };
const SECOND: Files = Files { limit: "memory.max", usage: "memory.current", none: "max" };

pub(crate) struct MemoryGroup {
    path: PathBuf,
    files: Files,
}

impl MemoryGroup {
    /// One without a limit. None where the machine lets nobody have one, as in a container whose group is another's: then
    /// it is said aloud.
    pub(crate) fn new() -> Option<Self> {
        let Some((root, files)) = hierarchy() else {
            crate::testbed::lacks("memory groups of cgroups");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = root.join(format!("runsecrets-full-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Some(Self { path, files })
    }

    /// Takes a process in. What it has already stays charged to where it was.
    pub(crate) fn take_in(&self, process: Pid) {
        std::fs::write(self.path.join("cgroup.procs"), process.to_string()).unwrap();
    }

    /// Limits it to so many bytes more than it has.
    pub(crate) fn leave_room(&self, bytes: u64) {
        let start = Instant::now();
        loop {
            let usage: u64 = self.read(self.files.usage).trim().parse().unwrap();
            match std::fs::write(self.path.join(self.files.limit), (usage + bytes).to_string()) {
                Ok(()) => return,
                // It has grown past that meanwhile.
                Err(error) => assert!(start.elapsed() < LIMIT, "{error}"),
            }
        }
    }

    /// Takes the limit off.
    pub(crate) fn lift(&self) {
        std::fs::write(self.path.join(self.files.limit), self.files.none).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }
}

/// Where groups with a limit of memory can be made.
fn hierarchy() -> Option<(PathBuf, Files)> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    // The mount point is the fifth word; the type comes behind a dash, and the file system's options are the last word.
    let find = |kind: &str, serves: &dyn Fn(&Path, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let (mount, system) = line.split_once(" - ")?;
            let point = PathBuf::from(mount.split(' ').nth(4)?);
            let (found, options) = (system.split(' ').next()?, system.rsplit(' ').next()?);
            (found == kind && serves(&point, options)).then_some(point)
        })
    };
    let first = find("cgroup", &|_, options| options.split(',').any(|option| option == "memory"));
    if let Some(root) = first {
        return Some((root, FIRST));
    }
    find("cgroup2", &|root, _| {
        let has = |file: &str| {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            text.split_whitespace().any(|controller| controller == "memory")
        };
        let control = root.join("cgroup.subtree_control");
        has("cgroup.controllers") && (has("cgroup.subtree_control") || std::fs::write(control, "+memory").is_ok())
    })
    .map(|root| (root, SECOND))
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let start = Instant::now();
        // What was killed in it is there a moment longer, and what is alive after all is moved out.
        while let Err(error) = std::fs::remove_dir(&self.path) {
            for process in std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default().lines() {
                let _ = std::fs::write(self.path.with_file_name("cgroup.procs"), process);
            }
            if start.elapsed() > LIMIT {
                assert!(std::thread::panicking(), "{}: {error}", self.path.display());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
