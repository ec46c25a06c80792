//! Where the agent of a benchmark has its directories.

use std::process::Command;

use super::testbed::program;
use super::testbed::running_agent::Place;

/// A place whose run directory is in memory, as /run is; to be made in a mount namespace with which that goes.
pub fn place() -> Place {
    let place = Place::new();
    place.configure("[log]\nlevel = \"warn\"\n");
    std::fs::create_dir(place.run()).unwrap();
    let mut mount = Command::new(program("mount", "mount"));
    mount.args(["-t", "tmpfs", "-o", "mode=0711", "tmpfs"]).arg(place.run());
    assert!(mount.status().unwrap().success());
    place
}
