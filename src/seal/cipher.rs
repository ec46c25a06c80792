//! The primitives: AES-256-GCM-SIV in place, SHA-256, HMAC-SHA-256, random bytes. Nothing here knows a record.
//!
//! Source: RFC 8452 (AES-GCM-SIV), RFC 2104 (HMAC), FIPS 180-4 (SHA-256).

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::error::SealError;
use crate::model::{ID_ENTROPY, Id};

/// Bytes of every symmetric key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a nonce: random, one for each sealing. GCM-SIV loses only equality of equal plaintexts if one repeats.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag.
pub(super) const TAG_BYTES: usize = 16;

/// The bytes do not belong to this key, nonce and associated data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// Encrypts `buffer` where it stands; returns the tag. `None` only for a key of the wrong length or more than 64 GiB.
pub(super) fn seal_in_place(
    key: &[u8],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    buffer: &mut [u8],
) -> Option<[u8; TAG_BYTES]> {
    let cipher = Aes256GcmSiv::new_from_slice(key).ok()?;
    let tag = cipher.encrypt_inout_detached(&Nonce::from(*nonce), aad, buffer.into()).ok()?;
    Some(tag.into())
}

/// Decrypts `buffer` where it stands; on failure it holds no plaintext.
pub(super) fn open_in_place(
    key: &[u8],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), NotAuthentic> {
    let cipher = Aes256GcmSiv::new_from_slice(key).map_err(|_| NotAuthentic)?;
    cipher.decrypt_inout_detached(&Nonce::from(*nonce), aad, buffer.into(), &Tag::from(*tag)).map_err(|_| NotAuthentic)
}

/// SHA-256 of `parts`, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HMAC-SHA-256 of `parts`, one after the other.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Fills `bytes` from the kernel's generator (getrandom(2)).
///
/// # Errors
/// [`SealError::Random`].
pub fn fill_random(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(SealError::Random)
}

/// A new random id.
///
/// # Errors
/// [`SealError::Random`].
pub fn new_id() -> Result<Id, SealError> {
    let mut entropy = [0; ID_ENTROPY];
    fill_random(&mut entropy)?;
    Ok(Id::from_entropy(entropy))
}

#[cfg(test)]
#[path = "cipher_tests.rs"]
mod tests;
