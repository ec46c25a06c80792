//! The program `runsecrets`: see `runsecrets::cli`.

#[global_allocator]
static ALLOCATOR: runsecrets::sys::WipingAllocator = runsecrets::sys::WipingAllocator;

/// The verbs and checks about engines, which run on Linux.
#[cfg(target_os = "linux")]
mod engines {
    use runsecrets::cli::Verb;
    use runsecrets::engines;
    use runsecrets::finding::Examination;

    const CONFIGURE: Verb = Verb { command: engines::configure_command, run: engines::configure };
    const NRI: Verb = Verb { command: engines::nri::command, run: engines::nri::run };
    pub(super) const VERBS: &[Verb] = &[CONFIGURE, NRI];
    pub(super) const EXAMINATIONS: &[Examination] = &[engines::examine];
}
#[cfg(windows)]
mod engines {
    use runsecrets::cli::Verb;
    use runsecrets::finding::Examination;

    pub(super) const VERBS: &[Verb] = &[];
    pub(super) const EXAMINATIONS: &[Examination] = &[];
}

fn main() -> std::process::ExitCode {
    runsecrets::cli::main(engines::VERBS, engines::EXAMINATIONS)
}
