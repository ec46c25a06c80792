//! How a runtime is told to call our hook: the same in config.json, in a CDI device and in an engine's adjustment.

/// Where the hook is installed.
pub const HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";
/// The environment that our hooks get: a runtime that is told none gives them its own.
pub const HOOK_ENVIRONMENT: &str = "PATH=/usr/sbin:/usr/bin";
/// Seconds after which a runtime kills our hook: the hook itself gives up after ten.
pub const HOOK_TIMEOUT: u32 = 60;

/// A moment of a container's life at which our hook is called.
///
/// Source: OCI runtime specification, config.md, "POSIX-platform Hooks".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookStage {
    /// The container has its namespaces, and its program is not there yet.
    CreateRuntime,
    /// The container is deleted.
    Poststop,
}

impl HookStage {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CreateRuntime, Self::Poststop];

    /// Its name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateRuntime => "createRuntime",
            Self::Poststop => "poststop",
        }
    }

    /// The hook's arguments at this stage, the program's name first, with `more` behind them.
    pub fn arguments<'a>(self, more: &[&'a str]) -> Vec<&'a str> {
        let stage = match self {
            Self::CreateRuntime => "create-runtime",
            Self::Poststop => "poststop",
        };
        [&["runsecrets-hook", stage], more].concat()
    }
}
