//! The wrapper's place on Windows: it prepares bundles, before a runtime that calls no hooks creates the container.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "runsecrets-runtime: not yet");
    ExitCode::FAILURE
}
