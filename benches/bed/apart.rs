//! A part of a benchmark that leaves nothing behind, also when it is interrupted or killed: in a PID and a mount namespace
//! of its own, which end with it, and with one directory for all its files.

use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::testbed::program;

/// The signals by which somebody ends a benchmark.
const ENDS: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];
/// Names the parent of all cgroups that a part makes.
pub const CGROUP: &str = "RUNSECRETS_BENCH_CGROUP";

/// The part that runs: its process, or 0.
static PART: AtomicI32 = AtomicI32::new(0);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Has the signals that end a benchmark end the part that runs: what follows it is done after them too.
fn take_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut ends = SigSet::empty();
        ENDS.into_iter().for_each(|signal| ends.add(signal));
        // Taken by a thread. Programs that are started have none blocked.
        ends.thread_block().unwrap();
        std::thread::spawn(move || {
            while ends.wait().is_ok() {
                INTERRUPTED.store(true, Ordering::SeqCst);
                end(PART.load(Ordering::SeqCst));
            }
        });
    });
}

/// Kills the first process of the part whose unshare(1) is `part`: that one waits until all the others are gone.
fn end(part: i32) {
    if part == 0 {
        return;
    }
    let children = std::fs::read_to_string(format!("/proc/{part}/task/{part}/children")).unwrap_or_default();
    let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
    let _ = kill(Pid::from_raw(first.unwrap_or(part)), Signal::SIGKILL);
}

/// Runs this program again, told so by `variable`, in a mount namespace that the shell's `preparation` has made ready.
/// Ends the whole benchmark when that part fails or somebody interrupts it.
pub fn run(preparation: &str, variable: (&str, &str)) {
    take_signals();
    let files = tempfile::tempdir().unwrap();
    // Others pass through, as they do through /tmp.
    super::testbed::running_agent::set_mode(files.path(), 0o711);
    let cgroup = format!("runsecrets-bench-{}", std::process::id());
    // The shell stays as the first process, and takes what ends without parents.
    let script = format!("{preparation} \"$0\"; exit $?");
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.args(["--pdeathsig", "KILL"]).arg(program("unshare", "util-linux"));
    command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    let mut child =
        command.env("TMPDIR", files.path()).env(CGROUP, &cgroup).env(variable.0, variable.1).spawn().unwrap();
    PART.store(child.id().try_into().unwrap(), Ordering::SeqCst);
    if INTERRUPTED.load(Ordering::SeqCst) {
        end(PART.load(Ordering::SeqCst));
    }
    let status = child.wait().unwrap();
    PART.store(0, Ordering::SeqCst);
    remove_cgroups(Path::new("/sys/fs/cgroup"), &cgroup);
    drop(files);
    if !status.success() || INTERRUPTED.load(Ordering::SeqCst) {
        std::process::exit(1);
    }
}

/// Removes the cgroup `name` of every hierarchy, and what is in it.
fn remove_cgroups(top: &Path, name: &str) {
    for hierarchy in std::fs::read_dir(top).into_iter().flatten().flatten() {
        remove_tree(&hierarchy.path().join(name));
    }
    remove_tree(&top.join(name));
}

fn remove_tree(cgroup: &Path) {
    let entries = std::fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .for_each(|entry| remove_tree(&entry.path()));
    let _ = std::fs::remove_dir(cgroup);
}
