//! The container engines of this machine: what `runsecrets configure` writes into their files. It edits text and files
//! of engines; it asks no agent, and holds no secret.
#![forbid(unsafe_code)]

mod doctor;
mod survey;

pub use doctor::examine;
pub use survey::{Engine, Found, Wired, survey};
