//! Delivery: how values get into a container and out of it again. Plans are pure and tested without root; applying is
//! the platform's. It knows neither the store nor sockets, and it is the only module that walks a container's tree.
#![forbid(unsafe_code)]

mod error;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(any(windows, test))]
pub mod windows;
mod zeroes;

pub use error::DeliverError;
