//! The container engines of this machine: what `runsecrets configure` writes into their files, and the plugin beside those
//! that have NRI. It edits text and files of engines; it asks no agent, and holds no secret.
#![forbid(unsafe_code)]

mod change;
mod configure;
mod containerd;
mod crio;
mod diff;
mod docker;
mod doctor;
mod error;
mod hooks_dir;
mod json;
pub mod nri;
mod plan;
mod podman;
mod survey;
mod tables;
mod wiring;
mod wish;

pub use configure::{command as configure_command, run as configure};
pub use doctor::examine;
pub use survey::{Engine, Found, Wired, survey};
