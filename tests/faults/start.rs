//! Kills while a container is being delivered to: of the agent, the hook, the runtime, the container itself.

use runsecrets::failpoint::Point;

use crate::control::{family, go_on, is_apart, is_hook, kill_9, wait_for};
use crate::ground::Ground;
use crate::scene::Scene;
use crate::testbed::Runtime;
use crate::{Case, Victim};

/// Where the agent may be stopped, in the order in which it comes there.
const IN_AGENT: [(Point, usize); 15] = [
    (Point::DeliverReserved, 1),
    (Point::DeliverMade, 1),
    (Point::DeliverPlanned, 1),
    (Point::FillWritten, 1),
    (Point::FillWritten, 3),
    (Point::DeliverFilled, 1),
    (Point::RecordWritten, 1),
    (Point::RecordReplaced, 1),
    (Point::DeliverRecorded, 1),
    (Point::DeliverWatched, 1),
    (Point::DeliverSent, 1),
    (Point::DeliverAcknowledged, 1),
    (Point::DeliverPlaced, 1),
    (Point::RecordWritten, 2),
    (Point::DeliverNoted, 1),
];
/// Where the hook may be.
const IN_HOOK: [(Point, usize); 12] = [
    (Point::HookStarted, 1),
    (Point::HookRead, 1),
    (Point::HookConnected, 1),
    (Point::HookClaimed, 1),
    (Point::HookEntered, 1),
    (Point::HookAnswered, 1),
    (Point::AttachMade, 1),
    (Point::AttachMounted, 1),
    (Point::AttachMade, 2),
    (Point::AttachMounted, 3),
    (Point::HookAttached, 1),
    (Point::HookTold, 1),
];
/// The same, where the container's root is nobody on the host.
const IN_USER_NAMESPACE: [Point; 5] =
    [Point::DeliverRecorded, Point::DeliverSent, Point::HookEntered, Point::HookAttached, Point::HookTold];
/// Where the runtime and the hook are a user's, who speaks to the agent by a socket of its own.
const ROOTLESS: [Point; 11] = [
    Point::DeliverReserved,
    Point::DeliverRecorded,
    Point::DeliverSent,
    Point::DeliverPlaced,
    Point::DeliverNoted,
    Point::HookEntered,
    Point::HookAnswered,
    Point::AttachMade,
    Point::AttachMounted,
    Point::HookAttached,
    Point::HookTold,
];
/// Where the kill of anybody else is to the agent what it is a step later.
const ROOTLESS_IN_AGENT: [Point; 3] = [Point::DeliverPlanned, Point::DeliverFilled, Point::DeliverAcknowledged];
/// Where clones are made in a mount namespace of the agent's own.
const ON_LINUX_6_1: [Point; 2] = [Point::DeliverFilled, Point::DeliverSent];
const VICTIMS: [Victim; 4] = [Victim::Agent, Victim::Hook, Victim::Runtime, Victim::Container];

pub(crate) fn cases(runtime: Runtime) -> Vec<Case> {
    let mut cases = Vec::new();
    for (point, nth) in IN_AGENT.into_iter().chain(IN_HOOK) {
        for victim in VICTIMS {
            let run = move || case(runtime, Ground::Root, point, nth, victim);
            cases.push(Case::new(runtime, "start", point, nth, victim, run));
        }
    }
    let elsewhere: [(_, _, &[_], &[_]); 4] = [
        ("start-userns", Ground::UserNamespace, &IN_USER_NAMESPACE, &VICTIMS),
        ("start-rootless", Ground::Rootless, &ROOTLESS, &VICTIMS),
        ("start-rootless", Ground::Rootless, &ROOTLESS_IN_AGENT, &[Victim::Agent]),
        ("start-6.1", Ground::Linux6_1, &ON_LINUX_6_1, &VICTIMS),
    ];
    for (what, ground, points, victims) in elsewhere.into_iter().filter(|it| it.1.is_for(runtime)) {
        for point in points.iter().copied() {
            for victim in victims.iter().copied() {
                let run = move || case(runtime, ground, point, 1, victim);
                cases.push(Case::new(runtime, what, point, 1, victim, run));
            }
        }
    }
    cases
}

fn case(runtime: Runtime, ground: Ground, point: Point, nth: usize, victim: Victim) {
    let mut scene = Scene::new(runtime, ground, false);
    scene.control.arm(point, nth);
    let (container, mut starting) = scene.begin();
    let starter = i32::try_from(starting.id()).unwrap();
    let stopped = scene.control.wait(|| starting.try_wait().unwrap().is_some());
    let family = family(&container.id);
    let (hooks, others): (Vec<i32>, Vec<i32>) = family.into_iter().partition(|pid| is_hook(*pid));
    let (inits, runtimes): (Vec<i32>, Vec<i32>) = others.into_iter().partition(|pid| is_apart(*pid, starter));
    match victim {
        Victim::Agent => scene.kill_agent(),
        Victim::Hook => hooks.into_iter().for_each(kill_9),
        Victim::Runtime => runtimes.into_iter().for_each(kill_9),
        Victim::Container | Victim::Shim => inits.iter().for_each(|pid| kill_9(*pid)),
    }
    // The runtime waits for the hook: the new agent finds a container whose root file system is not its root yet.
    let is_early = victim == Victim::Agent && point == Point::HookTold;
    if is_early {
        scene.start_agent();
    }
    go_on(stopped);
    if victim == Victim::Agent && !is_early {
        scene.start_agent();
    }
    scene.may_leave_mount_points = leaves_mount_points(runtime, point, victim);
    let started = starting.wait().unwrap().success();
    // A runtime that was killed when its work was done leaves a container that runs.
    let runs =
        || container.try_state().is_some_and(|state| state["status"] == "running") && is_started(container.pid());
    if victim == Victim::Runtime {
        if inits.is_empty() {
            wait_for("it runs by itself", runs);
        } else if !runs() {
            // Not started: it waits for a runtime that starts it. An engine that lost its own deletes it.
            inits.iter().for_each(|pid| kill_9(*pid));
        }
    }
    if (started || victim == Victim::Runtime) && runs() {
        match victim {
            // The runtime had let go of it before it could be killed.
            Victim::Container => kill_9(container.pid()),
            _ => return scene.runs_well(container),
        }
    }
    scene.is_over(container, None);
    scene.can_start_again();
}

/// crun calls no poststop hook for a container that it could not create, and a runtime that was killed calls none at all; a
/// hook that was killed has told nobody what it made, and an agent has forgotten what it had not noted.
fn leaves_mount_points(runtime: Runtime, point: Point, victim: Victim) -> bool {
    match victim {
        Victim::Runtime => true,
        Victim::Container | Victim::Hook if runtime == Runtime::Crun => true,
        Victim::Hook => {
            matches!(point, Point::AttachMade | Point::AttachMounted | Point::HookAttached | Point::DeliverSent)
        }
        Victim::Agent => matches!(
            point,
            Point::DeliverSent
                | Point::HookTold
                | Point::DeliverAcknowledged
                | Point::DeliverPlaced
                | Point::RecordWritten
        ),
        Victim::Container | Victim::Shim => false,
    }
}

/// Whether a container's first process has become what its bundle says.
fn is_started(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
}
