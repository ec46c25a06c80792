//! The header of a store: its id, and whether a root key is the one it was sealed with.
//!
//! `format (1) | 'H' | store id (16) | key mark (8) | checksum (8)`. The checksum is SHA-256's first bytes, without a key:
//! it tells a damaged header from a wrong root key. A forged header yields other keys, and then nothing opens.

use super::cipher::{fill_random, sha256};
use super::error::{Fault, SealError};
use super::keys::{KEY_MARK_BYTES, Keys, RootKey, STORE_ID_BYTES, StoreId};
use super::record::{FORMAT, Kind};

const CHECKSUM_BYTES: usize = 8;
const LENGTH: usize = 2 + STORE_ID_BYTES + KEY_MARK_BYTES + CHECKSUM_BYTES;

/// What stands in clear in a store.
#[derive(Debug)]
pub struct StoreHeader;

impl StoreHeader {
    /// The key of the record.
    pub const KEY: &'static [u8] = b"H";

    /// Makes the header of a new store and the keys that go with it.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::Memory`].
    pub fn create(root: &RootKey) -> Result<(Vec<u8>, Keys), SealError> {
        let mut store: StoreId = [0; STORE_ID_BYTES];
        fill_random(&mut store)?;
        let keys = Keys::derive(root, store)?;
        Ok((Self::encode(&keys), keys))
    }

    /// Reads a header and derives the keys.
    ///
    /// # Errors
    /// [`SealError::Damaged`], [`SealError::WrongRootKey`], [`SealError::Memory`].
    pub fn open(root: &RootKey, record: &[u8]) -> Result<Keys, SealError> {
        let damaged = |fault| SealError::Damaged { kind: Kind::Header, fault };
        let (content, checksum) = record
            .split_last_chunk::<CHECKSUM_BYTES>()
            .filter(|_| record.len() == LENGTH)
            .ok_or(damaged(Fault::Altered))?;
        if sha256(&[content])[..CHECKSUM_BYTES] != *checksum {
            return Err(damaged(Fault::Altered));
        }
        if content[0] != FORMAT {
            return Err(damaged(Fault::Format(content[0])));
        }
        let store = content[2..].first_chunk().ok_or(damaged(Fault::Altered))?;
        let keys = Keys::derive(root, *store)?;
        if content[2 + STORE_ID_BYTES..] != keys.mark { Err(SealError::WrongRootKey) } else { Ok(keys) }
    }

    pub(super) fn encode(keys: &Keys) -> Vec<u8> {
        let content = [&[FORMAT, Kind::Header.byte()][..], &keys.store, &keys.mark].concat();
        let checksum = sha256(&[&content]);
        [&content[..], &checksum[..CHECKSUM_BYTES]].concat()
    }
}
