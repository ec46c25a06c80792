//! Where things are when nothing else is said: what several programs must agree on.

/// On Windows, the agent's pipe; Docker's form of the address is `npipe:////./pipe/runsecrets`.
pub const PIPE: &str = r"\\.\pipe\runsecrets";
/// The agent's run directory, with its sockets.
pub const RUN_DIR: &str = "/run/runsecrets";
/// The socket in it for root's hooks.
pub const HOOK_SOCKET: &str = "hook.sock";
/// The socket in it for the hooks of other users, where the agent has one.
pub const USER_SOCKET: &str = "user.sock";
