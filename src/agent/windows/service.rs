//! The agent as a Windows service.

use std::fmt;

use super::options::{Options, ServiceCommand};

/// Why the service control manager did not do what it was asked.
#[derive(Debug)]
pub enum ServiceError {
    /// Not yet.
    NotYet,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not yet")
    }
}

impl std::error::Error for ServiceError {}

/// Serves as the service.
///
/// # Errors
/// See [`ServiceError`].
pub fn run(_options: &Options) -> Result<(), ServiceError> {
    Err(ServiceError::NotYet)
}

/// Does what `command` says.
///
/// # Errors
/// See [`ServiceError`].
pub fn administer(_command: ServiceCommand, _options: &Options) -> Result<(), ServiceError> {
    Err(ServiceError::NotYet)
}
