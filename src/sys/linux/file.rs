//! Files and directories that are their owner's alone, and what the standard library has under other names elsewhere.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::process::effective_uid;

/// What makes a directory its owner's alone, in words for an administrator.
pub const MAKE_PRIVATE: &str = "chown and chmod 0700";

/// Opens a file of ours for reading and writing, made with 0600 when it is not there; never through a symbolic link.
///
/// # Errors
/// Those of open(2).
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Makes a file that its owner alone may read and write.
///
/// # Errors
/// Those of open(2); `AlreadyExists` where it is there.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a file that nobody may write to, and its owner alone may read.
///
/// # Errors
/// Those of open(2); `AlreadyExists` where it is there.
pub fn create_read_only(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)
}

/// Makes a file with the permission bits `mode`, whatever the umask.
///
/// # Errors
/// Those of open(2) and fchmod(2); `AlreadyExists` where it is there.
pub fn create_with_mode(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Makes a directory, and those on the way to it, for their owner alone.
///
/// # Errors
/// Those of mkdir(2).
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Who else than this process's user may use the directory `path`, in words; none when it is that user's alone.
///
/// # Errors
/// Those of stat(2).
pub fn exposure(path: &Path) -> io::Result<Option<String>> {
    let data = std::fs::metadata(path)?;
    let (mode, uid) = (data.mode() & 0o7777, data.uid());
    let own = uid == effective_uid() && mode & 0o077 == 0;
    Ok((!own).then(|| format!("mode {mode:04o}, uid {uid}")))
}

/// Makes the names in a directory survive a crash.
///
/// # Errors
/// Those of open(2) and fsync(2).
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What two names of one file have in common, and nothing else; none where there is none.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|data| (data.dev(), data.ino())).ok()
}

/// Whether an error of writing says that nobody may write, whoever it is: a file can be immutable (chattr(1)).
pub fn may_be_immutable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// Whose `path` is, and its permission bits as chmod(1) takes them; none where it is not there.
pub fn owner_and_mode(path: &Path) -> Option<(u32, String)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.uid(), format!("{:04o}", found.mode() & 0o7777)))
}

/// The permission bits of a file, as far as they say who may read and write it.
pub fn permission_bits(found: &Metadata) -> u32 {
    found.permissions().mode() & 0o777
}

/// Reads at an offset.
///
/// # Errors
/// Those of pread(2).
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    file.read_at(buffer, at)
}

/// Writes all of `bytes` at an offset.
///
/// # Errors
/// Those of pwrite(2).
pub fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

/// Standard input, without the standard library's buffer, which would keep a copy of what is read.
///
/// # Errors
/// Those of dup(2).
pub fn standard_input() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}
