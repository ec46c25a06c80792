//! The program `runsecrets-agent`: see `runsecrets::agent`.
fn main() -> std::process::ExitCode {
    runsecrets::agent::main()
}
