//! Making, relabelling and removing secrets.

use super::error::CatalogError;
use super::ledger::{Ledger, Writing, key, version_key};
use super::{Catalog, Index};
use crate::model::{Labels, SecretInfo, SecretName, SecretVersion, Timestamp};
use crate::seal::{Kind, Place, SealError, new_id, seal_metadata, seal_value};
use crate::secret::{MAX_VALUE, SecretBytes};

impl Catalog {
    /// Seals and stores a new secret; when this returns, it survives a crash.
    ///
    /// # Errors
    /// [`Status::Invalid`] when the value has not 1 to 511,999 bytes, [`Status::Conflict`] when the name is taken (without
    /// case), [`Status::Store`], [`Status::Corrupt`]. After an error nothing was stored.
    ///
    /// [`Status::Invalid`]: super::Status::Invalid
    /// [`Status::Conflict`]: super::Status::Conflict
    /// [`Status::Store`]: super::Status::Store
    /// [`Status::Corrupt`]: super::Status::Corrupt
    pub fn create_secret(
        &self,
        name: SecretName,
        labels: Labels,
        value: SecretBytes,
        now: Timestamp,
    ) -> Result<SecretInfo, CatalogError> {
        if !(1..=MAX_VALUE).contains(&value.len()) {
            return Err(CatalogError::Size);
        }
        let _turn = self.turn();
        let mut writing = self.begin(|index| index.secrets.vacant(name.as_str()))?;
        let index = writing.serial();
        let first = SecretVersion { number: 1, size: value.len(), created: now, from: None };
        let secret =
            SecretInfo { id: new_id()?, name, labels, versions: vec![first], created: now, updated: now, index };
        let (data_key, sealed) = (version_key(Kind::DataKey, &secret.id, 1), version_key(Kind::Value, &secret.id, 1));
        let (wrapped, value) = seal_value(&self.ledger.keys, data_key.as_bytes(), sealed.as_bytes(), index, value)?;
        writing.put(data_key, wrapped);
        writing.put(sealed, value);
        self.ledger.describe_secret(&mut writing, &secret)?;
        self.commit(writing, |index| index.secrets.put(secret.clone()))?;
        Ok(secret)
    }

    /// Replaces the labels of a secret: all that Docker's API can change. The same name and the same data are accepted.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Ambiguous`]; [`Status::Invalid`] when `name` or `data` differ (compared in a time
    /// that depends on the lengths only); [`Status::OutOfSequence`] when `index` is not the current one.
    ///
    /// [`Status::NotFound`]: super::Status::NotFound
    /// [`Status::Ambiguous`]: super::Status::Ambiguous
    /// [`Status::Invalid`]: super::Status::Invalid
    /// [`Status::OutOfSequence`]: super::Status::OutOfSequence
    pub fn relabel_secret(
        &self,
        reference: &str,
        index: u64,
        name: Option<&str>,
        labels: Labels,
        data: Option<&SecretBytes>,
        now: Timestamp,
    ) -> Result<SecretInfo, CatalogError> {
        let _turn = self.turn();
        let mut secret = self.secret(reference)?;
        let same_data = match data.filter(|data| !data.is_empty()) {
            Some(data) => self.holds(&secret, data)?,
            None => true,
        };
        if name.is_some_and(|name| name != secret.name.as_str()) || !same_data {
            return Err(CatalogError::LabelsOnly);
        }
        if index != secret.index {
            return Err(CatalogError::OutOfSequence);
        }
        let mut writing = self.begin(|_| Ok(()))?;
        secret.labels = labels;
        secret.updated = now;
        secret.index = writing.serial();
        self.ledger.describe_secret(&mut writing, &secret)?;
        self.commit(writing, |index| index.secrets.put(secret.clone()))?;
        Ok(secret)
    }

    /// Removes a secret: its data keys and values are erased from the store (see `store::redb` for what that means).
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Ambiguous`], [`Status::InUse`] while a service grants it, [`Status::Store`].
    ///
    /// [`Status::NotFound`]: super::Status::NotFound
    /// [`Status::Ambiguous`]: super::Status::Ambiguous
    /// [`Status::InUse`]: super::Status::InUse
    /// [`Status::Store`]: super::Status::Store
    pub fn remove_secret(&self, reference: &str) -> Result<SecretInfo, CatalogError> {
        let _turn = self.turn();
        let secret = self.secret(reference)?;
        let mut writing = self.begin(|index| match index.users_of(&secret.name) {
            services if services.is_empty() => Ok(()),
            services => Err(CatalogError::InUse { secret: secret.name.clone(), services }),
        })?;
        self.ledger.forget_secret(&mut writing, &secret);
        self.commit(writing, |index| index.secrets.take(&secret.id))?;
        Ok(secret)
    }

    /// Removes every secret that no service grants, in one commit, and says which.
    ///
    /// # Errors
    /// [`Status::Store`](super::Status::Store); nothing was removed then.
    pub fn prune_secrets(&self) -> Result<Vec<SecretInfo>, CatalogError> {
        let _turn = self.turn();
        let mut unused = Vec::new();
        let mut writing = self.begin(|index| {
            let free = |secret: &&SecretInfo| index.users_of(&secret.name).is_empty();
            unused.extend(index.secrets.by_name().filter(free).cloned());
            Ok(())
        })?;
        if unused.is_empty() {
            return Ok(unused);
        }
        for secret in &unused {
            self.ledger.forget_secret(&mut writing, secret);
        }
        self.commit(writing, |index| unused.iter().for_each(|secret| index.secrets.take(&secret.id)))?;
        Ok(unused)
    }

    /// A commit that starts from now, if `check` finds nothing against it. The caller has the turn.
    pub(super) fn begin(
        &self,
        check: impl FnOnce(&Index) -> Result<(), CatalogError>,
    ) -> Result<Writing, CatalogError> {
        let index = self.read();
        check(&index)?;
        Ok(Writing::begin(&index.written))
    }
}

impl Ledger {
    pub(super) fn describe_secret(&self, writing: &mut Writing, secret: &SecretInfo) -> Result<(), SealError> {
        let at = key(&self.keys.name_key(Kind::Secret, &secret.name.folded()));
        let place = Place { kind: Kind::Secret, key: at.as_bytes(), serial: writing.serial() };
        let record = seal_metadata(&self.keys, place, secret)?;
        writing.put(at, record);
        Ok(())
    }

    fn forget_secret(&self, writing: &mut Writing, secret: &SecretInfo) {
        for version in &secret.versions {
            writing.erase(version_key(Kind::DataKey, &secret.id, version.number));
            writing.erase(version_key(Kind::Value, &secret.id, version.number));
        }
        writing.erase(key(&self.keys.name_key(Kind::Secret, &secret.name.folded())));
    }
}
