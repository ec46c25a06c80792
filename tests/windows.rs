//! The programs for Windows, under Wine: `make test-windows` alone starts this, once on Wine 8 and once on Wine 10.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "windows/delivery.rs"]
mod delivery;
#[path = "windows/service.rs"]
mod service;
#[path = "windows/wine.rs"]
mod wine;

use std::fs;

use wine::{Wine, built, said};

/// What cargo built of the tests in `src/`, one program a line.
const UNIT_TESTS: &str = "unit-tests.txt";

#[test]
fn the_unit_tests_pass() {
    let wine = Wine::new();
    let programs = fs::read_to_string(built(UNIT_TESTS)).unwrap();
    assert!(!programs.trim().is_empty(), "{UNIT_TESTS} names no program");
    for program in programs.lines() {
        let output = wine.wine(program).arg("--test-threads=2").output().unwrap();
        let text = said(&output);
        assert!(output.status.success(), "{program}:\n{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("test result: ok."), "{program} ran no test:\n{text}");
    }
}

#[test]
fn every_program_starts() {
    let wine = Wine::new();
    for program in ["runsecrets.exe", "runsecrets-agent.exe", "runsecrets-hook.exe", "runsecrets-runtime.exe"] {
        let output = wine.ours(program).arg("--version").output().unwrap();
        let text = said(&output);
        assert!(
            text.contains(env!("CARGO_PKG_VERSION")),
            "{program}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
