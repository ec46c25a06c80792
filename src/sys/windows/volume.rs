//! Which volume really holds a directory: asked of an open handle, so that links, junctions and mount points are followed.

use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_NAME_NORMALIZED, FILE_READ_ATTRIBUTES, GetFinalPathNameByHandleW,
    GetVolumePathNamesForVolumeNameW, VOLUME_NAME_GUID,
};

use super::{check, wide};

/// The most UTF-16 units of a path.
const MAX_PATH_UNITS: usize = 32_768;

/// A volume of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// `\\?\Volume{…}\`, by which WMI lists it.
    pub id: String,
    /// Where it is mounted, `C:\`; the id where it is mounted nowhere.
    pub mounted: String,
}

impl Volume {
    /// The volume that `directory` is on; it must be there.
    ///
    /// # Errors
    /// The system's.
    pub fn of(directory: &Path) -> io::Result<Self> {
        // By its path it would be the volume that the path begins on, whatever a junction says: only a handle knows.
        let id = by_handle(directory)?;
        let mounted = mount_points(&id)?.into_iter().next().unwrap_or_else(|| id.clone());
        Ok(Self { id, mounted })
    }

    /// As commands name it: `C:`.
    pub fn name(&self) -> &str {
        self.mounted.trim_end_matches('\\')
    }
}

fn by_handle(directory: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(directory)?;
    let mut text = vec![0u16; MAX_PATH_UNITS];
    let flags = FILE_NAME_NORMALIZED | VOLUME_NAME_GUID;
    // SAFETY: the handle is open, and the buffer has as many units as is said.
    let length =
        unsafe { GetFinalPathNameByHandleW(file.as_raw_handle(), text.as_mut_ptr(), MAX_PATH_UNITS as u32, flags) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length == 0 || length >= text.len() {
        return Err(io::Error::last_os_error());
    }
    let path = String::from_utf16_lossy(&text[..length]);
    let end = path.find('}').filter(|_| path.starts_with(r"\\?\Volume{"));
    end.map(|end| format!("{}\\", &path[..=end])).ok_or_else(|| io::Error::other("its volume has no name"))
}

fn mount_points(id: &str) -> io::Result<Vec<String>> {
    let id = wide(id.as_ref())?;
    let (mut text, mut needed) = (vec![0u16; MAX_PATH_UNITS], 0u32);
    // SAFETY: the name ends in a NUL, and the buffer has as many units as is said.
    check(unsafe {
        GetVolumePathNamesForVolumeNameW(id.as_ptr(), text.as_mut_ptr(), MAX_PATH_UNITS as u32, &mut needed)
    })?;
    Ok(text.split(|unit| *unit == 0).take_while(|part| !part.is_empty()).map(String::from_utf16_lossy).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_a_volume_with_a_name() {
        let here = std::env::temp_dir();
        let volume = Volume::of(&here).unwrap();
        assert!(volume.id.starts_with(r"\\?\Volume{") && volume.id.ends_with(r"}\"), "{volume:?}");
        assert!(volume.name().ends_with(':'), "{volume:?}");
        assert_eq!(Volume::of(&here).unwrap(), volume);
        assert!(Volume::of(&here.join("there is no such directory")).is_err());
    }
}
