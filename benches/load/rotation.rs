//! One secret that many containers have, changed again and again: how long the command takes, and when the last of them
//! has the new value.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::testbed::running_agent::Place;
use crate::testbed::{CLI, words};

/// How often it is changed for one figure.
const ROUNDS: usize = 11;

/// What changes took.
pub struct Rotation {
    /// Until the command had ended.
    pub answered: Vec<Duration>,
    /// Until the last container was seen to have the new value.
    pub seen: Vec<Duration>,
}

/// Changes `secret`, which is to be seen at `paths`: first nobody looks before the command has ended, then somebody does
/// all the time. Every value must be everywhere when the command has ended.
pub fn rotate(place: &Place, secret: &str, paths: &[PathBuf]) -> Rotation {
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("{secret}: the value number {number}")
    };
    let answered = (0..ROUNDS).map(|_| {
        let (value, start) = (next(), Instant::now());
        update(place, secret, &value);
        let time = start.elapsed();
        assert_eq!(missing(paths.iter().collect(), &value).len(), 0, "a container has an old value");
        time
    });
    let answered = answered.collect();
    let seen = (0..ROUNDS).map(|_| {
        let value = next();
        std::thread::scope(|scope| {
            let start = Instant::now();
            let update = scope.spawn(|| update(place, secret, &value));
            let mut left: Vec<&PathBuf> = paths.iter().collect();
            while !left.is_empty() {
                left = missing(left, &value);
            }
            let time = start.elapsed();
            update.join().unwrap();
            time
        })
    });
    Rotation { answered, seen: seen.collect() }
}

/// `runsecrets secret update`, as an operator calls it.
fn update(place: &Place, secret: &str, value: &str) {
    let file = place.path("value");
    std::fs::write(&file, value).unwrap();
    let mut command = std::process::Command::new(CLI);
    command.arg("--run-dir").arg(place.run()).args(["secret", "update", secret]).arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
}

/// Those of `paths` at which something else than `value` is.
fn missing<'p>(mut paths: Vec<&'p PathBuf>, value: &str) -> Vec<&'p PathBuf> {
    paths.retain(|path| std::fs::read(path).unwrap() != value.as_bytes());
    paths
}
