//! Symbolic links to files, as the system has them. That one was made is known when it has been read back, and not before:
//! there are systems that say so and make none.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::{OpenOptionsExt, symlink_file};
use std::path::Path;

use windows_sys::Win32::Foundation::GENERIC_WRITE;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_FLAG_WRITE_THROUGH, FILE_LIST_DIRECTORY,
    FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE,
};

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// A symbolic link, and where it says that it leads.
    Link(String),
    /// Anything else, mount points and links that cannot be read among it.
    Other,
}

/// Makes a symbolic link to a file at `at` that leads to `to`, which need not be there.
///
/// # Errors
/// The system's. Not promised: that the link is there if there is none.
pub fn make(at: &Path, to: &str) -> io::Result<()> {
    symlink_file(to, at)
}

/// What stands at `at` itself.
///
/// # Errors
/// The system's; that nothing is there is none.
pub fn read(at: &Path) -> io::Result<Standing> {
    match fs::symlink_metadata(at) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Standing::Nothing),
        Err(cause) => Err(cause),
        Ok(found) if found.file_type().is_symlink() => {
            let to = fs::read_link(at).ok().and_then(|to| to.into_os_string().into_string().ok());
            // An absolute link stands on the disk as the kernel's form of the path.
            let plain = |to: String| to.strip_prefix(r"\\?\").map(str::to_owned).unwrap_or(to);
            Ok(to.map(plain).map_or(Standing::Other, Standing::Link))
        }
        Ok(_) => Ok(Standing::Other),
    }
}

/// Removes the link at `at`, not what it leads to.
///
/// # Errors
/// The system's.
pub fn remove(at: &Path) -> io::Result<()> {
    fs::remove_file(at)
}

/// Opens `directory` so that nobody may rename or remove it meanwhile. None where it leads elsewhere or is no directory.
/// The reparse points of a container's layers (their files are elsewhere, their names are not) do not count as leading
/// elsewhere.
///
/// # Errors
/// The system's.
pub fn hold(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .access_mode(FILE_LIST_DIRECTORY | FILE_TRAVERSE)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(directory)?;
    let found = file.metadata()?;
    Ok((found.is_dir() && !found.file_type().is_symlink()).then_some(file))
}

/// Opens a file to be written over, and where it is a link the link itself, so that nothing behind it is reached. What is
/// written is on the disk when a write returns.
///
/// # Errors
/// The system's; a sharing violation where somebody has the file open and lets nobody write to it.
pub fn open_to_overwrite(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(GENERIC_WRITE)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_WRITE_THROUGH)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_somewhere_is_told_apart() {
        let top = tempfile::tempdir().unwrap();
        assert_eq!(read(&top.path().join("none")).unwrap(), Standing::Nothing);
        fs::write(top.path().join("file"), "").unwrap();
        assert_eq!(read(&top.path().join("file")).unwrap(), Standing::Other);
        assert!(hold(top.path()).unwrap().is_some());
        assert!(hold(&top.path().join("file")).unwrap().is_none());
        assert!(hold(&top.path().join("none")).is_err());
    }

    #[test]
    fn a_directory_that_is_held_stays() {
        let top = tempfile::tempdir().unwrap();
        let inner = top.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let held = hold(&inner).unwrap();
        assert!(fs::rename(&inner, top.path().join("other")).is_err());
        drop(held);
        fs::rename(&inner, top.path().join("other")).unwrap();
    }

    #[test]
    fn a_link_is_there_or_reading_it_back_says_that_it_is_not() {
        let top = tempfile::tempdir().unwrap();
        let (at, to) = (top.path().join("link"), r"C:\ProgramData\Docker\internal\secrets\id");
        let made = make(&at, to);
        match read(&at).unwrap() {
            Standing::Link(found) => {
                assert!(made.is_ok() && found == to);
                remove(&at).unwrap();
                assert_eq!(read(&at).unwrap(), Standing::Nothing);
            }
            // Wine: it says that it has made one.
            found => assert_eq!(found, Standing::Nothing, "{made:?}"),
        }
    }
}
