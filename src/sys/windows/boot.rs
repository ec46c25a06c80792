//! Whether this Windows has been started since: a registry key that is never written to the disk is gone after a restart.

use std::io;

use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_WRITE, REG_CREATED_NEW_KEY, REG_OPTION_VOLATILE, RegCloseKey, RegCreateKeyExW,
};

use super::wide;

/// Below HKEY_LOCAL_MACHINE; the keys of several agents stand beside each other.
const KEY: &str = r"SOFTWARE\runsecrets since the start of Windows";

/// Whether this is the first time since Windows was started that anybody asks this for `name`.
///
/// # Errors
/// Those of RegCreateKeyExW; nothing is known then.
pub fn is_first_since(name: &str) -> io::Result<bool> {
    let path = wide(format!("{KEY}\\{}", name.replace('\\', "/")).as_ref())?;
    let (mut key, mut disposition): (HKEY, u32) = (std::ptr::null_mut(), 0);
    // SAFETY: the path ends in a NUL, there is no class and no access list, and both results go to variables of ours.
    let code = unsafe {
        RegCreateKeyExW(
            HKEY_LOCAL_MACHINE,
            path.as_ptr(),
            0,
            std::ptr::null(),
            REG_OPTION_VOLATILE,
            KEY_WRITE,
            std::ptr::null(),
            &raw mut key,
            &raw mut disposition,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    // SAFETY: the key was just opened, and is closed once.
    unsafe { RegCloseKey(key) };
    Ok(disposition == REG_CREATED_NEW_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_from_the_second() {
        let top = tempfile::tempdir().unwrap();
        let name = top.path().to_string_lossy().into_owned();
        assert!(is_first_since(&name).unwrap());
        assert!(!is_first_since(&name).unwrap());
    }
}
