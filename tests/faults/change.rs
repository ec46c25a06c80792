//! Kills while what a running container has is being changed: of the agent, and of the container.

use std::fs::File;

use runsecrets::failpoint::Point;

use crate::control::{go_on, kill_9, wait_for};
use crate::scene::{FileSystems, Scene, in_container, success};
use crate::testbed::Runtime;
use crate::{Case, Victim};

/// A change, and where the agent may be stopped in it.
struct Change {
    name: &'static str,
    /// The command, and what it reads.
    arguments: &'static [&'static str],
    generations: bool,
    points: &'static [(Point, usize)],
}

/// What every change goes through.
const AROUND: [(Point, usize); 8] = [
    (Point::RecordWritten, 1),
    (Point::ChangeAnnounced, 1),
    (Point::StoreApplied, 1),
    (Point::ChangeStored, 1),
    (Point::ChangeTaken, 1),
    (Point::ChangeMade, 1),
    (Point::ChangePlaced, 1),
    (Point::ChangeDone, 1),
];

const ROTATE: Change = Change {
    name: "rotate",
    arguments: &["secret", "update", "key", "-"],
    generations: false,
    points: &[
        (Point::ValueWritten, 1),
        (Point::ReplaceRenamed, 1),
        (Point::RotateSuperseded, 1),
        (Point::RecordWritten, 2),
        (Point::RecordReplaced, 2),
        (Point::RotateRecorded, 1),
        (Point::ValueWritten, 2),
        (Point::SwapBeneath, 1),
        (Point::SwapDone, 1),
        (Point::ReplaceRenamed, 2),
        (Point::RotateSuperseded, 2),
        (Point::RotateRecorded, 2),
        (Point::SupersededDue, 1),
        (Point::ChangeForgotten, 1),
    ],
};

/// By an agent that has taken the container over: the single file is replaced by one of a second file system.
const ROTATE_ADOPTED: Change = Change {
    name: "rotate-adopted",
    points: &[
        (Point::ValueWritten, 1),
        (Point::ReplaceRenamed, 1),
        (Point::SecondMade, 1),
        (Point::ValueWritten, 2),
        (Point::SwapBeneath, 1),
        (Point::SwapDone, 1),
        (Point::ReplaceAlone, 1),
        (Point::RotateSuperseded, 2),
        (Point::RotateRecorded, 2),
    ],
    ..ROTATE
};

const FLIP: &[(Point, usize)] = &[
    (Point::ValueWritten, 1),
    (Point::FlipMade, 1),
    (Point::FlipExchanged, 1),
    (Point::FlipNamed, 1),
    (Point::FlipLinked, 1),
    (Point::FlipRecorded, 1),
    (Point::SwapBeneath, 1),
];
const GROUP: Change = Change { name: "group", generations: true, points: FLIP, ..ROTATE };
const GROUP_ADOPTED: Change = Change { name: "group-adopted", ..GROUP };

const GRANT: Change = Change {
    name: "grant",
    arguments: &[
        "service",
        "update",
        "web",
        "--secret-add",
        "source=key,target=third",
        "--secret-add",
        "source=other,target=/etc/third",
        "--secret-add",
        "source=other,target=/etc/app/third",
    ],
    generations: false,
    points: &[
        (Point::ValueWritten, 1),
        (Point::GrantPlaced, 1),
        (Point::GrantRecorded, 1),
        (Point::GrantPlaced, 2),
        (Point::AttachMade, 1),
        (Point::AttachMounted, 1),
        (Point::GrantAttached, 1),
        (Point::RecordWritten, 3),
        (Point::GrantRecorded, 2),
        (Point::AttachMounted, 2),
        (Point::GrantRecorded, 3),
    ],
};
const GRANT_ADOPTED: Change = Change {
    name: "grant-adopted",
    points: &[
        (Point::GrantPlaced, 1),
        (Point::SecondMade, 1),
        (Point::GrantPlaced, 2),
        (Point::AttachMade, 1),
        (Point::AttachMounted, 1),
        (Point::GrantAttached, 1),
        (Point::GrantRecorded, 2),
        (Point::AttachMounted, 2),
    ],
    ..GRANT
};
const GRANT_GROUP: Change =
    Change { name: "grant-group", generations: true, points: &[(Point::FlipMade, 1), (Point::FlipNamed, 1)], ..GRANT };

