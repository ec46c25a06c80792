//! A file that engines read, at any time: it is there whole, or not.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Engines read a CDI file as who they are; it holds no secret.
pub const MODE: u32 = 0o644;

/// Writes `path` whole or not at all. The file beside it has a name that no engine reads.
///
/// # Errors
/// What the system says; `path` is as it was then.
pub fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let fresh = PathBuf::from(path).with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = write(&fresh, text, mode).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(fresh: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(fresh)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text)?;
    file.sync_all()
}
