//! The test's side of the failpoints: which point is armed, who has stopped there, and who is whose child.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use runsecrets::failpoint::Point;

/// How long anything may take that has to come.
const LIMIT: Duration = Duration::from_secs(30);

/// The variable that a program under test looks for.
pub(crate) const VARIABLE: &str = "RUNSECRETS_FAULT";
/// The one that says what the kernel is to lack.
pub(crate) const LACKS: &str = "RUNSECRETS_FAULT_LACKS";
/// Every point at which a program was stopped, in the whole run.
pub(crate) static STOPPED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a program does at the armed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// All its threads stop.
    Stop,
    /// The one that came there waits.
    Hold,
}

#[derive(Default)]
struct State {
    armed: Option<(&'static str, usize, Then)>,
    stopped: Option<i32>,
    held: Option<UnixStream>,
    reached: Vec<String>,
}

/// One test's control over its programs.
pub(crate) struct Control {
    pub(crate) name: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Control {
    pub(crate) fn new() -> Self {
        let name = format!("runsecrets-faults-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let shared = Arc::<(Mutex<State>, Condvar)>::default();
        let ours = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(shared) = ours.upgrade() else { return };
                answer(&shared, stream.unwrap());
            }
        });
        Self { name, shared }
    }

    /// Whoever comes to `point` for the `nth` time from now on stops there.
    pub(crate) fn arm(&self, point: Point, nth: usize) {
        self.arm_for(point, nth, Then::Stop);
    }

    /// The thread that comes to `point` waits there, and its process goes on.
    pub(crate) fn arm_to_hold(&self, point: Point) {
        self.arm_for(point, 1, Then::Hold);
    }

    fn arm_for(&self, point: Point, nth: usize, then: Then) {
        let mut state = self.shared.0.lock().unwrap();
        state.armed = Some((point.name(), nth, then));
        state.stopped = None;
    }

    /// Waits until somebody has stopped; fails when `is_over` is true for longer than a message takes.
    pub(crate) fn wait(&self, mut is_over: impl FnMut() -> bool) -> i32 {
        let (start, mut over_since) = (Instant::now(), None);
        let mut state = self.shared.0.lock().unwrap();
        loop {
            if let Some(pid) = state.stopped {
                drop(state);
                wait_for("it stops", || state_of(pid).is_none_or(|state| state == 'T') || self.holds());
                return pid;
            }
            if is_over() {
                over_since.get_or_insert_with(Instant::now);
            }
            let in_vain = over_since.is_some_and(|since| since.elapsed() > Duration::from_secs(2));
            assert!(!in_vain && start.elapsed() < LIMIT, "{:?} is not reached: {:?}", state.armed, state.reached);
            state = self.shared.1.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
    }

    fn holds(&self) -> bool {
        self.shared.0.lock().unwrap().held.is_some()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The thread that listens sees that nobody is there any more.
        drop(std::mem::take(&mut self.shared));
        let _ = SocketAddr::from_abstract_name(&self.name).and_then(|address| UnixStream::connect_addr(&address));
    }
}

fn answer(shared: &(Mutex<State>, Condvar), mut stream: UnixStream) {
    let mut line = String::new();
    if BufReader::new(&stream).read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let point = line.trim();
    let mut state = shared.0.lock().unwrap();
    state.reached.push(point.to_owned());
    let mut then = None;
    if let Some((armed, left, what)) = &mut state.armed
        && *armed == point
    {
        *left -= 1;
        if *left == 0 {
            then = Some(*what);
            STOPPED.lock().unwrap().insert(armed);
        }
    }
    if then.is_some() {
        state.armed = None;
        state.stopped = Some(getsockopt(&stream, PeerCredentials).unwrap().pid());
        shared.1.notify_all();
    }
    match then {
        Some(Then::Hold) => state.held = Some(stream),
        // A program that is killed meanwhile reads nothing.
        Some(Then::Stop) => drop(stream.write_all(b"s")),
        None => drop(stream.write_all(b"g")),
    }
}

/// Kills it for good; one that has ended is no error.
pub(crate) fn kill_9(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Lets it go on.
pub(crate) fn go_on(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
}

/// The letter of a process's state; none when there is no such process.
pub(crate) fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim().chars().next()
}

/// Whether it has not ended.
pub(crate) fn is_running(pid: i32) -> bool {
    state_of(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Waits until `holds`.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes that descend from `pid`.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<i32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let parent_of = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let pairs: Vec<(i32, i32)> = all.into_iter().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let own = found[at];
        found.extend(pairs.iter().filter(|(_, parent)| *parent == own).map(|(pid, _)| pid));
        at += 1;
    }
    found.split_off(1)
}

/// The processes that start the container `id`: whoever has it in the command line (crun lets one that waits go before the one
/// that works), and who descends from those.
pub(crate) fn family(id: &str) -> Vec<i32> {
    let named = naming(Path::new(id));
    let named = named.iter().map(|line| line.split(':').next().unwrap().parse().unwrap());
    let all: BTreeSet<i32> = named.flat_map(|pid| [vec![pid], descendants(pid)].concat()).collect();
    all.into_iter().collect()
}

/// Whether a process is our hook.
pub(crate) fn is_hook(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.ends_with("runsecrets-hook"))
}

/// Whether a process is in another mount namespace than `other`.
pub(crate) fn is_apart(pid: i32, other: i32) -> bool {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    namespace(pid).is_some() && namespace(pid) != namespace(other)
}

/// The processes whose command line names `path`.
pub(crate) fn naming(path: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| {
        let bytes = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        line.contains(path.to_str()?).then(|| format!("{}: {line}", entry.file_name().display()))
    });
    lines.collect()
}
