//! Where things are when nothing else is said: what several programs must agree on.

/// The agent's run directory, with its sockets.
pub const RUN_DIR: &str = "/run/runsecrets";
