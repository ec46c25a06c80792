//! Opening a value for a delivery: found under a short lock, decrypted under none, kept nowhere.

use super::error::{CatalogError, Sort};
use super::ledger::{Expected, version_key};
use super::{Catalog, Index};
use crate::model::{Grant, SecretInfo};
use crate::policy::Authorized;
use crate::seal::{Fault, Kind, SealedValue, open_value, same_value};
use crate::secret::SecretBytes;
use crate::store::Key;

/// Where one version of a secret's value is, and what must be found there.
pub(super) struct Found {
    secret: SecretInfo,
    version: u64,
    data_key: (Key, Expected),
    value: (Key, Expected),
}

/// The records of a value as they were read, verified against the ledger.
pub(super) struct Records {
    data_key: Vec<u8>,
    value: Vec<u8>,
}

impl Catalog {
    /// Opens the current value of the secret that `grant` names, with its version. Nothing is cached.
    ///
    /// # Errors
    /// [`Status::Invalid`] when `grant` is none of the authorised, or the service does not grant that secret any more;
    /// [`Status::NotFound`] when the secret or the service is gone; [`Status::Corrupt`]; [`Status::Store`].
    ///
    /// [`Status::Invalid`]: super::Status::Invalid
    /// [`Status::NotFound`]: super::Status::NotFound
    /// [`Status::Corrupt`]: super::Status::Corrupt
    /// [`Status::Store`]: super::Status::Store
    pub fn open_value(
        &self,
        authorized: &Authorized,
        grant: &Grant,
    ) -> Result<(SecretInfo, u64, SecretBytes), CatalogError> {
        let found = self.read().for_delivery(authorized, grant)?;
        let records = self.fetch(&found)?;
        let value = open_value(&self.ledger.keys, authorized, grant, &found.sealed(&records))?;
        Ok((found.secret, found.version, value))
    }

    /// Whether the current value of `secret` is `other`.
    pub(super) fn holds(&self, secret: &SecretInfo, other: &SecretBytes) -> Result<bool, CatalogError> {
        let found = self.read().current(secret)?;
        let records = self.fetch(&found)?;
        Ok(same_value(&self.ledger.keys, &found.sealed(&records), other)?)
    }

    /// Reads both records. One that is gone was removed meanwhile, or from outside: the index knows which.
    pub(super) fn fetch(&self, found: &Found) -> Result<Records, CatalogError> {
        let read = |kind, (key, expected): &(Key, Expected)| {
            self.ledger.fetch(kind, key, expected)?.ok_or_else(|| match self.read().written.expected(key) {
                Some(_) => CatalogError::damaged(kind, Fault::Missing),
                None => CatalogError::NotFound { sort: Sort::Secret, reference: found.secret.name.to_string() },
            })
        };
        Ok(Records { data_key: read(Kind::DataKey, &found.data_key)?, value: read(Kind::Value, &found.value)? })
    }
}

impl Found {
    pub(super) fn sealed<'a>(&'a self, records: &'a Records) -> SealedValue<'a> {
        SealedValue {
            data_key_at: self.data_key.0.as_bytes(),
            data_key: &records.data_key,
            value_at: self.value.0.as_bytes(),
            value: &records.value,
            serial: self.value.1.serial,
        }
    }
}

impl Index {
    /// The secret of `grant`, if the service still stands and still grants it.
    fn for_delivery(&self, authorized: &Authorized, grant: &Grant) -> Result<Found, CatalogError> {
        let service = self.services.by_id(authorized.service_id()).ok_or_else(|| CatalogError::NotFound {
            sort: Sort::Service,
            reference: authorized.service_name().to_string(),
        })?;
        let same_source = |other: &Grant| other.source == grant.source;
        if !authorized.covers(grant) || !service.grants.as_slice().iter().any(same_source) {
            return Err(CatalogError::NotGranted { service: service.name.clone(), secret: grant.source.clone() });
        }
        let secret = self
            .secrets
            .named(grant.source.as_str())
            .ok_or_else(|| CatalogError::NotFound { sort: Sort::Secret, reference: grant.source.to_string() })?;
        self.current(secret)
    }

    fn current(&self, secret: &SecretInfo) -> Result<Found, CatalogError> {
        let missing = || CatalogError::damaged(Kind::Value, Fault::Missing);
        self.version(secret, secret.current().ok_or_else(missing)?.number)
    }

    /// Version `version` of `secret`, which must be one of those that are kept.
    pub(super) fn version(&self, secret: &SecretInfo, version: u64) -> Result<Found, CatalogError> {
        let missing = |kind| CatalogError::damaged(kind, Fault::Missing);
        let at = |kind| {
            let key = version_key(kind, &secret.id, version);
            let expected = self.written.expected(&key).ok_or_else(|| missing(kind))?;
            Ok::<_, CatalogError>((key, expected))
        };
        Ok(Found { version, data_key: at(Kind::DataKey)?, value: at(Kind::Value)?, secret: secret.clone() })
    }
}
