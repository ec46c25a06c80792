//! Many containers of one service on one read-only root file system, started and stopped as many at one time as asked for.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{Bundle, Rootfs, Runtime};

/// A fleet; its containers go away with it.
pub struct Fleet {
    yard: Yard,
    /// How many are there.
    count: usize,
    /// config.json of each of them.
    config: Value,
    /// Kept as long as they are there.
    rootfs: Rootfs,
}

/// Where a fleet is, and what starts it: all that a thread needs.
struct Yard {
    runtime: Runtime,
    /// Whether the runtime can work in this process's own mount namespace.
    is_prepared: bool,
    directory: tempfile::TempDir,
}

impl Fleet {
    /// A fleet of no containers yet, each of which will be as `bundle`. `is_prepared` where this process is in a mount
    /// namespace in which the runtime can work: then nothing else is started for it.
    pub fn new(runtime: Runtime, is_prepared: bool, bundle: &Bundle) -> Self {
        let yard = Yard { runtime, is_prepared, directory: tempfile::tempdir().unwrap() };
        Self { yard, count: 0, config: bundle.config.clone(), rootfs: bundle.rootfs.clone() }
    }

    /// A bundle for a fleet: the root file system is made once, with every mount point, and stays as it is.
    pub fn bundle(targets: &[&str]) -> Bundle {
        let rootfs = Rootfs::busybox();
        std::fs::create_dir(rootfs.path("run/secrets")).unwrap();
        for target in targets.iter().filter(|target| !target.starts_with("/run/secrets/")) {
            let point = rootfs.path(target.trim_start_matches('/'));
            std::fs::create_dir_all(point.parent().unwrap()).unwrap();
            File::create(point).unwrap();
        }
        // Each with a network of its own would measure the kernel's, and 500 of them are slow to go away.
        Bundle::new(rootfs).read_only().sharing("network").running(&["sleep", "100000"])
    }

    /// Starts `count` more, `at_once` at one time; what was said by those that did not come up.
    pub fn start(&mut self, count: usize, at_once: usize) -> Vec<String> {
        let numbers = self.count..self.count + count;
        for number in numbers.clone() {
            let bundle = self.yard.bundle(number);
            std::fs::create_dir(&bundle).unwrap();
            std::fs::write(bundle.join("config.json"), self.config.to_string()).unwrap();
        }
        self.count += count;
        each(numbers, at_once, |number| self.yard.start(number))
    }

    /// Kills and deletes them all, `at_once` at one time; what was said by those that did not go.
    pub fn stop(&mut self, at_once: usize) -> Vec<String> {
        let faults = each(0..self.count, at_once, |number| self.yard.stop(number));
        for number in 0..self.count {
            std::fs::remove_dir_all(self.yard.bundle(number)).unwrap();
        }
        self.count = 0;
        faults
    }

    /// Where each of them that has come up shows `target` to the processes of the host.
    pub fn seen(&self, target: &str) -> Vec<PathBuf> {
        let seen = |number| {
            let pid = std::fs::read_to_string(self.yard.bundle(number).join("pid")).ok()?;
            Some(PathBuf::from(format!("/proc/{}/root{target}", pid.trim())))
        };
        (0..self.count).filter_map(seen).collect()
    }
}

impl Yard {
    fn start(&self, number: usize) -> Option<String> {
        let bundle = self.bundle(number);
        let mut command = self.command();
        command.args(["run", "--detach", "--pid-file"]).arg(bundle.join("pid"));
        command.arg("--bundle").arg(&bundle).arg(self.name(number));
        self.said(command, number)
    }

    fn stop(&self, number: usize) -> Option<String> {
        let mut command = self.command();
        command.args(["delete", "--force"]).arg(self.name(number));
        self.said(command, number)
    }

    /// The runtime, with what it is always told.
    fn command(&self) -> Command {
        let root = self.directory.path().join("state");
        if !self.is_prepared {
            return self.runtime.command_of(&self.runtime.path(), &root);
        }
        let mut command = Command::new(self.runtime.path());
        command.args(self.runtime.own_arguments()).arg("--root").arg(root);
        command
    }

    /// Like no other on the machine: runc's cgroup has it.
    fn name(&self, number: usize) -> String {
        let unique = self.directory.path().file_name().unwrap().to_str().unwrap();
        format!("fleet-{}-{number}", unique.trim_start_matches('.'))
    }

    fn bundle(&self, number: usize) -> PathBuf {
        self.directory.path().join(number.to_string())
    }

    /// Runs `command`, about the container `number`; what it says, if it fails.
    fn said(&self, mut command: Command, number: usize) -> Option<String> {
        // Not through pipes: the container keeps them open.
        let log = self.bundle(number).join("log");
        // In append mode: crun opens it a second time for its hooks.
        let open = || File::options().append(true).create(true).open(&log).unwrap();
        let status = command.stdin(Stdio::null()).stdout(open()).stderr(open()).status().unwrap();
        (!status.success()).then(|| format!("{command:?}: {}", std::fs::read_to_string(&log).unwrap()))
    }
}

/// Does `work` for each of `numbers` on `at_once` threads, which begin together.
fn each(numbers: Range<usize>, at_once: usize, work: impl Fn(usize) -> Option<String> + Sync) -> Vec<String> {
    let at_once = at_once.min(numbers.len()).max(1);
    let (next, together) = (AtomicUsize::new(numbers.start), Barrier::new(at_once));
    let turn = || {
        together.wait();
        let mut faults = Vec::new();
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                number if number < numbers.end => faults.extend(work(number)),
                _ => return faults,
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(turn)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop(8);
    }
}
