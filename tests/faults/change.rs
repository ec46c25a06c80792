//! Kills while what a running container has is being changed: of the agent, and of the container.

use std::fs::File;

use runsecrets::failpoint::Point;

use crate::changes::{AROUND, CHANGES, Change};
use crate::control::{go_on, kill_9, wait_for};
use crate::ground::Ground;
use crate::scene::{Scene, success};
use crate::shown::{FileSystems, in_container};
use crate::testbed::Runtime;
use crate::{Case, Victim};

pub(crate) fn cases(runtime: Runtime) -> Vec<Case> {
    let mut cases = Vec::new();
    for change in CHANGES.iter().filter(|change| change.ground.is_for(runtime)) {
        let around: &[_] = if matches!(change.name, "rotate" | "grant" | "service-rm") { &AROUND } else { &[] };
        for (point, nth) in around.iter().chain(change.points).copied() {
            for victim in [Victim::Agent, Victim::Container] {
                // The old file of a container that is gone waits for nothing.
                let is_nothing = point == Point::SupersededDue && victim == Victim::Container;
                // Into a user's container the agent does not go: whose runtime it is makes little difference.
                let is_same = change.ground == Ground::Rootless
                    && runtime == Runtime::Crun
                    && (change.is_adopted || victim == Victim::Container);
                if !is_nothing && !is_same {
                    let run = move || case(runtime, change, point, nth, victim);
                    cases.push(Case::new(runtime, change.name, point, nth, victim, run));
                }
            }
        }
    }
    let run = move || two_changes(runtime);
    cases.push(Case::new(runtime, "two-changes", Point::ChangeStored, 1, Victim::Agent, run));
    for (point, nth) in [(Point::ChangePlaced, 1), (Point::ChangeTaken, 2), (Point::SwapBeneath, 2)] {
        let run = move || two_containers(runtime, point, nth);
        cases.push(Case::new(runtime, "two-containers", point, nth, Victim::Agent, run));
    }
    cases
}

/// One change is stored, another is made meanwhile and done; the agent is killed, and the first is not forgotten.
fn two_changes(runtime: Runtime) {
    let mut scene = Scene::new(runtime, Ground::Root, false);
    let container = scene.start();
    scene.control.arm_to_hold(Point::ChangeStored);
    let first = scene.ask(&["secret", "update", "key", "-"], &scene.value("key", 2));
    scene.control.wait(|| false);
    scene.bed.cli_given(&["secret", "update", "other", "-"], scene.value("other", 2).as_bytes());
    scene.kill_agent();
    assert!(!success(first), "an answer of an agent that was killed");
    scene.start_agent();
    assert_eq!((scene.version("key"), scene.version("other")), (2, 2));
    scene.runs_well(container);
}

/// One container has the new value, the other has not.
fn two_containers(runtime: Runtime, point: Point, nth: usize) {
    let mut scene = Scene::new(runtime, Ground::Root, false);
    let (first, other) = (scene.start(), scene.start_another());
    scene.control.arm(point, nth);
    let asking = scene.ask(&["secret", "update", "key", "-"], &scene.value("key", 2));
    scene.control.wait(|| false);
    scene.kill_agent();
    assert!(!success(asking), "an answer of an agent that was killed");
    scene.start_agent();
    assert_eq!(scene.version("key"), 2);
    for container in [&first, &other] {
        scene.has_what_is_granted(container);
    }
    other.kill();
    scene.bed.eventually("its end is seen", || scene.listed().len() == 1);
    other.delete();
    scene.runs_well(first);
}

fn case(runtime: Runtime, change: &Change, point: Point, nth: usize, victim: Victim) {
    let mut scene = Scene::new(runtime, change.ground, change.generations);
    let container = scene.start();
    let pid = container.pid();
    let replaced = change.is_rotated.then(|| File::open(in_container(pid, "/etc/app/key")).unwrap());
    if change.is_rotated {
        scene.bed.cli_given(&["secret", "update", "key", "-"], scene.value("key", 2).as_bytes());
    }
    if change.is_adopted {
        scene.kill_agent();
        scene.start_agent();
    }
    scene.control.arm(point, nth);
    let before = scene.granted();
    let open: Vec<File> = before.keys().map(|target| File::open(in_container(pid, target)).unwrap()).collect();
    let new_value = scene.value("key", scene.version("key") + 1);
    let asking = scene.ask(change.arguments, &new_value);
    // It may have its answer when the point is reached.
    let stopped = scene.control.wait(|| false);
    match victim {
        Victim::Agent => {
            scene.kill_agent();
            let acknowledged = success(asking);
            scene.start_agent();
            // What had been made was not on record yet.
            let unnoted = [Point::AttachMade, Point::AttachMounted, Point::GrantAttached, Point::RecordWritten];
            scene.may_leave_mount_points = change.name.starts_with("grant") && unnoted.contains(&point);
            // What the catalog has is finished by the new agent; that is looked at by all that follows.
            let after = scene.granted();
            let is_stored = !matches!(point, Point::ChangeAnnounced | Point::RecordWritten | Point::StoreApplied);
            assert!(after != before || !(acknowledged || is_stored), "the change is lost");
            // What was revoked is gone also from where it is open.
            for (target, file) in before.keys().zip(&open).filter(|(target, _)| !after.contains_key(*target)) {
                wait_for(&format!("{target} is empty"), || file.metadata().unwrap().len() == 0);
            }
            if let Some(file) = replaced {
                wait_for("what was replaced is empty", || file.metadata().unwrap().len() == 0);
            }
            drop(open);
            scene.runs_well(container);
        }
        _ => {
            drop((open, replaced));
            let file_systems = FileSystems::of(pid);
            kill_9(pid);
            go_on(stopped);
            success(asking);
            scene.is_over(container, Some(file_systems));
        }
    }
}
