//! Kills while what a container had is being scrubbed, and of agents that take up what an earlier one has left.

use std::process::{Child, Stdio};

use runsecrets::failpoint::Point;

use crate::control::{descendants, go_on, is_hook, is_running, kill_9, wait_for};
use crate::ground::Ground;
use crate::scene::{Scene, success};
use crate::shown::{FileSystems, seen};
use crate::testbed::{Container, Runtime};
use crate::{Case, Victim};

/// The agent sees that the process has ended.
const REAPED: [(Point, usize); 6] = [
    (Point::ReapSeen, 1),
    (Point::ReapTaken, 1),
    (Point::ScrubOverwritten, 1),
    (Point::ScrubOverwritten, 3),
    (Point::ScrubEmptied, 1),
    (Point::RecordRemoved, 1),
];
/// The runtime says so.
const WITHDRAWN: [(Point, usize); 6] = [
    (Point::WithdrawRead, 1),
    (Point::WithdrawTaken, 1),
    (Point::ScrubOverwritten, 2),
    (Point::ScrubEmptied, 1),
    (Point::RecordRemoved, 1),
    (Point::WithdrawAnswered, 1),
];
/// A new agent comes up.
const RESUMED: [Point; 4] = [Point::ResumeRead, Point::ResumeAdopted, Point::ResumeWatched, Point::FinishBegun];
/// A secret is removed from the store.
const ERASED: [Point; 6] = [
    Point::EraseWritten,
    Point::EraseLinked,
    Point::EraseRenamed,
    Point::EraseSynced,
    Point::EraseOverwritten,
    Point::StoreApplied,
];

/// What of these is looked at also where the container is a user's.
const ROOTLESS: Ends = Ends {
    name: "-rootless",
    ground: Ground::Rootless,
    reaped: &[(Point::ReapSeen, 1), (Point::ScrubOverwritten, 3), (Point::RecordRemoved, 1)],
    withdrawn: &[(Point::WithdrawRead, 1), (Point::WithdrawTaken, 1), (Point::WithdrawAnswered, 1)],
    resumed: &RESUMED,
};
const ROOT: Ends = Ends { name: "", ground: Ground::Root, reaped: &REAPED, withdrawn: &WITHDRAWN, resumed: &RESUMED };
/// Where the old single file stays below the new one.
const LINUX_6_1: Ends = Ends {
    name: "-6.1",
    ground: Ground::Linux6_1,
    reaped: &[(Point::ReapTaken, 1)],
    withdrawn: &[],
    resumed: &[Point::ResumeAdopted, Point::FinishBegun],
};

/// Where agents, hooks and runtimes are stopped on one ground.
struct Ends {
    name: &'static str,
    ground: Ground,
    reaped: &'static [(Point, usize)],
    withdrawn: &'static [(Point, usize)],
    resumed: &'static [Point],
}

pub(crate) fn cases(runtime: Runtime) -> Vec<Case> {
    let mut cases = Vec::new();
    for ends in [ROOT, ROOTLESS, LINUX_6_1].into_iter().filter(|ends| ends.ground.is_for(runtime)) {
        let Ends { name, ground, reaped: reaped_at, withdrawn: withdrawn_at, resumed: resumed_at } = ends;
        for (point, nth) in reaped_at.iter().copied() {
            let run = move || reaped(runtime, ground, point, nth);
            cases.push(Case::new(runtime, &format!("end{name}"), point, nth, Victim::Agent, run));
        }
        for (point, nth) in withdrawn_at.iter().copied() {
            for victim in [Victim::Agent, Victim::Hook, Victim::Runtime] {
                let run = move || withdrawn(runtime, ground, point, nth, victim);
                cases.push(Case::new(runtime, &format!("poststop{name}"), point, nth, victim, run));
            }
        }
        for point in resumed_at.iter().copied() {
            for victim in [Victim::Agent, Victim::Container] {
                let run = move || resumed(runtime, ground, point, victim == Victim::Container);
                cases.push(Case::new(runtime, &format!("restart{name}"), point, 1, victim, run));
            }
        }
    }
    let run = move || outlived(runtime);
    cases.push(Case::new(runtime, "outlived", Point::ChangeAnnounced, 1, Victim::Agent, run));
    for point in ERASED {
        let run = move || erased(runtime, point);
        cases.push(Case::new(runtime, "erase", point, 1, Victim::Agent, run));
    }
    cases
}

