//! Bytes that only this machine can read: the Data Protection API with the machine's key and an entropy of ours.

use std::io;

use windows_sys::Win32::Security::Cryptography::{
    CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData, CryptUnprotectData,
};
use zeroize::Zeroize;

use super::{Local, check};

/// Encrypts `bytes` for this machine. Every process of it can decrypt them that has the result and the `entropy`.
///
/// Source: CryptProtectData, CRYPTPROTECT_LOCAL_MACHINE.
///
/// # Errors
/// Those of CryptProtectData.
pub fn protect(bytes: &[u8], entropy: &[u8]) -> io::Result<Vec<u8>> {
    let (input, entropy) = (blob(bytes)?, blob(entropy)?);
    let mut output = CRYPT_INTEGER_BLOB::default();
    // SAFETY: both inputs are as long as they say and are only read; there are no words, no dialogue and no reserved part.
    check(unsafe {
        CryptProtectData(
            &raw const input,
            std::ptr::null(),
            &raw const entropy,
            std::ptr::null(),
            std::ptr::null(),
            CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN,
            &raw mut output,
        )
    })?;
    let _freed = Local(output.pbData.cast());
    // SAFETY: the call succeeded: there are that many bytes, until `_freed` is dropped.
    Ok(unsafe { std::slice::from_raw_parts(output.pbData, output.cbData as usize) }.to_vec())
}

/// Decrypts what [`protect`] has made into `room`, and says how many bytes they are. The library's copy is wiped.
///
/// # Errors
/// Those of CryptUnprotectData (`InvalidData`, error 13, for another machine's, another entropy or a changed byte);
/// `InvalidData` for more bytes than there is room.
pub fn unprotect(bytes: &[u8], entropy: &[u8], room: &mut [u8]) -> io::Result<usize> {
    let (input, entropy) = (blob(bytes)?, blob(entropy)?);
    let mut output = CRYPT_INTEGER_BLOB::default();
    // SAFETY: as in `protect`; the description is not asked for.
    check(unsafe {
        CryptUnprotectData(
            &raw const input,
            std::ptr::null_mut(),
            &raw const entropy,
            std::ptr::null(),
            std::ptr::null(),
            CRYPTPROTECT_UI_FORBIDDEN,
            &raw mut output,
        )
    })?;
    let _freed = Local(output.pbData.cast());
    let length = output.cbData as usize;
    // SAFETY: the call succeeded: there are that many bytes, ours to write, until `_freed` is dropped.
    let found = unsafe { std::slice::from_raw_parts_mut(output.pbData, length) };
    let copied = match room.get_mut(..length) {
        Some(room) => {
            room.copy_from_slice(found);
            Ok(length)
        }
        None => Err(io::Error::from(io::ErrorKind::InvalidData)),
    };
    found.zeroize();
    copied
}

/// `bytes` as the calls take them; they do not write to it, whatever the type says.
fn blob(bytes: &[u8]) -> io::Result<CRYPT_INTEGER_BLOB> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(CRYPT_INTEGER_BLOB { cbData: length, pbData: bytes.as_ptr().cast_mut() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTROPY: &[u8] = b"for a test";

    #[test]
    fn what_was_protected_comes_back_and_does_not_show() {
        let kept = protect(b"hunter2", ENTROPY).unwrap();
        assert!(!kept.windows(7).any(|window| window == b"hunter2"));
        let mut room = [0; 16];
        assert_eq!(unprotect(&kept, ENTROPY, &mut room).unwrap(), 7);
        assert_eq!(&room[..7], b"hunter2");
    }

    #[test]
    fn another_entropy_a_changed_text_and_too_little_room_give_nothing() {
        let kept = protect(b"hunter2", ENTROPY).unwrap();
        let mut room = [0; 16];
        assert!(unprotect(&kept, b"another", &mut room).is_err());
        // Windows sees every byte; Wine has some that mean nothing to it.
        let mut changed = kept.clone();
        changed[kept.len() / 2..].iter_mut().for_each(|byte| *byte ^= 0x5a);
        assert!(unprotect(&changed, ENTROPY, &mut room).is_err());
        assert_eq!(unprotect(&kept, ENTROPY, &mut [0; 6]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(room, [0; 16]);
    }
}
