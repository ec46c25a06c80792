//! Symbolic links to files, as the system has them. That one was made is known when it has been read back, and not before:
//! there are systems that say so and make none.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::{OpenOptionsExt, symlink_file};
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Foundation::GENERIC_WRITE;
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_DISPOSITION_INFO, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_FLAG_WRITE_THROUGH,
    FILE_LIST_DIRECTORY, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE,
    FileDispositionInfo, MAXIMUM_REPARSE_DATA_BUFFER_SIZE, SetFileInformationByHandle,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_GET_REPARSE_POINT;
use windows_sys::Win32::System::SystemServices::IO_REPARSE_TAG_SYMLINK;

use super::check;

/// Where the fields of a symbolic link's reparse point begin, in bytes: offset and length of its name, and the names.
const SUBSTITUTE_NAME: usize = 8;
const PATHS: usize = 20;

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

/// Removes what stands at `at` if it is a symbolic link that leads to `to`. What was opened is what is looked at and what is
/// removed: a name that leads elsewhere a moment later removes nothing there.
///
/// # Errors
/// The system's; that nothing is there is none.
pub fn remove(at: &Path, to: &str) -> io::Result<()> {
    let opened = OpenOptions::new()
        .access_mode(DELETE | FILE_READ_ATTRIBUTES)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(at);
    let link = match opened {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    if !link.metadata()?.file_type().is_symlink() || target_of(&link)?.as_deref() != Some(to) {
        return Ok(());
    }
    let gone = FILE_DISPOSITION_INFO { DeleteFile: true };
    // SAFETY: the handle is open, and the structure is as long as it is said to be.
    check(unsafe {
        SetFileInformationByHandle(
            link.as_raw_handle(),
            FileDispositionInfo,
            (&raw const gone).cast(),
            size_of_val(&gone) as u32,
        )
    })
}

/// Where an open symbolic link leads.
fn target_of(link: &File) -> io::Result<Option<String>> {
    let (mut buffer, mut length) = (vec![0_u8; MAXIMUM_REPARSE_DATA_BUFFER_SIZE as usize], 0);
    // SAFETY: the handle is open, nothing goes in, and the buffer is as long as it is said to be.
    check(unsafe {
        DeviceIoControl(
            link.as_raw_handle(),
            FSCTL_GET_REPARSE_POINT,
            std::ptr::null(),
            0,
            buffer.as_mut_ptr().cast(),
            MAXIMUM_REPARSE_DATA_BUFFER_SIZE,
            &raw mut length,
            std::ptr::null_mut(),
        )
    })?;
    buffer.truncate(length as usize);
    Ok(read_link(&buffer))
}

/// Where the symbolic link leads whose reparse point has these bytes; none for anything else.
///
/// Source: REPARSE_DATA_BUFFER, SymbolicLinkReparseBuffer (Microsoft Learn).
fn read_link(bytes: &[u8]) -> Option<String> {
    let number = |at: usize| bytes.get(at..at + 2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    let tag = bytes.get(..4)?;
    if tag != IO_REPARSE_TAG_SYMLINK.to_le_bytes() {
        return None;
    }
    let (start, length) = (number(SUBSTITUTE_NAME)?, number(SUBSTITUTE_NAME + 2)?);
    let name = bytes.get(PATHS..)?.get(start..)?.get(..length)?;
    let units: Vec<u16> = name.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    let name = String::from_utf16(&units).ok()?;
    // An absolute link stands on the disk as the kernel's form of the path.
    Some(name.strip_prefix(r"\??\").map(str::to_owned).unwrap_or(name))
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
                remove(&at, r"C:\ProgramData\Docker\internal\secrets\other").unwrap();
                assert_eq!(read(&at).unwrap(), Standing::Link(to.to_owned()), "another's");
                remove(&at, to).unwrap();
                assert_eq!(read(&at).unwrap(), Standing::Nothing);
            }
            // Wine: it says that it has made one.
            found => assert_eq!(found, Standing::Nothing, "{made:?}"),
        }
    }

    #[test]
    fn what_is_no_link_of_ours_is_not_removed() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        fs::write(&file, "the container's own").unwrap();
        remove(&file, "anywhere").unwrap();
        remove(top.path(), "anywhere").unwrap();
        remove(&top.path().join("none"), "anywhere").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "the container's own");
    }

    #[test]
    fn a_reparse_point_says_where_a_link_leads() {
        let (substitute, print) = (r"\??\C:\a", r"C:\a");
        let units = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let short = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
        let (one, two) = (units(print), units(substitute));
        let mut bytes = IO_REPARSE_TAG_SYMLINK.to_le_bytes().to_vec();
        for number in [12 + one.len() + two.len(), 0, one.len(), two.len(), 0, one.len(), 0, 0] {
            bytes.extend(short(number));
        }
        bytes.extend([one, two].concat());
        assert_eq!(read_link(&bytes).unwrap(), r"C:\a");
        assert_eq!(read_link(&bytes[..bytes.len() - 1]), None, "cut off");
        bytes[0] ^= 0x0f;
        assert_eq!(read_link(&bytes), None, "a junction");
        assert_eq!(read_link(&[]), None);
    }
}
