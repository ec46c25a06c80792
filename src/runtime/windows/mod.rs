//! The wrapper on Windows: containerd's shim there runs no hooks, so `prepare BUNDLE` has the agent put a container's secrets
//! in its directory, and adds the mount of that directory to config.json, before the container is created; `release BUNDLE`
//! has them removed. It starts no runtime and holds no byte of a secret.
#![forbid(unsafe_code)]

mod arguments;
mod bundle;
mod error;

#[cfg(windows)]
mod program;

#[cfg(windows)]
pub use program::main;
