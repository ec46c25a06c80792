//! Files and directories that are SYSTEM's and the administrators' alone, and what the standard library has under other
//! names elsewhere.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::path::Path;

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_INVALID_FUNCTION, GENERIC_WRITE};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES,
    FILE_SHARE_READ, FlushFileBuffers, GetFileInformationByHandle,
};

use super::acl;
use super::check;
use super::token::Token;
use crate::sys::sddl::{PRIVATE_DIRECTORY, PRIVATE_FILE, Sddl, Wider};

/// What makes a directory or file SYSTEM's and the administrators' alone, in words for an administrator.
///
/// `/grant` alone would leave what others were given, and an owner can give it to himself again; PowerShell takes parentheses
/// without quotation marks for its own.
pub const MAKE_PRIVATE: &str = "icacls PATH /setowner *S-1-5-32-544, icacls PATH /reset, and for a directory \
    icacls PATH /inheritance:r /grant:r \"*S-1-5-18:(OI)(CI)F\" \"*S-1-5-32-544:(OI)(CI)F\"";

/// Opens a file of ours for reading and writing, made private when it is not there; never through a link.
///
/// # Errors
/// Those of CreateFileW; `InvalidInput` for a link.
pub fn open_private(path: &Path) -> io::Result<File> {
    let file = acl::open_or_create_file(path, PRIVATE_FILE)?;
    if is_link(&file.metadata()?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link"));
    }
    Ok(file)
}

/// Makes a private file.
///
/// # Errors
/// Those of CreateFileW; `AlreadyExists` where it is there.
pub fn create_private(path: &Path) -> io::Result<File> {
    acl::create_file(path, PRIVATE_FILE)
}

/// The same: who may read it may write to it.
///
/// # Errors
/// Those of [`create_private`].
pub fn create_read_only(path: &Path) -> io::Result<File> {
    create_private(path)
}

/// Makes a file whose access list is what its directory gives to files: there are no permission bits.
///
/// # Errors
/// Those of CreateFileW; `AlreadyExists` where it is there.
pub fn create_with_mode(path: &Path, _mode: u32) -> io::Result<File> {
    File::create_new(path)
}

/// Makes a private directory, and those on the way to it that are not there, private as well.
///
/// # Errors
/// Those of CreateDirectoryW.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
        make_private_dir(parent)?;
    }
    acl::create_dir(path, PRIVATE_DIRECTORY)
}

/// Who else than SYSTEM, the administrators and this process's user may use the directory `path`, in words; none
/// when it is theirs alone.
///
/// # Errors
/// Those of CreateFileW and GetSecurityInfo.
pub fn exposure(path: &Path) -> io::Result<Option<String>> {
    judge(path, |_| true)
}

/// The same for a file, which may have inherited what it has from a directory that was judged.
///
/// # Errors
/// Those of CreateFileW and GetSecurityInfo.
pub fn exposure_of_file(path: &Path) -> io::Result<Option<String>> {
    judge(path, |wider| *wider != Wider::Inherits)
}

/// Who else than SYSTEM, the administrators, Windows' own installer and this process's user may change the file or directory
/// `path`, in words; none when nobody may. That others read it is no matter.
///
/// # Errors
/// Those of CreateFileW and GetSecurityInfo.
pub fn changeable(path: &Path) -> io::Result<Option<String>> {
    let (text, own) = (acl::dacl_of(path)?, Token::own()?.user()?.sid);
    let wider = Sddl::parse(&text).map_or(Some(Wider::Unreadable), |sddl| sddl.changeable(&own));
    Ok(wider.map(|wider| format!("{wider}: {text}")))
}

/// The same for a file that is open to be read.
///
/// # Errors
/// Those of GetSecurityInfo.
pub fn exposure_of_open(file: &File) -> io::Result<Option<String>> {
    judge_list(acl::of_open(file)?, |wider| *wider != Wider::Inherits)
}

/// Opens the file `path` to read, so that nobody writes to it, removes it or puts another in its place meanwhile; a link is
/// opened itself. None where it is not there.
///
/// # Errors
/// Those of CreateFileW.
pub fn hold(path: &Path) -> io::Result<Option<File>> {
    let opened =
        OpenOptions::new().read(true).share_mode(FILE_SHARE_READ).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path);
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn judge(path: &Path, counts: impl FnOnce(&Wider) -> bool) -> io::Result<Option<String>> {
    judge_list(acl::dacl_of(path)?, counts)
}

fn judge_list(text: String, counts: impl FnOnce(&Wider) -> bool) -> io::Result<Option<String>> {
    let own = Token::own()?.user()?.sid;
    let wider = Sddl::parse(&text).map_or(Some(Wider::Unreadable), |sddl| sddl.wider(&own));
    Ok(wider.filter(counts).map(|wider| format!("{wider}: {text}")))
}

