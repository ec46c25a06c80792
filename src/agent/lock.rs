//! One agent in a directory: a lock that ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::fault::PathFault;
use super::protected::ProtectionError;
use crate::sys::here::file::open_private;

/// Locks the file `lock` in `directory` for as long as the returned file is open.
///
/// # Errors
/// [`ProtectionError::Taken`] when another process has it.
pub fn lock(directory: &Path) -> Result<File, ProtectionError> {
    let path = directory.join("lock");
    let file = open_private(&path).map_err(PathFault::on("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ProtectionError::Taken { path: directory.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(PathFault::on("lock", &path)(cause).into()),
    }
}
