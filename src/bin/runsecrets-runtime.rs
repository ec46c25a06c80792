//! The program `runsecrets-runtime`: see `runsecrets::runtime`.
fn main() -> std::process::ExitCode {
    runsecrets::runtime::main()
}