const REVOKE: Change = Change {
    name: "revoke",
    arguments: &["service", "update", "web", "--secret-rm", "key"],
    generations: false,
    points: &[
        (Point::RevokeUnlinked, 1),
        (Point::RevokeEmptied, 1),
        (Point::RevokeRecorded, 1),
        (Point::RevokeUnlinked, 2),
        (Point::RevokeEmptied, 2),
        (Point::RevokeDetached, 1),
        (Point::RecordWritten, 3),
        (Point::RevokeRecorded, 2),
    ],
};
const REVOKE_ADOPTED: Change = Change { name: "revoke-adopted", points: REVOKE_ADOPTED_POINTS, ..REVOKE };
const REVOKE_ADOPTED_POINTS: &[(Point, usize)] = &[
    (Point::RevokeUnlinked, 1),
    (Point::RevokeEmptied, 1),
    (Point::RevokeEmptied, 2),
    (Point::RevokeDetached, 1),
    (Point::RevokeRecorded, 2),
];
const REVOKE_GROUP: Change = Change {
    name: "revoke-group",
    generations: true,
    points: &[(Point::FlipMade, 1), (Point::FlipNamed, 1)],
    ..REVOKE
};

const SERVICE_REMOVE: Change = Change {
    name: "service-rm",
    arguments: &["service", "rm", "web"],
    generations: false,
    points: &[
        (Point::RevokeUnlinked, 1),
        (Point::RevokeRecorded, 1),
        (Point::RevokeUnlinked, 3),
        (Point::RevokeDetached, 1),
        (Point::RevokeRecorded, 4),
    ],
};

/// In a user namespace, whose mounts the agent reaches with other ids.
const ROTATE_USERNS: Change = Change {
    name: "rotate-userns",
    points: &[(Point::ReplaceRenamed, 1), (Point::SwapBeneath, 1), (Point::SwapDone, 1), (Point::RotateRecorded, 1)],
    ..ROTATE
};
const GRANT_USERNS: Change = Change {
    name: "grant-userns",
    points: &[(Point::GrantPlaced, 1), (Point::AttachMounted, 1), (Point::GrantAttached, 1)],
    ..GRANT
};
const REVOKE_USERNS: Change = Change {
    name: "revoke-userns",
    points: &[(Point::RevokeEmptied, 1), (Point::RevokeUnlinked, 2), (Point::RevokeDetached, 1)],
    ..REVOKE
};

const CHANGES: [Change; 14] = [
    ROTATE,
    ROTATE_USERNS,
    GRANT_USERNS,
    REVOKE_USERNS,
    ROTATE_ADOPTED,
    GROUP,
    GROUP_ADOPTED,
    GRANT,
    GRANT_ADOPTED,
    GRANT_GROUP,
    REVOKE,
    REVOKE_ADOPTED,
    REVOKE_GROUP,
    SERVICE_REMOVE,
];

pub(crate) fn cases(runtime: Runtime) -> Vec<Case> {
    let mut cases = Vec::new();
    for change in &CHANGES {
        let around: &[_] = if matches!(change.name, "rotate" | "grant" | "service-rm") { &AROUND } else { &[] };
        for (point, nth) in around.iter().chain(change.points).copied() {
            for victim in [Victim::Agent, Victim::Container] {
                // The old file of a container that is gone waits for nothing.
                if point != Point::SupersededDue || victim == Victim::Agent {
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
    let mut scene = Scene::new(runtime, false);
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
    let mut scene = Scene::new(runtime, false);
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
    let mut scene = Scene::new(runtime, change.generations);
    if change.name.ends_with("-userns") {
        scene.bundle = scene.bundle.clone().in_user_namespace();
    }
    let container = scene.start();
    let pid = container.pid();
    if change.name.ends_with("-adopted") {
        scene.kill_agent();
        scene.start_agent();
    }
    scene.control.arm(point, nth);
    let before = scene.granted();
    let open: Vec<File> = before.keys().map(|target| File::open(in_container(pid, target)).unwrap()).collect();
    let new_value = scene.value("key", 2);
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
            drop(open);
            scene.runs_well(container);
        }
        _ => {
            drop(open);
            let file_systems = FileSystems::of(pid);
            kill_9(pid);
            go_on(stopped);
            success(asking);
            scene.is_over(container, Some(file_systems));
        }
    }
}
