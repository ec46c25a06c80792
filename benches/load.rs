//! Many containers at one time: what they cost the agent, how soon a changed value is in all of them, how many may start
//! at once; and the same change in Docker Swarm, on this machine, in the same run. Prints the tables of the README. Run by
//! `make bench`, as root.
//!
//! `RUNSECRETS_TEST_HOOK` names the hook as it is released; `RUNSECRETS_LOAD_CONTAINERS`, `RUNSECRETS_LOAD_AT_ONCE` and
//! `RUNSECRETS_LOAD_REPLICAS` are for a smaller run.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark prints, and may end where it stands
#![allow(dead_code, unreachable_pub)] // what other benchmarks and tests use of the shared parts

#[path = "bed/apart.rs"]
mod apart;
#[path = "../tests/engines/docker.rs"]
mod docker;
#[path = "bed/figures.rs"]
mod figures;
#[path = "../tests/engines/image.rs"]
mod image;
#[path = "load/ours.rs"]
mod ours;
#[path = "bed/place.rs"]
mod place;
#[path = "load/rotation.rs"]
mod rotation;
#[path = "load/swarm.rs"]
mod swarm;
#[path = "../tests/testbed/mod.rs"]
mod testbed;

use std::env;

use testbed::Runtime;

/// Which part this process is.
const PART: &str = "RUNSECRETS_LOAD_PART";

fn main() {
    match env::var(PART).as_deref() {
        Ok("ours") => ours::measure(number("CONTAINERS", 500), number("AT_ONCE", 100)),
        Ok("swarm") => swarm::measure(&numbers("REPLICAS", &[10, 50])),
        _ => {
            println!("hook: {}", testbed::hook().display());
            // The first one in a mount namespace in which crun can work at once; Docker in one as the machine's,
            // but for what it leaves in /run.
            apart::run(Runtime::Crun.preparation(), (PART, "ours"));
            apart::run("mount -t tmpfs tmpfs /run;", (PART, "swarm"));
        }
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    numbers(name, &[otherwise])[0]
}

fn numbers(name: &str, otherwise: &[usize]) -> Vec<usize> {
    match env::var(format!("RUNSECRETS_LOAD_{name}")) {
        Ok(text) => text.split(',').map(|number| number.parse().unwrap()).collect(),
        Err(_) => otherwise.to_vec(),
    }
}
