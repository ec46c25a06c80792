//! The program `runsecrets`: see `runsecrets::cli`.

#[global_allocator]
static ALLOCATOR: runsecrets::sys::WipingAllocator = runsecrets::sys::WipingAllocator;

fn main() -> std::process::ExitCode {
    runsecrets::cli::main(&[], &[runsecrets::engines::examine])
}
