//! Whether something was done since Windows was started: a registry key that is never written to the disk is gone after a
//! restart.

use std::io;

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, KEY_WRITE, REG_OPTION_VOLATILE, RegCloseKey, RegCreateKeyExW, RegOpenKeyExW,
};

use super::wide;

/// Below HKEY_LOCAL_MACHINE; the keys of several agents stand beside each other.
const KEY: &str = r"SOFTWARE\runsecrets since the start of Windows";

/// Whether [`note`] was called for `name` since Windows was started.
///
/// # Errors
/// Those of RegOpenKeyExW; nothing is known then.
pub fn is_noted(name: &str) -> io::Result<bool> {
    let path = wide(path_of(name).as_ref())?;
    let mut key: HKEY = std::ptr::null_mut();
    // SAFETY: the path ends in a NUL, and the result goes to a variable of ours.
    match unsafe { RegOpenKeyExW(HKEY_LOCAL_MACHINE, path.as_ptr(), 0, KEY_READ, &raw mut key) } {
        0 => {
            close(key);
            Ok(true)
        }
        ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => Ok(false),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}

/// Notes `name` until Windows ends.
///
/// # Errors
/// Those of RegCreateKeyExW.
pub fn note(name: &str) -> io::Result<()> {
    let path = wide(path_of(name).as_ref())?;
    let mut key: HKEY = std::ptr::null_mut();
    // SAFETY: the path ends in a NUL, there is no class and no access list, and the result goes to a variable of ours.
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
            std::ptr::null_mut(),
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    close(key);
    Ok(())
}

fn path_of(name: &str) -> String {
    format!("{KEY}\\{}", name.replace('\\', "/"))
}

fn close(key: HKEY) {
    // SAFETY: the key was just opened, and is closed once.
    unsafe { RegCloseKey(key) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_and_nothing_else() {
        let top = tempfile::tempdir().unwrap();
        let name = top.path().to_string_lossy().into_owned();
        assert!(!is_noted(&name).unwrap());
        note(&name).unwrap();
        note(&name).unwrap();
        assert!(is_noted(&name).unwrap() && !is_noted(&format!("{name} other")).unwrap());
    }
}
