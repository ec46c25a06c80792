//! Which volume really holds a directory: asked of an open handle, so that links, junctions and mount points are followed.

use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_NAME_NORMALIZED, FILE_READ_ATTRIBUTES, GetFinalPathNameByHandleW,
    GetVolumeNameForVolumeMountPointW, GetVolumePathNameW, GetVolumePathNamesForVolumeNameW, VOLUME_NAME_GUID,
};

use super::{check, wide};

/// The most UTF-16 units of a path.
const MAX_PATH_UNITS: usize = 32_768;
/// `\\?\Volume{…}\` and a NUL, with room.
const MAX_VOLUME_NAME: usize = 64;

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
        // The second way answers for what is not there, too.
        directory.metadata()?;
        let id = by_handle(directory).or_else(|_| by_path(directory))?;
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

/// For systems that know no volumes by handle.
fn by_path(directory: &Path) -> io::Result<String> {
    let path = wide(directory.as_os_str())?;
    let mut root = vec![0u16; MAX_PATH_UNITS];
    // SAFETY: the path ends in a NUL, and the buffer has as many units as is said.
    check(unsafe { GetVolumePathNameW(path.as_ptr(), root.as_mut_ptr(), MAX_PATH_UNITS as u32) })?;
    let mut name = [0u16; MAX_VOLUME_NAME];
    // SAFETY: the root ends in a NUL, and the buffer has as many units as is said.
    check(unsafe { GetVolumeNameForVolumeMountPointW(root.as_ptr(), name.as_mut_ptr(), MAX_VOLUME_NAME as u32) })?;
    Ok(until_nul(&name))
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

fn until_nul(units: &[u16]) -> String {
    String::from_utf16_lossy(units.split(|unit| *unit == 0).next().unwrap_or_default())
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
