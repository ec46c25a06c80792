//! Our containers: memory and descriptors of the agent, changes, many starts and stops at one time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::figures::{descriptors, milliseconds, resident, shared_memory};
use crate::place::place;
use crate::rotation::rotate;
use crate::testbed::running_agent::{Agent, Place, base64};
use crate::testbed::{Fleet, Runtime};

/// Secrets of each container.
const SECRETS: usize = 10;
/// How many of the containers have a secret as a single file that is a mount of its own.
const SINGLES: usize = 100;
/// Where that file is.
pub const SINGLE: &str = "/etc/load/value";
/// How often as many containers come and go again.
const AGAIN: usize = 2;
/// How many containers start at one time where that is not the question.
const FEW: usize = 4;

/// What it takes to start containers that hold secrets.
pub struct Ours {
    pub place: Place,
    pub agent: Agent,
}

impl Ours {
    /// An agent with ten secrets, and a service that has them all. `single` has the first of them, as a single file.
    pub fn new() -> Self {
        let place = place();
        let agent = place.start();
        for number in 0..SECRETS {
            agent.create(&format!("s{number}"), &base64(&[7; 32]));
        }
        let ours = Self { place, agent };
        let all: Vec<Value> = (0..SECRETS).map(|number| json!({"Source": format!("s{number}")})).collect();
        ours.service("ten", &all);
        ours.service("single", &[json!({"Source": "s0", "Target": SINGLE})]);
        ours
    }

    fn service(&self, name: &str, secrets: &[Value]) {
        let answer = self.agent.post("/runsecrets/v1/services/create", &json!({"Name": name, "Secrets": secrets}));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// No containers of `service` yet.
    pub fn fleet(&self, service: &str, is_prepared: bool) -> Fleet {
        let bundle = Fleet::bundle(&[SINGLE]).hooked(&self.place.run()).claiming(service);
        Fleet::new(Runtime::Crun, is_prepared, &bundle)
    }

    /// What the agent has: resident memory in KiB, descriptors.
    fn has(&self) -> (u64, u64) {
        let pid = self.agent.pid().as_raw();
        (resident(pid), descriptors(pid))
    }

    /// Waits until the agent holds secrets of no container.
    fn settle(&self) {
        while self.agent.get("/runsecrets/v1/ps").json() != json!([]) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Measures, and prints a table.
pub fn measure(containers: usize, at_once: usize) {
    let ours = Ours::new();
    // The first one is not counted: it opens what stays open.
    let mut first = ours.fleet("ten", true);
    good(first.start(1, 1));
    good(first.stop(1));
    ours.settle();

    let (before, shared) = (ours.has(), shared_memory());
    let mut fleet = ours.fleet("ten", true);
    let started = timed(|| good(fleet.start(containers, FEW)));
    let (after, shared) = (ours.has(), shared_memory().saturating_sub(shared));
    let files = fleet.seen("/run/secrets");
    let in_ram: u64 = files.iter().map(taken).sum();
    let rotation = rotate(&ours.place, "s0", &fleet.seen("/run/secrets/s0"));
    let changed = ours.has();
    let stopped = timed(|| good(fleet.stop(FEW)));
    ours.settle();
    let mut ends = vec![ours.has()];
    for _ in 0..AGAIN {
        let mut fleet = ours.fleet("ten", true);
        good(fleet.start(containers, FEW));
        good(fleet.stop(FEW));
        ours.settle();
        ends.push(ours.has());
    }
    let ends: Vec<String> = ends.iter().map(|end| format!("{:.1}", end.0 as f64 / 1024.0)).collect();

    let singles = SINGLES.min(containers);
    let mut fleet = ours.fleet("single", true);
    good(fleet.start(singles, FEW));
    let single = rotate(&ours.place, "s0", &fleet.seen(SINGLE));
    good(fleet.stop(FEW));
    ours.settle();

    let mut fleet = ours.fleet("ten", true);
    let (up, faults) = timed_and(|| fleet.start(at_once, at_once));
    let (down, more) = timed_and(|| fleet.stop(at_once));
    faults.iter().chain(&more).for_each(|fault| println!("{fault}"));

    let each = |difference: u64| difference as f64 / containers as f64;
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!("\n| {containers} containers (crun) with {SECRETS} secrets each | |\n|---|---|");
    row("started, stopped, four at one time", format!("{:.1} s, {:.1} s", seconds(started), seconds(stopped)));
    row(
        "the agent's memory with none, with all, after changes",
        format!("{:.1}, {:.1}, {:.1} MiB", mib(before.0), mib(after.0), mib(changed.0)),
    );
    row("the agent's memory when they are gone, and when as many more are", format!("{} MiB", ends.join(", ")));
    let own = each(after.0.saturating_sub(before.0));
    let ram = each(in_ram / 1024);
    row("memory of one container", format!("{:.1} KiB: agent {own:.1}, file system {ram:.1}", own + ram));
    row("shared memory of the whole machine", format!("{:+.1} MiB", mib(shared)));
    row("descriptors of one container in the agent", format!("{:.2}", each(after.1 - before.1)));
    row("one secret changed in all of them: `secret update` has ended", both(&rotation.answered));
    row("… the last one has the new value, somebody looking all the time", both(&rotation.seen));
    row(&format!("a single file changed in {singles}: `secret update` has ended"), both(&single.answered));
    row("… the last one has the new value", both(&single.seen));
    row(
        &format!("{at_once} started, then stopped, at one time"),
        format!("{:.2} s, {:.2} s, {} errors", seconds(up), seconds(down), faults.len() + more.len()),
    );
    assert!(faults.is_empty() && more.is_empty(), "containers failed");
}

/// Bytes of RAM that the files of the file system at `path` have.
fn taken(path: &PathBuf) -> u64 {
    let space = nix::sys::statvfs::statvfs(path).unwrap();
    (space.blocks() - space.blocks_free()) * space.fragment_size()
}

fn row(what: &str, figure: String) {
    println!("| {what} | {figure} |");
}

fn both(times: &[Duration]) -> String {
    let worst = times.iter().max().unwrap();
    format!("{:.1} ms (worst of {}: {:.1})", milliseconds(times), times.len(), worst.as_secs_f64() * 1000.0)
}

fn timed(work: impl FnOnce()) -> Duration {
    timed_and(work).0
}

fn timed_and<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// No container failed.
pub fn good(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
