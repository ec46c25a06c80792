//! Values: each version has a random data key, wrapped by the key-encryption key. Plaintext stands in locked memory only,
//! and is encrypted and decrypted where it stands.

use subtle::ConstantTimeEq;

use super::cipher::{KEY_BYTES, fill_random};
use super::error::{Fault, SealError};
use super::keys::Keys;
use super::record::{Kind, Place, claimed_serial, open_into, plain_len, seal_buffer};
use crate::model::Grant;
use crate::policy::Authorized;
use crate::secret::{MAX_VALUE, SecretBytes};

/// The two records of one version of a secret's value, with the keys they stand at and the serial both have.
pub struct SealedValue<'a> {
    /// Where the wrapped data key stands.
    pub data_key_at: &'a [u8],
    /// The wrapped data key.
    pub data_key: &'a [u8],
    /// Where the value stands.
    pub value_at: &'a [u8],
    /// The sealed value.
    pub value: &'a [u8],
    /// The generation that wrote both.
    pub serial: u64,
}

/// Seals `value` under a new data key: the records of the wrapped key and of the value. The plaintext is overwritten.
///
/// # Errors
/// [`SealError::Random`], [`SealError::Memory`].
pub fn seal_value(
    keys: &Keys,
    data_key_at: &[u8],
    value_at: &[u8],
    serial: u64,
    mut value: SecretBytes,
) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let mut data_key = SecretBytes::zeroed(KEY_BYTES)?;
    fill_random(data_key.expose_mut())?;
    let place = Place { kind: Kind::Value, key: value_at, serial };
    let sealed = seal_buffer(data_key.expose(), &keys.store, place, value.expose_mut())?;
    let place = Place { kind: Kind::DataKey, key: data_key_at, serial };
    let wrapped = seal_buffer(keys.key_encryption(), &keys.store, place, data_key.expose_mut())?;
    Ok((wrapped, sealed))
}

/// Opens the value of the secret that `grant` names, for the container that `authorized` speaks of.
///
/// The caller finds the records by the grant's source; which secret a name stands for is not known here.
///
/// # Errors
/// [`SealError::NotGranted`] when `grant` is none of the authorised; [`SealError::Damaged`]; [`SealError::Memory`].
pub fn open_value(
    keys: &Keys,
    authorized: &Authorized,
    grant: &Grant,
    sealed: &SealedValue<'_>,
) -> Result<SecretBytes, SealError> {
    if authorized.covers(grant) { open(keys, sealed) } else { Err(SealError::NotGranted) }
}

/// Seals a sealed value anew, under a new data key and at another place; nobody sees it meanwhile.
///
/// # Errors
/// [`SealError::Damaged`], [`SealError::Random`], [`SealError::Memory`].
pub fn reseal_value(
    keys: &Keys,
    sealed: &SealedValue<'_>,
    data_key_at: &[u8],
    value_at: &[u8],
    serial: u64,
) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    seal_value(keys, data_key_at, value_at, serial, open(keys, sealed)?)
}

/// Whether the sealed value is `other`, in a time that depends on the lengths only. The value is not given out.
///
/// # Errors
/// [`SealError::Damaged`], [`SealError::Memory`].
pub fn same_value(keys: &Keys, sealed: &SealedValue<'_>, other: &SecretBytes) -> Result<bool, SealError> {
    Ok(open(keys, sealed)?.expose().ct_eq(other.expose()).into())
}

/// Checks that the record at `key` is a data key wrapped by this store's key, and gives its serial.
///
/// # Errors
/// [`SealError::Damaged`], [`SealError::Memory`].
pub fn verify_data_key(keys: &Keys, key: &[u8], record: &[u8]) -> Result<u64, SealError> {
    let place = Place { kind: Kind::DataKey, key, serial: claimed_serial(Kind::DataKey, record)? };
    unwrap_key(keys, place, record)?;
    Ok(place.serial)
}

fn open(keys: &Keys, sealed: &SealedValue<'_>) -> Result<SecretBytes, SealError> {
    let place = Place { kind: Kind::DataKey, key: sealed.data_key_at, serial: sealed.serial };
    let data_key = unwrap_key(keys, place, sealed.data_key)?;
    let place = Place { kind: Kind::Value, key: sealed.value_at, serial: sealed.serial };
    let len = plain_len(place, sealed.value)?;
    if len > MAX_VALUE {
        return Err(place.fault(Fault::Altered));
    }
    let mut value = SecretBytes::zeroed(len)?;
    open_into(data_key.expose(), &keys.store, place, sealed.value, value.expose_mut())?;
    Ok(value)
}

fn unwrap_key(keys: &Keys, place: Place<'_>, record: &[u8]) -> Result<SecretBytes, SealError> {
    if plain_len(place, record)? != KEY_BYTES {
        return Err(place.fault(Fault::Altered));
    }
    let mut data_key = SecretBytes::zeroed(KEY_BYTES)?;
    open_into(keys.key_encryption(), &keys.store, place, record, data_key.expose_mut())?;
    Ok(data_key)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
