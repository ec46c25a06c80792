//! The OCI hook on Windows, for runtimes that have hooks there.
#![forbid(unsafe_code)]

use std::io::Write;

/// The hook could not do its work.
const FAILED: u8 = 1;

/// Runs the hook and returns its exit code.
pub fn main() -> u8 {
    let _ = writeln!(std::io::stderr(), "runsecrets-hook: not yet");
    FAILED
}
