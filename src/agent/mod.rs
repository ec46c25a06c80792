//! The program: not written yet.
#![forbid(unsafe_code)]

pub mod catalog;

/// Runs the program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
