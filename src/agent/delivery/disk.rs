//! What there is of deliveries on disk: JSON for the agent alone, whole or not at all, and no value. The same on every platform.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failpoint::{Point, reach};
use crate::replace::replace;
use crate::sys::here::file::create_private;

use super::{DeliveryError, SYNCED};

/// Behind the name, in the place of `json`, while a file is being written.
pub(super) const FRESH: &str = "new";
/// The most bytes of one file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Writes or replaces `path`.
pub(super) fn write(path: &Path, what: &impl Serialize) -> Result<(), DeliveryError> {
    let failed = |cause| DeliveryError::Record { path: path.to_owned(), cause };
    let bytes = serde_json::to_vec(what).map_err(io::Error::other).map_err(failed)?;
    let write = |file: &mut File| {
        file.write_all(&bytes)?;
        reach(Point::RecordWritten);
        Ok(())
    };
    replace(path, &path.with_extension(FRESH), SYNCED, create_private, write).map_err(failed)?;
    reach(Point::RecordReplaced);
    Ok(())
}

/// Reads `path`; none where it is something else.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Removes `path`; what is not there is no error.
pub(super) fn remove(path: &Path) -> Result<(), DeliveryError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(DeliveryError::Record { path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}
