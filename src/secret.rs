//! Secret bytes: one type, in locked memory, zeroised when dropped, read by [`SecretBytes::expose`] only.
//! It has no `Debug`, `Clone`, `Display` or serde, so a value cannot reach a log, a message or a file by accident.
#![forbid(unsafe_code)]

use std::fmt;

use zeroize::Zeroize;

use crate::sys::locked::{Arena, Shape, Slot};

/// The longest value, in bytes: Docker's own limit (`len < 512000`).
pub const MAX_VALUE: usize = 511_999;

/// A value, a key or a token: plaintext that must not outlive its use.
pub struct SecretBytes(Slot);

/// Locked memory could not be had.
#[derive(Debug)]
pub enum SecretError {
    /// The bytes asked for do not fit the largest slot.
    TooLong {
        /// How many were asked for.
        len: usize,
    },
    /// The arena is in use and no slot came back in time, or could not be made.
    NoMemory(std::io::Error),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => write!(f, "{len} bytes are more than a secret may have ({MAX_VALUE})"),
            Self::NoMemory(cause) => write!(f, "no locked memory is free for a value: {cause}; try again"),
        }
    }
}

impl std::error::Error for SecretError {}

impl SecretBytes {
    /// `len` zero bytes, to be filled in place.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn zeroed(len: usize) -> Result<Self, SecretError> {
        let arena = Arena::establish(Shape::TOOL).map_err(SecretError::NoMemory)?;
        match arena.take(len) {
            Ok(slot) => Ok(Self(slot)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Err(SecretError::TooLong { len }),
            Err(error) => Err(SecretError::NoMemory(error)),
        }
    }

    /// Moves `source` in: copies it and wipes the source.
    ///
    /// # Errors
    /// See [`SecretError`]; the source is wiped all the same.
    pub fn take_from(source: &mut [u8]) -> Result<Self, SecretError> {
        let secret = Self::zeroed(source.len()).map(|mut secret| {
            secret.expose_mut().copy_from_slice(source);
            secret
        });
        source.zeroize();
        secret
    }

    /// The bytes. Every use of a secret in this crate is a call of this name.
    pub fn expose(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The bytes, to fill in place.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    /// Shortens the secret to `len` bytes and wipes the rest.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// How many bytes it has: not a secret, `ls -l` shows it.
    pub fn len(&self) -> usize {
        self.0.bytes().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_wipes_the_source() {
        let mut source = *b"hunter2";
        let secret = SecretBytes::take_from(&mut source).unwrap();
        assert_eq!(secret.expose(), b"hunter2");
        assert_eq!(source, [0; 7]);
    }

    #[test]
    fn a_value_longer_than_a_slot_is_refused() {
        assert!(matches!(SecretBytes::zeroed(600_000), Err(SecretError::TooLong { len: 600_000 })));
    }
}
