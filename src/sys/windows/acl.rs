//! Access lists of files and directories: given at creation, so that there is no moment without, and read back.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::{Component, Path, Prefix};

use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    GetSecurityInfo, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, DELETE, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_NOT_CONTENT_INDEXED,
    FILE_CREATION_DISPOSITION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_FLAG_WRITE_THROUGH,
    FILE_FLAGS_AND_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_ALWAYS, OPEN_EXISTING,
    READ_CONTROL, SetFileAttributesW,
};

use super::token::sid_text;
use super::{Local, check, text_at, wide};

/// From how many units on a path is long: that of a directory leaves room for a file in it.
const LONG: usize = 248;
/// Everybody may have it open beside us, and rename or remove it: what locks a file is a lock.
const SHARED: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// A security descriptor made from its text.
pub(super) struct Descriptor(Local);

impl Descriptor {
    /// Reads `sddl`.
    pub(super) fn read(sddl: &str) -> io::Result<Self> {
        let text = wide(OsStr::new(sddl))?;
        let mut made: PSECURITY_DESCRIPTOR = std::ptr::null_mut();
        // SAFETY: the text is NUL-terminated, and the result goes to a pointer of ours; no size is asked for.
        check(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut made,
                std::ptr::null_mut(),
            )
        })?;
        Ok(Self(Local(made)))
    }

    /// What a call that creates something takes. It points into `self`, and is good as long as that.
    pub(super) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0.0,
            bInheritHandle: 0,
        }
    }
}

/// Makes the directory `path` with the access list in `sddl`, and out of the search index, with all that is made in it.
///
/// # Errors
/// `AlreadyExists` where it is there; `InvalidInput` for a text that is no list; those of CreateDirectoryW.
pub fn create_dir(path: &Path, sddl: &str) -> io::Result<()> {
    let (name, descriptor) = (name_of(path)?, Descriptor::read(sddl)?);
    let attributes = descriptor.attributes();
    // SAFETY: the name is NUL-terminated; the attributes and the descriptor they point to outlive the call.
    check(unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) })?;
    // What cannot be left out of the index is private all the same: not every file system has the attribute.
    // SAFETY: the name is NUL-terminated.
    let _ = unsafe { SetFileAttributesW(name.as_ptr(), FILE_ATTRIBUTE_NOT_CONTENT_INDEXED) };
    Ok(())
}

/// Makes the file `path` with the access list in `sddl`, out of the search index, open to write; what is written reaches the
/// disk before a write returns.
///
/// # Errors
/// `AlreadyExists` where it is there; those of CreateFileW.
pub fn create_file(path: &Path, sddl: &str) -> io::Result<File> {
    let flags = FILE_FLAG_WRITE_THROUGH | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;
    open(path, Some(sddl), GENERIC_READ | GENERIC_WRITE | DELETE, CREATE_NEW, flags)
}

/// Opens the file `path` to read and write, and makes it with the access list in `sddl` where it is not there. The last
/// component is opened itself, even where it is a link.
///
/// # Errors
/// Those of CreateFileW.
pub fn open_or_create_file(path: &Path, sddl: &str) -> io::Result<File> {
    open(path, Some(sddl), GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS, 0)
}

/// Opens a file or directory, and where it is a link the link itself, for the rights in `access`.
///
/// # Errors
/// Those of CreateFileW.
pub(super) fn open_itself(path: &Path, access: u32) -> io::Result<File> {
    open(path, None, access, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS)
}

/// `path` as the calls here take it, at any length: a long one in the form that Win32 passes on as it is.
///
/// Source: Maximum Path Length Limitation (Microsoft Learn).
fn name_of(path: &Path) -> io::Result<Vec<u16>> {
    let name = wide(path.as_os_str())?;
    if name.len() < LONG {
        return Ok(name);
    }
    let whole = std::path::absolute(path)?;
    match whole.components().next() {
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::Disk(_)) => {
            let mut verbatim = OsString::from(r"\\?\");
            verbatim.push(&whole);
            wide(&verbatim)
        }
        _ => wide(whole.as_os_str()),
    }
}

