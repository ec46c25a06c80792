//! The catalog: the agent's index over the sealed store. It holds names, labels and grants in memory and no value, ever; a
//! value is opened for one delivery and given away. It decides nothing about peers: opening demands an
//! [`Authorized`](crate::policy::Authorized).
//!
//! Writers take turns: conditions, sealing and the commit happen under one lock, the index changes after the commit is
//! durable. Readers never wait for a commit. What the store gives is held against what was written, at open and on each read.

mod change;
mod error;
mod index;
mod ledger;
mod open;
mod secrets;
mod services;
mod versions;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::index::Index;
use self::ledger::{Ledger, Writing};
use crate::model::{SecretInfo, Service};
use crate::seal::RootKey;
use crate::store::Store;

pub use self::versions::New as NewValue;
pub use change::{NewService, ServiceChange};
pub use error::{CatalogError, Sort, Status};

/// All secrets and services of one store. Calls block (on the disk, and on other writers); they may come from several threads.
pub struct Catalog {
    ledger: Ledger,
    index: RwLock<Index>,
    writer: Mutex<()>,
}

impl Catalog {
    /// Opens the catalog in `store`, or begins one in an empty store. Every record is verified; no value is decrypted.
    ///
    /// # Errors
    /// [`Status::Corrupt`] when a record was altered, swapped, rolled back, deleted or added, or the root key is another
    /// one; [`Status::Store`].
    pub fn open(store: Arc<dyn Store>, root: RootKey) -> Result<Catalog, CatalogError> {
        let ledger = Ledger::open(store, &root)?;
        let index = ledger.load()?;
        Ok(Self { ledger, index: RwLock::new(index), writer: Mutex::new(()) })
    }

    /// The secret that `reference` names: a full id, else a full name, else the beginning of one id.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Ambiguous`].
    pub fn secret(&self, reference: &str) -> Result<SecretInfo, CatalogError> {
        self.read().secrets.find(reference).cloned()
    }

    /// All secrets, by name.
    pub fn secrets(&self) -> Vec<SecretInfo> {
        self.read().secrets.by_name().cloned().collect()
    }

    /// The service that `reference` names: as for secrets.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Ambiguous`].
    pub fn service(&self, reference: &str) -> Result<Service, CatalogError> {
        self.read().services.find(reference).cloned()
    }

    /// All services, by name.
    pub fn services(&self) -> Vec<Service> {
        self.read().services.by_name().cloned().collect()
    }

    /// The turn to write.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index as it is now. Whoever has the turn may read it, drop this, and rely on what was read.
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits `writing` durably, then lets `apply` change the index. The caller has the turn.
    fn commit<T>(&self, writing: Writing, apply: impl FnOnce(&mut Index) -> T) -> Result<T, CatalogError> {
        let written = self.ledger.commit(writing)?;
        let mut index: RwLockWriteGuard<'_, Index> = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.written = written;
        Ok(apply(&mut index))
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
