//! New versions of a value: from outside, or from an earlier version. Versions beyond those that are kept are erased with
//! their data keys in the commit that makes them superfluous.

use super::Catalog;
use super::error::CatalogError;
use super::ledger::{Writing, version_key};
use crate::model::{SecretInfo, SecretVersion, Timestamp};
use crate::seal::{Kind, reseal_value, seal_value};
use crate::secret::{MAX_VALUE, SecretBytes};

/// A new value for a secret.
pub struct New {
    /// The secret: its id, name, or the beginning of its id.
    pub reference: String,
    /// The version of its description that the caller has seen, if that must still be so.
    pub index: Option<u64>,
    /// The value.
    pub value: SecretBytes,
}

impl Catalog {
    /// Makes `value` the current one, as a version of its own; the last `keep` versions stay, the current one among them.
    /// A value that is the current one already makes no version.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Ambiguous`]; [`Status::Invalid`] when the value has not 1 to 511,999 bytes;
    /// [`Status::OutOfSequence`] when `index` is given and not the current one; [`Status::Corrupt`]; [`Status::Store`].
    /// After an error the old version is the current one.
    ///
    /// [`Status::NotFound`]: super::Status::NotFound
    /// [`Status::Ambiguous`]: super::Status::Ambiguous
    /// [`Status::Invalid`]: super::Status::Invalid
    /// [`Status::OutOfSequence`]: super::Status::OutOfSequence
    /// [`Status::Corrupt`]: super::Status::Corrupt
    /// [`Status::Store`]: super::Status::Store
    pub fn update_secret(
        &self,
        reference: &str,
        index: Option<u64>,
        value: SecretBytes,
        keep: usize,
        now: Timestamp,
    ) -> Result<SecretInfo, CatalogError> {
        let news = vec![New { reference: reference.to_owned(), index, value }];
        let mut changed = self.update_secrets(news, keep, now)?;
        changed.pop().ok_or(CatalogError::Size)
    }

    /// The same for several secrets, in one commit: all of them, or none.
    ///
    /// # Errors
    /// As [`Catalog::update_secret`], for the first of them; [`Status::Invalid`](super::Status::Invalid) when one is named twice.
    pub fn update_secrets(&self, news: Vec<New>, keep: usize, now: Timestamp) -> Result<Vec<SecretInfo>, CatalogError> {
        if news.iter().any(|new| !(1..=MAX_VALUE).contains(&new.value.len())) {
            return Err(CatalogError::Size);
        }
        let _turn = self.turn();
        let mut writing = self.begin(|_| Ok(()))?;
        let mut secrets: Vec<SecretInfo> = Vec::with_capacity(news.len());
        let mut changed = Vec::with_capacity(news.len());
        for New { reference, index, value } in news {
            let mut secret = self.secret(&reference)?;
            if index.is_some_and(|index| index != secret.index) {
                return Err(CatalogError::OutOfSequence);
            }
            if secrets.iter().any(|other| other.id == secret.id) {
                return Err(CatalogError::Twice(secret.name));
            }
            if !self.holds(&secret, &value)? {
                let version = SecretVersion { number: next(&secret), size: value.len(), created: now, from: None };
                let data_key = version_key(Kind::DataKey, &secret.id, version.number);
                let sealed = version_key(Kind::Value, &secret.id, version.number);
                let serial = writing.serial();
                let (wrapped, value) =
                    seal_value(&self.ledger.keys, data_key.as_bytes(), sealed.as_bytes(), serial, value)?;
                writing.put(data_key, wrapped);
                writing.put(sealed, value);
                self.put_version(&mut writing, &mut secret, version, keep, now)?;
                changed.push(secret.clone());
            }
            secrets.push(secret);
        }
        if !changed.is_empty() {
            self.commit(writing, |index| changed.into_iter().for_each(|secret| index.secrets.put(secret)))?;
        }
        Ok(secrets)
    }

    /// Makes the value of version `to` (none: of the one before the current) the current one again, as a version of its own:
    /// history only ever grows at its end.
    ///
    /// # Errors
    /// [`CatalogError::NoVersion`] when that version is not kept or is the current one; otherwise as
    /// [`Catalog::update_secret`].
    pub fn roll_back_secret(
        &self,
        reference: &str,
        to: Option<u64>,
        keep: usize,
        now: Timestamp,
    ) -> Result<SecretInfo, CatalogError> {
        let _turn = self.turn();
        let mut secret = self.secret(reference)?;
        let earlier = secret.versions.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let wanted = match to {
            Some(number) => earlier.iter().find(|version| version.number == number),
            None => earlier.last(),
        };
        let from = wanted.ok_or_else(|| CatalogError::NoVersion { secret: secret.name.clone(), number: to })?;
        let version = SecretVersion { number: next(&secret), size: from.size, created: now, from: Some(from.number) };
        let found = self.read().version(&secret, from.number)?;
        let records = self.fetch(&found)?;
        let mut writing = self.begin(|_| Ok(()))?;
        let data_key = version_key(Kind::DataKey, &secret.id, version.number);
        let sealed = version_key(Kind::Value, &secret.id, version.number);
        let (wrapped, value) = reseal_value(
            &self.ledger.keys,
            &found.sealed(&records),
            data_key.as_bytes(),
            sealed.as_bytes(),
            writing.serial(),
        )?;
        writing.put(data_key, wrapped);
        writing.put(sealed, value);
        self.put_version(&mut writing, &mut secret, version, keep, now)?;
        self.commit(writing, |index| index.secrets.put(secret.clone()))?;
        Ok(secret)
    }

    /// Makes `version`, whose records are in `writing`, the current one, and erases those that are too many by then.
    fn put_version(
        &self,
        writing: &mut Writing,
        secret: &mut SecretInfo,
        version: SecretVersion,
        keep: usize,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        secret.versions.push(version);
        let surplus = secret.versions.len().saturating_sub(keep.max(1));
        for old in secret.versions.drain(..surplus) {
            writing.erase(version_key(Kind::DataKey, &secret.id, old.number));
            writing.erase(version_key(Kind::Value, &secret.id, old.number));
        }
        secret.updated = now;
        secret.index = writing.serial();
        Ok(self.ledger.describe_secret(writing, secret)?)
    }
}

fn next(secret: &SecretInfo) -> u64 {
    secret.current().map_or(1, |version| version.number + 1)
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
