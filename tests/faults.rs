//! kill -9 at every step: of the agent, of the hook, of the runtime, of containerd's shim, and of the container itself; with
//! root's containers and those of a user without privileges, on this kernel and with what older ones have.
//! Afterwards, with a new agent where the old one was killed, the same must hold each time: a container that runs has
//! what it is granted, all of it and nothing else, can be given new values, and is scrubbed when it ends; one that was not
//! started can be started; no mount, no file, no process is left, and the value is on no disk.
//!
//! `make test-faults` runs it. The programs are built with the feature `faults`; `src/failpoint.rs` has the list of the
//! steps, of which each is stopped at in at least one case. With an argument only the cases that have it in their name.
//!
//! | file | what is there |
//! |---|---|
//! | `faults/control.rs` | points, processes |
//! | `faults/ground.rs` | root's or a user's, this kernel or an older one |
//! | `faults/scene.rs` | agent, container, and what must hold |
//! | `faults/shown.rs` | what a container shows |
//! | `faults/start.rs` | while a container is being started |
//! | `faults/change.rs` | while what it has is being changed |
//! | `faults/changes.rs` | which changes, and where they are stopped |
//! | `faults/end.rs` | while it ends, while an agent starts, while the store erases |
//! | `faults/shim.rs` | under containerd |
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "faults/change.rs"]
mod change;
#[path = "faults/changes.rs"]
mod changes;
#[path = "engines/containerd.rs"]
mod containerd;
#[path = "faults/control.rs"]
mod control;
#[path = "faults/end.rs"]
mod end;
#[path = "faults/ground.rs"]
mod ground;
#[path = "engines/image.rs"]
mod image;
#[path = "faults/scene.rs"]
mod scene;
#[path = "faults/shim.rs"]
mod shim;
#[path = "faults/shown.rs"]
mod shown;
#[path = "faults/start.rs"]
mod start;
mod testbed;

use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use runsecrets::failpoint::Point;
use testbed::Runtime;

/// Cases at one time, for each processor: they wait for one another's programs more than they work.
const AT_ONCE: usize = 3;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Agent,
    Hook,
    Runtime,
    Container,
    Shim,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Hook => "hook",
            Self::Runtime => "runtime",
            Self::Container => "container",
            Self::Shim => "shim",
        })
    }
}

/// One kill.
pub(crate) struct Case {
    name: String,
    run: Box<dyn Fn() + Send + Sync>,
}

impl Case {
    fn new(
        runtime: Runtime,
        what: &str,
        point: Point,
        nth: usize,
        victim: Victim,
        run: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let nth = if nth == 1 { String::new() } else { format!(":{nth}") };
        Self { name: format!("{} {what} {}{nth} {victim}", runtime.name(), point.name()), run: Box::new(run) }
    }
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut cases = Vec::new();
    for runtime in [Runtime::Runc, Runtime::Crun] {
        cases.extend(start::cases(runtime));
        cases.extend(change::cases(runtime));
        cases.extend(end::cases(runtime));
    }
    cases.extend(shim::cases());
    cases.retain(|case| filters.iter().all(|filter| case.name.contains(filter.as_str())));
    let start = Instant::now();
    let failed = run(&cases);
    let missed: Vec<&str> = {
        let stopped = control::STOPPED.lock().unwrap();
        Point::ALL.iter().map(|point| point.name()).filter(|name| !stopped.contains(name)).collect()
    };
    say(&format!("{} passed; {failed} failed; {} s", cases.len() - failed, start.elapsed().as_secs()));
    if filters.is_empty() && !missed.is_empty() {
        say(&format!("nobody was stopped at: {}", missed.join(", ")));
        return ExitCode::FAILURE;
    }
    if failed == 0 && !cases.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the cases, several at one time; the number of those that failed.
fn run(cases: &[Case]) -> usize {
    static WORDS: Mutex<Vec<(std::thread::ThreadId, String)>> = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(|failure| {
        WORDS.lock().unwrap().push((std::thread::current().id(), failure.to_string()));
    }));
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
            let start = Instant::now();
            let passed = catch_unwind(AssertUnwindSafe(&case.run)).is_ok();
            let verdict = if passed { "ok" } else { "FAILED" };
            let mut line = format!("case {} ... {verdict} ({} ms)", case.name, start.elapsed().as_millis());
            if !passed {
                failed.fetch_add(1, Ordering::SeqCst);
                let own = std::thread::current().id();
                let words = std::mem::take(&mut *WORDS.lock().unwrap());
                let (mine, others): (Vec<_>, Vec<_>) = words.into_iter().partition(|(thread, _)| *thread == own);
                WORDS.lock().unwrap().extend(others);
                mine.iter().for_each(|(_, words)| line.push_str(&format!("\n  {words}")));
            }
            say(&line);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from) * AT_ONCE;
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    failed.load(Ordering::SeqCst)
}

fn say(line: &str) {
    // Nobody is left to tell when the output is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}
