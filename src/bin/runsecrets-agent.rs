//! The program `runsecrets-agent`: see `runsecrets::agent`.

#[global_allocator]
static ALLOCATOR: runsecrets::sys::WipingAllocator = runsecrets::sys::WipingAllocator;

fn main() -> std::process::ExitCode {
    runsecrets::agent::main()
}
