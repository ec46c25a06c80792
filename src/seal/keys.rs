//! The root key and the keys of one store that are derived from it. None of them leaves locked memory.

use hkdf::Hkdf;
use sha2::Sha256;

use super::cipher::{KEY_BYTES, fill_random, hmac_sha256};
use super::error::SealError;
use super::record::Kind;
use crate::secret::SecretBytes;

/// Bytes of a root key.
pub const ROOT_KEY_BYTES: usize = 32;
/// Bytes of a store's id.
pub(super) const STORE_ID_BYTES: usize = 16;
/// Bytes of the public mark that tells one root key from another.
pub(super) const KEY_MARK_BYTES: usize = 8;

/// A store's own random number: no secret, and bound into every record.
pub type StoreId = [u8; STORE_ID_BYTES];

/// The key that everything in a store depends on: 32 random bytes.
pub struct RootKey(SecretBytes);

impl RootKey {
    /// A new one.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::Memory`].
    pub fn generate() -> Result<Self, SealError> {
        let mut key = SecretBytes::zeroed(ROOT_KEY_BYTES)?;
        fill_random(key.expose_mut())?;
        Ok(Self(key))
    }

    /// The one that a key file or a credential holds; `None` unless it has exactly 32 bytes.
    pub fn from_secret(bytes: SecretBytes) -> Option<Self> {
        (bytes.len() == ROOT_KEY_BYTES).then_some(Self(bytes))
    }

    /// The bytes, to be written to a key file and nowhere else.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// The keys of one store, in one locked slot: key-encryption, metadata, index, state.
pub struct Keys {
    pub(super) store: StoreId,
    pub(super) mark: [u8; KEY_MARK_BYTES],
    slots: SecretBytes,
}

/// Purposes, in the order of their slots; the text is HKDF's `info`.
const PURPOSES: [&[u8]; 4] =
    [b"runsecrets/1 key-encryption", b"runsecrets/1 metadata", b"runsecrets/1 index", b"runsecrets/1 state"];
const MARK_PURPOSE: &[u8] = b"runsecrets/1 key-mark";

impl Keys {
    /// HKDF-SHA-256 with the store's id as salt and one `info` for each purpose (RFC 5869).
    ///
    /// # Errors
    /// [`SealError::Memory`].
    pub fn derive(root: &RootKey, store: StoreId) -> Result<Self, SealError> {
        let mut slots = SecretBytes::zeroed(PURPOSES.len() * KEY_BYTES)?;
        let kdf = Hkdf::<Sha256>::new(Some(&store), root.expose());
        for (slot, purpose) in slots.expose_mut().chunks_exact_mut(KEY_BYTES).zip(PURPOSES) {
            kdf.expand(purpose, slot).expect("32 bytes are within HKDF's limit");
        }
        let mut mark = [0; KEY_MARK_BYTES];
        kdf.expand(MARK_PURPOSE, &mut mark).expect("8 bytes are within HKDF's limit");
        Ok(Self { store, mark, slots })
    }

    /// The store that these keys are for.
    #[cfg(test)]
    pub(super) fn store_id(&self) -> &StoreId {
        &self.store
    }

    /// The record key under which the object of `kind` with the name `folded` stands: an HMAC, so the name is not readable.
    pub fn name_key(&self, kind: Kind, folded: &str) -> Vec<u8> {
        let mac = hmac_sha256(self.slot(2), &[&[kind.byte()], folded.as_bytes()]);
        [&[kind.byte()][..], &mac].concat()
    }

    pub(super) fn key_encryption(&self) -> &[u8] {
        self.slot(0)
    }

    pub(super) fn metadata(&self) -> &[u8] {
        self.slot(1)
    }

    pub(super) fn state(&self) -> &[u8] {
        self.slot(3)
    }

    fn slot(&self, number: usize) -> &[u8] {
        &self.slots.expose()[number * KEY_BYTES..][..KEY_BYTES]
    }
}
