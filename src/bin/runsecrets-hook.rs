//! The program `runsecrets-hook`: see `runsecrets::hook`.
fn main() -> std::process::ExitCode {
    runsecrets::hook::main()
}
