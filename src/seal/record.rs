//! One sealed record: its bytes, what they are bound to, and the sealing of descriptions (names, labels, grants) as JSON.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cipher::{NONCE_BYTES, TAG_BYTES, fill_random, open_in_place, seal_in_place};
use super::error::{Fault, SealError};
use super::keys::{Keys, StoreId};

/// The format that this version writes; it is the first byte of every record.
pub(super) const FORMAT: u8 = 1;
const CONTEXT: &[u8] = b"runsecrets record";
/// `format | kind | serial`: in clear, and bound.
const BOUND: usize = 1 + 1 + 8;
/// What stands before the ciphertext.
pub(super) const PREFIX: usize = BOUND + NONCE_BYTES;

/// What a record holds; it is the first byte of the record's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The store's id and the mark of its root key.
    Header,
    /// The generation of the store and the set of its records.
    Manifest,
    /// A secret without its value.
    Secret,
    /// A service.
    Service,
    /// The wrapped data key of one version of a secret.
    DataKey,
    /// One version of a secret's value.
    Value,
}

impl Kind {
    /// The kinds that the manifest counts.
    pub const COUNTED: [Kind; 4] = [Kind::Secret, Kind::Service, Kind::DataKey, Kind::Value];

    /// The first byte of a record's key.
    pub fn byte(self) -> u8 {
        match self {
            Self::Header => b'H',
            Self::Manifest => b'M',
            Self::Secret => b'S',
            Self::Service => b'V',
            Self::DataKey => b'K',
            Self::Value => b'D',
        }
    }

    /// The kind of the record that stands at `key`.
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let kinds = [Self::Header, Self::Manifest, Self::Secret, Self::Service, Self::DataKey, Self::Value];
        kinds.into_iter().find(|kind| key.first() == Some(&kind.byte()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the store's header",
            Self::Manifest => "the store's manifest",
            Self::Secret => "a secret's description",
            Self::Service => "a service's description",
            Self::DataKey => "a secret's data key",
            Self::Value => "a secret's value",
        })
    }
}

/// Where a record stands and which writing of it this is: bound into the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// What it holds.
    pub kind: Kind,
    /// Its key in the store.
    pub key: &'a [u8],
    /// The generation of the store that wrote it.
    pub serial: u64,
}

impl Place<'_> {
    pub(super) fn fault(&self, fault: Fault) -> SealError {
        SealError::Damaged { kind: self.kind, fault }
    }

    fn bound(&self) -> [u8; BOUND] {
        let mut bound = [FORMAT, self.kind.byte(), 0, 0, 0, 0, 0, 0, 0, 0];
        bound[2..].copy_from_slice(&self.serial.to_be_bytes());
        bound
    }

    /// The associated data. Every part but the last has a fixed length, so no two places give the same bytes.
    fn aad(&self, store: &StoreId) -> Vec<u8> {
        [CONTEXT, &self.bound(), store, self.key].concat()
    }
}

/// The serial that a record says it has: not authentic before the record is opened at that serial.
///
/// # Errors
/// [`SealError::Damaged`] when it is no record of `kind`, or of a format that is not known.
pub fn claimed_serial(kind: Kind, record: &[u8]) -> Result<u64, SealError> {
    let altered = SealError::Damaged { kind, fault: Fault::Altered };
    match record {
        [format, ..] if *format != FORMAT => Err(SealError::Damaged { kind, fault: Fault::Format(*format) }),
        [_, byte, rest @ ..] if *byte == kind.byte() && record.len() >= PREFIX + TAG_BYTES => {
            rest.first_chunk().map(|serial| u64::from_be_bytes(*serial)).ok_or(altered)
        }
        _ => Err(altered),
    }
}

/// Encrypts `buffer` in place and gives the whole record; the plaintext is gone from `buffer` afterwards.
pub(super) fn seal_buffer(
    key: &[u8],
    store: &StoreId,
    place: Place<'_>,
    buffer: &mut [u8],
) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    seal_with_nonce(key, store, place, nonce, buffer)
}

/// [`seal_buffer`] with the nonce given: apart so that the published vectors can be made again.
pub(super) fn seal_with_nonce(
    key: &[u8],
    store: &StoreId,
    place: Place<'_>,
    nonce: [u8; NONCE_BYTES],
    buffer: &mut [u8],
) -> Result<Vec<u8>, SealError> {
    let tag = seal_in_place(key, &nonce, &place.aad(store), buffer).ok_or(SealError::Encoding)?;
    Ok([&place.bound()[..], &nonce, buffer, &tag].concat())
}

/// How long the plaintext of `record` is.
pub(super) fn plain_len(place: Place<'_>, record: &[u8]) -> Result<usize, SealError> {
    record.len().checked_sub(PREFIX + TAG_BYTES).ok_or(place.fault(Fault::Altered))
}

/// Opens `record` into `buffer`, which must have [`plain_len`] bytes. On an error `buffer` holds no plaintext.
pub(super) fn open_into(
    key: &[u8],
    store: &StoreId,
    place: Place<'_>,
    record: &[u8],
    buffer: &mut [u8],
) -> Result<(), SealError> {
    let altered = || place.fault(Fault::Altered);
    if claimed_serial(place.kind, record)? != place.serial {
        return Err(place.fault(Fault::RolledBack));
    }
    let nonce = record[BOUND..].first_chunk().ok_or_else(altered)?;
    let (ciphertext, tag) = record[PREFIX..].split_last_chunk().ok_or_else(altered)?;
    if ciphertext.len() != buffer.len() {
        return Err(altered());
    }
    buffer.copy_from_slice(ciphertext);
    open_in_place(key, nonce, &place.aad(store), buffer, tag).map_err(|_| altered())
}

/// Seals a description as JSON under the metadata key.
///
/// # Errors
/// [`SealError::Random`], [`SealError::Encoding`].
pub fn seal_metadata<T: Serialize>(keys: &Keys, place: Place<'_>, content: &T) -> Result<Vec<u8>, SealError> {
    let mut json = serde_json::to_vec(content).map_err(|_| SealError::Encoding)?;
    seal_buffer(keys.metadata(), &keys.store, place, &mut json)
}

/// Opens a description at the serial it says it has, and returns that serial: the caller holds it against the manifest.
///
/// # Errors
/// [`SealError::Damaged`].
pub fn open_metadata<T: DeserializeOwned>(
    keys: &Keys,
    kind: Kind,
    key: &[u8],
    record: &[u8],
) -> Result<(u64, T), SealError> {
    let place = Place { kind, key, serial: claimed_serial(kind, record)? };
    let mut json = vec![0; plain_len(place, record)?];
    open_into(keys.metadata(), &keys.store, place, record, &mut json)?;
    let content = serde_json::from_slice(&json).map_err(|_| place.fault(Fault::Altered))?;
    Ok((place.serial, content))
}
