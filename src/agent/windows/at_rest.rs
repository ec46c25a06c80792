//! The form in which the root key stands in its file: encrypted for this machine by the Data Protection API, so that a copy of
//! the file opens nothing on another.
//!
//! Not promised: an administrator of this machine can decrypt it, as the agent does, and so can whoever has the disk of Windows
//! itself, where what the machine's keys are made from lies: that disk is BitLocker's to protect.

use std::borrow::Cow;
use std::io;

use crate::seal::{ROOT_KEY_BYTES, RootKey};
use crate::secret::SecretBytes;
use crate::sys::windows::dpapi;

/// The most bytes that the file may have: Windows makes about 230 of the key's 32.
pub const MAX: usize = 480;
/// Holds the ciphertext to its purpose: no other program's data decrypts as a root key. It is no secret.
const ENTROPY: &[u8] = b"runsecrets root key v1";

/// What the file has for `key`.
///
/// # Errors
/// Those of CryptProtectData.
pub fn close(key: &RootKey) -> io::Result<Cow<'_, [u8]>> {
    let kept = dpapi::protect(key.expose(), ENTROPY)?;
    if kept.len() > MAX {
        return Err(io::Error::other("it is longer than a root key's file may be"));
    }
    Ok(Cow::Owned(kept))
}

/// The bytes of the key that a file of these bytes keeps, if it keeps one.
///
/// # Errors
/// In words: it is not this machine's, or it was changed.
pub fn open(kept: SecretBytes) -> Result<SecretBytes, &'static str> {
    let mut key =
        SecretBytes::zeroed(ROOT_KEY_BYTES + 1).map_err(|_| "cannot be decrypted: no locked memory is free")?;
    let length = dpapi::unprotect(kept.expose(), ENTROPY, key.expose_mut())
        .map_err(|_| "cannot be decrypted on this machine: it is another machine's, or it was changed")?;
    key.truncate(length);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encrypted_and_comes_back() {
        let key = RootKey::generate().unwrap();
        let mut kept = close(&key).unwrap().into_owned();
        assert!(kept.len() <= MAX && !kept.windows(8).any(|window| window == &key.expose()[..8]));
        let found = open(SecretBytes::take_from(&mut kept.clone()).unwrap()).unwrap();
        assert!(found.expose() == key.expose());
        let half = kept.len() / 2;
        kept[half..].iter_mut().for_each(|byte| *byte ^= 0x5a);
        assert!(open(SecretBytes::take_from(&mut kept).unwrap()).is_err());
    }

    #[test]
    fn a_key_in_clear_is_none() {
        assert!(open(SecretBytes::take_from(&mut vec![7; ROOT_KEY_BYTES]).unwrap()).is_err());
    }
}
