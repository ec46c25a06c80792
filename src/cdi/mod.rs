//! Services as CDI devices (`--device runsecrets.io/service=NAME`): the text of the file that engines read, and the file
//! itself. It knows names of services and the path of the hook; who writes it, and when, is for its users.
#![forbid(unsafe_code)]

#[cfg_attr(windows, path = "windows.rs")]
mod file;
mod specification;

pub use file::{MODE, replace};
pub use specification::{KIND, Offered, is_device_name, specification};
