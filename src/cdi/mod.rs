//! Services as CDI devices (`--device runsecrets.io/service=NAME`): the text of the file that engines read. It knows names of
//! services and the path of the hook; who writes the file, and when, is for its users.
#![forbid(unsafe_code)]

mod specification;

pub use specification::{KIND, Offered, is_device_name, specification};

/// The mode of the file: engines read it as who they are, and it holds no secret.
pub const MODE: u32 = 0o644;
