//! The agent in a memory control group that is full: the kernel kills it in the middle of whatever it does, which is never
//! half done.

use crate::memory_group::MemoryGroup;
use crate::testbed::running_agent::LIMIT;
use crate::testbed::{Bed, Container, Runtime};
use crate::{NAME, answers, has, refused, running, update, updated};

/// By how much the room in the agent's memory group grows from try to try: so each one ends somewhere else.
const STEP: u64 = 640 * 1024;
/// More than an agent can need for what is tried here.
const TRIES: u64 = 100;

/// A large value that says which it is and whether it is whole.
fn numbered(number: u64) -> String {
    format!("{number:04}").repeat(124_999) + "end\n"
}

/// The number of what the container has at each kind of target; nothing but a whole value has one.
fn numbers(container: &Container) -> Vec<u64> {
    let values = container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]);
    let number = |value: &str| {
        let number = value[..4].parse().unwrap();
        assert!(value == numbered(number), "{} bytes, begun as {number}", value.len());
        number
    };
    let numbers: Vec<u64> = values.split_inclusive('\n').map(number).collect();
    assert_eq!(numbers.len(), 2);
    numbers
}

/// Waits until the agent is gone, and starts another, outside of the group; or until it is seen that it was not killed.
fn survives(bed: &mut Bed) -> bool {
    let start = std::time::Instant::now();
    let end = loop {
        match bed.agent.child.try_wait().unwrap() {
            None if answers(bed) => break None,
            None => assert!(start.elapsed() < LIMIT, "it neither ends nor answers: {}", bed.agent.log.text()),
            end => break end,
        }
    };
    if let Some(end) = end {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(end.signal(), Some(9), "the kernel does it: {}", bed.agent.log.text());
        bed.agent = bed.place.start();
    }
    end.is_none()
}

/// Where the kernel kills the agent for what its group has used up, in the middle of a change: the room grows from next to
/// none until the change goes through.
pub(crate) fn the_memory_group_is_full(runtime: Runtime) {
    let Some(group) = MemoryGroup::new() else { return };
    let (mut bed, one) = running(runtime);
    updated(&bed, &numbered(0));
    let another = bed.start(&bed.bundle("web"));
    let (mut acknowledged, mut kills) = (0, 0);
    for number in 1.. {
        assert!(number < TRIES, "it never goes through: {}", bed.agent.log.text());
        group.take_in(bed.agent.pid());
        group.leave_room(number * STEP);
        let output = update(&bed, &numbered(number));
        if output.status.success() {
            acknowledged = number;
        } else {
            refused(&output, &["the agent"]);
        }
        // Of a change that was not acknowledged it is not said whether it was made, but it is not half.
        let whole = || {
            for container in [&one, &another] {
                let found = numbers(container);
                assert!(found.iter().all(|found| (acknowledged..=number).contains(found)), "{found:?} at {number}");
            }
        };
        whole();
        group.lift();
        if survives(&mut bed) {
            if acknowledged == number {
                break;
            }
            refused(&output, &["memory"]);
        } else {
            kills += 1;
            whole();
        }
    }
    assert!(kills > 0, "the group was never full: {}", bed.agent.log.text());
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    bed.agent = bed.place.start();
    updated(&bed, "last");
    for container in [&one, &another] {
        has(container, "last");
    }
    bed.cli_ok(&["secret", "rollback", NAME]);
    assert_eq!(numbers(&one), numbers(&another));
    one.stop();
    another.stop();
    bed.holds_nothing();
}

/// The same while a container is started: it has all of its secrets, or does not run.
pub(crate) fn the_memory_group_is_full_at_a_start(runtime: Runtime) {
    let Some(group) = MemoryGroup::new() else { return };
    let (mut bed, container) = running(runtime);
    updated(&bed, &numbered(0));
    let bundle = bed.bundle("web");
    let before = bundle.listing();
    let (mut kills, mut started) = (0, false);
    for number in 1.. {
        assert!(number < TRIES, "it never comes up: {}", bed.agent.log.text());
        group.take_in(bed.agent.pid());
        group.leave_room(number * STEP);
        match bed.try_start(&bundle) {
            Ok(another) => {
                assert_eq!(numbers(&another), [0, 0]);
                group.lift();
                started = survives(&mut bed);
                another.stop();
            }
            Err(error) => {
                assert!(error.contains("runsecrets-hook: "), "{error}");
                assert_eq!(bundle.listing(), before, "something was left in the bundle after: {error}");
                group.lift();
                if survives(&mut bed) {
                    assert!(error.contains("memory"), "{error}");
                } else {
                    kills += 1;
                }
            }
        }
        bed.eventually("nothing is left of it", || {
            bed.agent.get("/runsecrets/v1/ps").json().as_array().unwrap().len() == 1
        });
        if started {
            break;
        }
    }
    assert!(kills > 0, "the group was never full: {}", bed.agent.log.text());
    assert_eq!(numbers(&container), [0, 0]);
    updated(&bed, "last");
    has(&container, "last");
    container.stop();
    bed.holds_nothing();
}
