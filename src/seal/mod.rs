//! Sealing: the root key, the keys derived from it, and the envelopes that records travel in. The only namer of a cipher,
//! hash or KDF crate. It knows bytes, not files and not the names of backends.
//!
//! A sealed record is `format (1) | kind (1) | serial (8) | nonce (12) | ciphertext | tag (16)`, AES-256-GCM-SIV (RFC 8452)
//! with the first ten bytes, the store's id and the record's key as associated data: a record opens only in its own store,
//! at its own key, as its own kind, with its own serial. A value is sealed under a data key of its own, and that key under
//! the key-encryption key in a record of its own: to destroy the small record is to destroy the value.
//!
//! Not hidden: how many records there are, how long each is (hence a value's length, and about how long labels are), and in
//! what order they were last written. Ids are random and are not hidden either.
#![forbid(unsafe_code)]

mod cipher;
mod envelope;
mod error;
mod header;
mod keys;
mod manifest;
mod record;
mod token;
mod unlock;

pub use cipher::{fill_random, new_id};
pub use envelope::{SealedValue, open_value, reseal_value, same_value, seal_value, verify_data_key};
pub use error::{Fault, SealError};
pub use header::StoreHeader;
pub use keys::{Keys, ROOT_KEY_BYTES, RootKey, StoreId};
pub use manifest::{Manifest, Print, RecordSet};
pub use record::{Kind, Place, claimed_serial, open_metadata, seal_metadata};
pub use token::{hash_token, new_token, token_matches};
pub use unlock::{UnlockKey, WRAPPED_BYTES, unwrap_root_key, wrap_root_key};
