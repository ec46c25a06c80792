//! Kills of containerd's shim: while its container is being delivered to, while it runs and is being changed, and while it
//! is being scrubbed.

use runsecrets::failpoint::Point;

use crate::containerd::Containerd;
use crate::control::{go_on, kill_9, naming};
use crate::ground::Ground;
use crate::scene::{Scene, success};
use crate::testbed::{Rootfs, Runtime};
use crate::{Case, Victim};

const CLAIM: [&str; 2] = ["--annotation", "io.runsecrets.service=web"];
const STARTING: [Point; 6] = [
    Point::DeliverReserved,
    Point::DeliverFilled,
    Point::DeliverRecorded,
    Point::DeliverSent,
    Point::DeliverAcknowledged,
    Point::DeliverPlaced,
];
const RUNNING: [Point; 4] = [Point::ChangeTaken, Point::ValueWritten, Point::SwapBeneath, Point::ChangeMade];
const ENDING: [Point; 2] = [Point::ReapTaken, Point::ScrubOverwritten];

pub(crate) fn cases() -> Vec<Case> {
    let case =
        |point, run: fn(Point)| Case::new(Runtime::Runc, "containerd", point, 1, Victim::Shim, move || run(point));
    let starting = STARTING.map(|point| case(point, starting));
    let running = RUNNING.map(|point| case(point, running));
    starting.into_iter().chain(running).chain(ENDING.map(|point| case(point, ending))).collect()
}

fn scene() -> (Scene, Containerd) {
    let scene = Scene::new(Runtime::Runc, Ground::Root, false);
    let engine = Containerd::start(&scene.bed);
    engine.import(&Rootfs::busybox());
    (scene, engine)
}

fn kill_shims(engine: &Containerd) {
    let shims = naming(&engine.socket());
    let shims = shims.iter().filter(|line| line.contains("containerd-shim"));
    let pids: Vec<i32> = shims.map(|line| line.split(':').next().unwrap().parse().unwrap()).collect();
    assert!(!pids.is_empty(), "no shim is there");
    pids.into_iter().for_each(kill_9);
}

/// Nothing is held, the value is nowhere, and the next task has its secrets.
fn goes_on(scene: &Scene, engine: &Containerd) {
    scene.bed.holds_nothing();
    scene.is_clean();
    scene.canary.is_nowhere_in(&engine.directories());
    engine.run("next", &CLAIM).unwrap();
    let value = scene.value("key", scene.version("key"));
    assert_eq!(engine.exec("next", &["cat", "/run/secrets/key"]).unwrap(), value);
    assert_eq!(engine.exec("next", &["cat", "/etc/app/key"]).unwrap(), value);
    engine.kill("next");
    scene.bed.holds_nothing();
    scene.is_clean();
}

fn starting(point: Point) {
    let (scene, engine) = scene();
    scene.control.arm(point, 1);
    let mut starting = engine.begin("one", &CLAIM);
    let stopped = scene.control.wait(|| starting.try_wait().unwrap().is_some());
    kill_shims(&engine);
    go_on(stopped);
    // The task may have been started before its shim was killed.
    success(starting);
    goes_on(&scene, &engine);
}

fn running(point: Point) {
    let (scene, engine) = scene();
    engine.run("one", &CLAIM).unwrap();
    scene.control.arm(point, 1);
    let asking = scene.ask(&["secret", "update", "key", "-"], &scene.value("key", 2));
    let stopped = scene.control.wait(|| false);
    kill_shims(&engine);
    go_on(stopped);
    success(asking);
    assert_eq!(scene.version("key"), 2);
    goes_on(&scene, &engine);
}

fn ending(point: Point) {
    let (scene, engine) = scene();
    engine.run("one", &CLAIM).unwrap();
    scene.control.arm(point, 1);
    engine.ctr_ok(&["task", "kill", "--signal", "SIGKILL", "one"]);
    let stopped = scene.control.wait(|| false);
    kill_shims(&engine);
    go_on(stopped);
    goes_on(&scene, &engine);
}