fn open(
    path: &Path,
    sddl: Option<&str>,
    access: u32,
    disposition: FILE_CREATION_DISPOSITION,
    flags: FILE_FLAGS_AND_ATTRIBUTES,
) -> io::Result<File> {
    let (name, descriptor) = (name_of(path)?, sddl.map(Descriptor::read).transpose()?);
    let attributes = descriptor.as_ref().map(Descriptor::attributes);
    let flags = flags | FILE_FLAG_OPEN_REPARSE_POINT | FILE_ATTRIBUTE_NORMAL;
    // SAFETY: the name is NUL-terminated; the attributes (or null) and the descriptor outlive the call.
    let handle = unsafe {
        CreateFileW(
            name.as_ptr(),
            access,
            SHARED,
            attributes.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            disposition,
            flags,
            std::ptr::null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the handle is ours alone.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Owner and access list of `path` itself, in SDDL.
///
/// # Errors
/// Those of CreateFileW and GetSecurityInfo.
pub fn dacl_of(path: &Path) -> io::Result<String> {
    of_open(&open_itself(path, READ_CONTROL)?)
}

/// The same of an open file or directory.
///
/// # Errors
/// Those of GetSecurityInfo.
pub fn of_open(file: &File) -> io::Result<String> {
    let wanted = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    let mut found: PSECURITY_DESCRIPTOR = std::ptr::null_mut();
    let no_part = std::ptr::null_mut();
    // SAFETY: the handle is open; of the results only the descriptor is asked for, into a pointer of ours.
    let code = unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            wanted,
            no_part,
            no_part,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut found,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    let found = Local(found);
    let mut text = std::ptr::null_mut();
    // SAFETY: the descriptor was just given to us; the text goes to a pointer of ours, and its length is not asked for.
    check(unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            found.0,
            SDDL_REVISION_1,
            wanted,
            &raw mut text,
            std::ptr::null_mut(),
        )
    })?;
    let text = Local(text.cast());
    // SAFETY: the call succeeded, so there is a NUL-terminated text, which lives until `text` is dropped.
    Ok(unsafe { text_at(text.0.cast()) })
}

/// The SID of whoever owns an open file or pipe, which must have been opened to read.
///
/// # Errors
/// Those of GetSecurityInfo; `InvalidData` for an object that nobody owns.
pub fn owner_of(object: &impl AsRawHandle) -> io::Result<String> {
    let (mut owner, mut found): (PSID, PSECURITY_DESCRIPTOR) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the handle is open; owner and descriptor go to pointers of ours, and nothing else is asked for.
    let code = unsafe {
        GetSecurityInfo(
            object.as_raw_handle(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut found,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    // The SID points into it.
    let _descriptor = Local(found);
    if owner.is_null() { Err(io::Error::from(io::ErrorKind::InvalidData)) } else { sid_text(owner) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::sddl::{PRIVATE_DIRECTORY, PRIVATE_FILE, Sddl};

    #[test]
    fn a_list_is_there_from_the_beginning_and_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let (path, file) = (directory.path().join("d"), directory.path().join("d").join("f"));
        create_dir(&path, PRIVATE_DIRECTORY).unwrap();
        assert_eq!(create_dir(&path, PRIVATE_DIRECTORY).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let open = create_file(&file, PRIVATE_FILE).unwrap();
        assert_eq!(create_file(&file, PRIVATE_FILE).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        for text in [dacl_of(&path).unwrap(), dacl_of(&file).unwrap(), of_open(&open).unwrap()] {
            let list = Sddl::parse(&text).unwrap();
            assert!(list.owner.is_some() && list.entries.is_some_and(|entries| !entries.is_empty()), "{text}");
        }
    }

    #[test]
    fn a_path_may_be_longer_than_programs_usually_take() {
        let directory = tempfile::tempdir().unwrap();
        let mut path = directory.path().to_owned();
        for _ in 0..4 {
            path.push("d".repeat(100));
            create_dir(&path, PRIVATE_DIRECTORY).unwrap();
        }
        let file = path.join("f");
        drop(create_file(&file, PRIVATE_FILE).unwrap());
        assert!(file.is_file() && dacl_of(&file).is_ok());
    }

    #[test]
    fn what_is_no_list_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("d");
        assert!(create_dir(&path, "D:P(A;;FA;;;").is_err());
        assert!(create_dir(&path.join("\0"), PRIVATE_DIRECTORY).is_err());
        assert!(!path.exists());
    }
}
