//! `make demo`: its script, with this build's programs.
#![allow(clippy::unwrap_used)] // a test may end where it stands

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn all_that_the_demo_shows_holds() {
    let hook = env!("CARGO_BIN_EXE_runsecrets-hook");
    let hook = std::env::var_os("RUNSECRETS_TEST_HOOK").map_or_else(|| PathBuf::from(hook), PathBuf::from);
    let programs = Path::new(env!("CARGO_BIN_EXE_runsecrets")).parent().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/demo.sh");
    let output = Command::new(script).arg(programs).arg(hook).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.ends_with("All of it held.\n"), "{text}");
}
