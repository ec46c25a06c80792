//! The form in which the root key stands in its file: its bytes. Who may read the file is the file system's affair.

use std::borrow::Cow;
use std::io;

use crate::seal::{ROOT_KEY_BYTES, RootKey};
use crate::secret::SecretBytes;

/// The most bytes that the file may have.
pub const MAX: usize = ROOT_KEY_BYTES;

/// What the file has for `key`.
///
/// # Errors
/// None.
pub fn close(key: &RootKey) -> io::Result<Cow<'_, [u8]>> {
    Ok(Cow::Borrowed(key.expose()))
}

/// The bytes of the key that a file of these bytes keeps, if it keeps one.
///
/// # Errors
/// None.
pub fn open(kept: SecretBytes) -> Result<SecretBytes, &'static str> {
    Ok(kept)
}
