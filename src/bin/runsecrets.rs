//! The program `runsecrets`: see `runsecrets::cli`.

use runsecrets::cli::Verb;
use runsecrets::engines;

#[global_allocator]
static ALLOCATOR: runsecrets::sys::WipingAllocator = runsecrets::sys::WipingAllocator;

const CONFIGURE: Verb = Verb { command: engines::configure_command, run: engines::configure };
const NRI: Verb = Verb { command: engines::nri::command, run: engines::nri::run };

fn main() -> std::process::ExitCode {
    runsecrets::cli::main(&[CONFIGURE, NRI], &[engines::examine])
}
