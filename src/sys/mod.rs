//! The only module with `unsafe`: one system call a wrapper, each with the fact that makes it sound, one safe API.
//! It knows nothing of what a secret means, and it never prints.
//!
//! `here` is this platform's side. Both sides have `clock`, `file`, `pages`, `peer` and `process` with the same surface; what else
//! they have is used by code of that platform alone.

pub mod entry;
pub mod locked;
pub mod sddl;
mod wipe;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(windows)]
pub mod windows;

#[cfg(target_os = "linux")]
pub use linux as here;
#[cfg(windows)]
pub use windows as here;
pub use wipe::WipingAllocator;