/// `delete`, at work.
fn begin_delete(container: &Container) -> Child {
    let mut command = container.command();
    command.args(["delete", "--force", &container.id]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn reaped(runtime: Runtime, ground: Ground, point: Point, nth: usize) {
    let mut scene = Scene::new(runtime, ground, false);
    let container = scene.start();
    let pid = container.pid();
    let file_systems = FileSystems::of(pid);
    scene.control.arm(point, nth);
    kill_9(pid);
    scene.control.wait(|| false);
    scene.kill_agent();
    scene.start_agent();
    // Off the record, the mount points are in the memory of that agent alone.
    scene.may_leave_mount_points = point == Point::RecordRemoved;
    scene.is_over(container, Some(file_systems));
    scene.can_start_again();
}

fn withdrawn(runtime: Runtime, ground: Ground, point: Point, nth: usize, victim: Victim) {
    let mut scene = Scene::new(runtime, ground, false);
    let container = scene.start();
    let file_systems = FileSystems::of(container.pid());
    scene.control.arm(point, nth);
    let mut deleting = begin_delete(&container);
    let deleter = i32::try_from(deleting.id()).unwrap();
    let stopped = scene.control.wait(|| deleting.try_wait().unwrap().is_some());
    match victim {
        Victim::Agent => scene.kill_agent(),
        Victim::Hook => descendants(deleter).into_iter().filter(|pid| is_hook(*pid)).for_each(kill_9),
        _ => kill_9(scene.runtime_of(&deleting)),
    }
    go_on(stopped);
    if victim == Victim::Agent {
        scene.start_agent();
    }
    success(deleting);
    // The one hook that runtimes call was killed, or had no answer.
    scene.may_leave_mount_points = true;
    scene.is_over(container, Some(file_systems));
    scene.can_start_again();
}

/// The container ends while there is no agent, but for a process that its first one had started: it keeps nothing.
fn outlived(runtime: Runtime) {
    let mut scene = Scene::new(runtime, Ground::Root, false);
    scene.bundle = scene.bundle.clone().sharing("pid").running(&["sh", "-c", "sleep 1000 & exec sleep 1000"]);
    let container = scene.start();
    let pid = container.pid();
    let mut survivors = Vec::new();
    wait_for("the second process is there", || {
        survivors = descendants(pid);
        !survivors.is_empty()
    });
    scene.control.arm(Point::ChangeAnnounced, 1);
    let asking = scene.ask(&["secret", "update", "key", "-"], &scene.value("key", 2));
    scene.control.wait(|| false);
    scene.kill_agent();
    success(asking);
    let file_systems = FileSystems::of(pid);
    kill_9(pid);
    wait_for("the first process has ended", || !is_running(pid));
    let survivor = survivors[0];
    assert!(is_running(survivor) && seen(survivor).values().all(|value| value.contains(scene.canary.value())));
    scene.start_agent();
    assert!(seen(survivor).values().all(String::is_empty), "{:?}", seen(survivor));
    scene.bed.holds_nothing();
    kill_9(survivor);
    scene.is_over(container, Some(file_systems));
}

/// One agent is killed, the next is killed while it takes over; the third finishes, and finds the container or not.
fn resumed(runtime: Runtime, ground: Ground, point: Point, ends: bool) {
    let mut scene = Scene::new(runtime, ground, false);
    let container = scene.start();
    let pid = container.pid();
    scene.control.arm(Point::ChangeStored, 1);
    let asking = scene.ask(&["secret", "update", "key", "-"], &scene.value("key", 2));
    scene.control.wait(|| false);
    scene.kill_agent();
    assert!(!success(asking), "an answer of an agent that was killed");
    let mut second = scene.stop_next_agent_at(point);
    let file_systems = ends.then(|| FileSystems::of(pid));
    if ends {
        kill_9(pid);
        wait_for("the container has ended", || !is_running(pid));
    }
    second.kill().unwrap();
    second.wait().unwrap();
    scene.start_agent();
    assert_eq!(scene.version("key"), 2);
    if ends { scene.is_over(container, file_systems) } else { scene.runs_well(container) }
}

fn erased(runtime: Runtime, point: Point) {
    let mut scene = Scene::new(runtime, Ground::Root, false);
    let container = scene.start();
    scene.bed.secret("spare", scene.value("spare", 1).as_bytes());
    scene.control.arm(point, 1);
    let asking = scene.ask(&["secret", "rm", "spare"], "");
    scene.control.wait(|| false);
    scene.kill_agent();
    let acknowledged = success(asking);
    scene.start_agent();
    // Before the fresh file has the store's name the secret is there, afterwards it is not.
    let is_there = scene.has_secret("spare");
    assert_eq!(is_there, matches!(point, Point::EraseWritten | Point::EraseLinked));
    assert!(!acknowledged, "an answer of an agent that was killed");
    scene.runs_well(container);
}
