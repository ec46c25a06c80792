//! The only module with `unsafe`: one system call a wrapper, each with the fact that makes it sound, one safe API.
//! It knows nothing of what a secret means, and it never prints.

mod wipe;

#[cfg(target_os = "linux")]
pub mod linux;

#[cfg(target_os = "linux")]
pub use linux::locked;
pub use wipe::WipingAllocator;