/// Makes the names in a directory survive a crash, as far as the file system lets a directory be flushed; NTFS keeps a
/// journal of names whether it does or not.
///
/// # Errors
/// Those of CreateFileW and FlushFileBuffers, but for those that say that a directory is not flushed.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let flushed = acl::open_itself(path, GENERIC_WRITE).and_then(|directory| {
        // SAFETY: the handle is open.
        check(unsafe { FlushFileBuffers(directory.as_raw_handle()) })
    });
    let unusual = [ERROR_ACCESS_DENIED, ERROR_INVALID_FUNCTION].map(|code| Some(code.cast_signed()));
    match flushed {
        Err(error) if unusual.contains(&error.raw_os_error()) => Ok(()),
        flushed => flushed,
    }
}

/// What two names of one file have in common, and nothing else; none where there is none.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = acl::open_itself(path, FILE_READ_ATTRIBUTES).ok()?;
    let facts = facts(&file).ok()?;
    let index = u64::from(facts.nFileIndexHigh) << 32 | u64::from(facts.nFileIndexLow);
    Some((facts.dwVolumeSerialNumber.into(), index))
}

/// Whether an error of writing says that nobody may write, whoever it is: there are no such files here.
pub fn may_be_immutable(_error: &io::Error) -> bool {
    false
}

/// Whether a name, looked at without following it, is a symbolic link, a junction, or another thing that leads elsewhere.
pub fn is_link(found: &Metadata) -> bool {
    found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0
}

/// How many names an open file has.
///
/// # Errors
/// Those of GetFileInformationByHandle.
pub fn link_count(file: &File) -> io::Result<u32> {
    Ok(facts(file)?.nNumberOfLinks)
}

fn facts(file: &File) -> io::Result<BY_HANDLE_FILE_INFORMATION> {
    let mut facts = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open; the facts go to a structure of ours.
    check(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut facts) })?;
    Ok(facts)
}

/// Whose `path` is (the last number of the owner's SID), and its access list; none where it is not there.
pub fn owner_and_mode(path: &Path) -> Option<(u32, String)> {
    let text = acl::dacl_of(path).ok()?;
    let owner = Sddl::parse(&text)?.owner?;
    let number = match owner.as_str() {
        "SY" => 18,
        "BA" => 544,
        sid => sid.rsplit('-').next()?.parse().ok()?,
    };
    Some((number, text.get(text.find("D:").unwrap_or(0)..)?.to_owned()))
}

/// There are no permission bits: its owner's alone, which is what a copy of a file should be at the most.
pub fn permission_bits(_found: &Metadata) -> u32 {
    0o600
}

/// Reads at an offset.
///
/// # Errors
/// Those of ReadFile.
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek_read(buffer, at)
}

/// Writes all of `bytes` at an offset.
///
/// # Errors
/// Those of WriteFile; `WriteZero` where it writes nothing.
pub fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = file.seek_write(bytes, at)?;
        if written == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        (bytes, at) = (&bytes[written..], at + written as u64);
    }
    Ok(())
}

/// Standard input, without the standard library's buffer, which would keep a copy of what is read.
///
/// # Errors
/// Those of DuplicateHandle.
pub fn standard_input() -> io::Result<File> {
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_things_are_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a").join("b");
        make_private_dir(&path).unwrap();
        assert_eq!(exposure(&path).unwrap(), None);
        let file = path.join("f");
        drop(create_read_only(&file).unwrap());
        assert_eq!(exposure_of_file(&file).unwrap(), None);
        assert!(create_read_only(&file).is_err());
        assert!(owner_and_mode(&file).unwrap().1.starts_with("D:"));
        assert!(owner_and_mode(&path.join("none")).is_none());
        sync_dir(&path).unwrap();
    }

    #[test]
    fn what_is_held_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("f"), directory.path().join("g"));
        assert!(hold(&path).unwrap().is_none());
        std::fs::write(&path, "one").unwrap();
        std::fs::write(&other, "another").unwrap();
        let held = hold(&path).unwrap().unwrap();
        assert!(std::fs::write(&path, "two").is_err());
        assert!(std::fs::remove_file(&path).is_err());
        assert!(std::fs::rename(&other, &path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        drop(held);
        std::fs::rename(&other, &path).unwrap();
    }

    #[test]
    fn two_names_of_one_file_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        let file = open_private(&one).unwrap();
        assert_eq!(link_count(&file).unwrap(), 1);
        std::fs::hard_link(&one, &two).unwrap();
        assert_eq!(link_count(&file).unwrap(), 2);
        assert!(identity(&one).is_some() && identity(&one) == identity(&two));
        assert_eq!(identity(&directory.path().join("none")), None);
    }

    #[test]
    fn an_offset_is_where_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let file = open_private(&directory.path().join("f")).unwrap();
        write_all_at(&file, b"0123456789", 0).unwrap();
        write_all_at(&file, b"ab", 4).unwrap();
        let mut found = [0; 4];
        assert_eq!(read_at(&file, &mut found, 3).unwrap(), 4);
        assert_eq!(&found, b"3ab6");
        assert_eq!(read_at(&file, &mut found, 10).unwrap(), 0);
    }
}
