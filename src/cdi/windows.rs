//! A file that engines read, at any time: it is there whole, or not. The engines that know CDI run elsewhere.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The mode that the file has where files have modes.
pub const MODE: u32 = 0o644;

/// Writes `path` whole or not at all.
///
/// # Errors
/// What the system says; `path` is as it was then.
pub fn replace(path: &Path, text: &[u8], _mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = write(&fresh, text).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(fresh: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(fresh)?;
    file.write_all(text)?;
    file.sync_all()
}
