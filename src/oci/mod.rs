//! What a runtime tells a hook: the state on standard input, and the parts of config.json that we read or edit. Text in,
//! values out; it opens no file and knows no secret.
//!
//! Runtimes differ from the specification and from each other (crun says `created` where `creating` is specified, pid 0
//! where there is none, and adds fields), so everything is optional but the id, and what is not known is skipped.
#![forbid(unsafe_code)]

mod config;
#[cfg(feature = "wrapper")]
mod edit;
mod error;
mod state;
#[cfg(any(windows, test))]
mod windows;

pub use config::{Config, MAX_CONFIG, Root};
#[cfg(feature = "wrapper")]
pub use edit::{Additions, EditError, add_hooks};
pub use error::OciError;
pub use state::{MAX_STATE, State};
#[cfg(all(any(windows, test), feature = "wrapper"))]
pub use windows::add_mount;
#[cfg(any(windows, test))]
pub use windows::{DirectoryMount, WindowsConfig};
