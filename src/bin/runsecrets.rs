//! The program `runsecrets`: see `runsecrets::cli`.
fn main() -> std::process::ExitCode {
    runsecrets::cli::main()
}
