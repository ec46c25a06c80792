//! The sealed records of one store as a whole: what was written, against which everything that is read is held.
//!
//! Every commit rewrites the manifest under the condition that it is still the one that was read, so two writers can never
//! mix. The expectation in memory (serial and print of each record) makes a record that is put back while the agent runs show
//! on the next read.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::CatalogError;
use super::index::Index;
use crate::model::{Id, SecretInfo, Service};
use crate::seal::{
    Fault, Keys, Kind, Manifest, Print, RootKey, SealError, StoreHeader, open_metadata, verify_data_key,
};
use crate::store::{Batch, Change, Condition, Key, Revision, Store, StoreError, Stored};

/// What the record at a key must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) serial: u64,
    print: Print,
}

/// What the store must hold: one moment of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) manifest: Manifest,
    revision: Revision,
    records: Arc<HashMap<Key, Expected>>,
}

impl Written {
    /// What must stand at `key`; nothing for a key that was not written.
    pub(super) fn expected(&self, key: &Key) -> Option<Expected> {
        self.records.get(key).copied()
    }
}

/// A commit in the making: it starts from one moment of the store, and everything in it has the serial that follows.
pub(super) struct Writing {
    from: Written,
    changes: Vec<Change>,
}

impl Writing {
    pub(super) fn begin(from: &Written) -> Self {
        Self { from: from.clone(), changes: Vec::new() }
    }

    /// The generation that this commit makes.
    pub(super) fn serial(&self) -> u64 {
        self.from.manifest.generation + 1
    }

    pub(super) fn put(&mut self, key: Key, record: Vec<u8>) {
        self.changes.push(Change::Put(key, record));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.changes.push(Change::Delete(key));
    }

    pub(super) fn erase(&mut self, key: Key) {
        self.changes.push(Change::Erase(key));
    }
}

/// The store and its keys.
pub(super) struct Ledger {
    store: Arc<dyn Store>,
    pub(super) keys: Keys,
}

impl Ledger {
    /// Reads the header and derives the keys, or begins a new ledger in an empty store.
    pub(super) fn open(store: Arc<dyn Store>, root: &RootKey) -> Result<Self, CatalogError> {
        let header = key(StoreHeader::KEY);
        if let Some(found) = store.get(&header)? {
            let keys = StoreHeader::open(root, &found.record)?;
            return Ok(Self { store, keys });
        }
        let mut empty = true;
        store.list(&[], &mut |_, _, _| {
            empty = false;
            Ok(())
        })?;
        if !empty {
            return Err(CatalogError::damaged(Kind::Header, Fault::Missing));
        }
        let (record, keys) = StoreHeader::create(root)?;
        let manifest = Manifest::default().seal(&keys)?;
        let manifest_key = key(Manifest::KEY);
        store.commit(&Batch {
            conditions: vec![Condition::Absent(header.clone()), Condition::Absent(manifest_key.clone())],
            changes: vec![Change::Put(header, record), Change::Put(manifest_key, manifest)],
        })?;
        Ok(Self { store, keys })
    }

    /// Reads and verifies every record, and makes the index of them.
    pub(super) fn load(&self) -> Result<Index, CatalogError> {
        let missing = CatalogError::damaged(Kind::Manifest, Fault::Missing);
        let stored = self.store.get(&key(Manifest::KEY))?.ok_or(missing)?;
        let mut reading = Reading {
            keys: &self.keys,
            index: Index::new(Written::default()),
            found: Manifest::default(),
            records: HashMap::new(),
            failure: None,
        };
        let listed = self.store.list(&[], &mut |key, record, _| match reading.take(key, record) {
            Ok(()) => Ok(()),
            Err(error) => {
                reading.failure = Some(error);
                Err(StoreError::Stopped)
            }
        });
        if let Some(failure) = reading.failure {
            return Err(failure.into());
        }
        listed?;
        let manifest = Manifest::open(&self.keys, &stored.record)?;
        manifest.verify(&reading.found)?;
        let mut index = reading.index;
        index.written = Written { manifest, revision: stored.revision, records: Arc::new(reading.records) };
        Ok(index)
    }

    /// The record at `key`, verified to be `expected`; `None` when it is gone.
    pub(super) fn fetch(&self, kind: Kind, key: &Key, expected: &Expected) -> Result<Option<Vec<u8>>, CatalogError> {
        let Some(Stored { record, .. }) = self.store.get(key)? else { return Ok(None) };
        if Print::of(&self.keys, key.as_bytes(), &record) == expected.print {
            Ok(Some(record))
        } else {
            Err(CatalogError::damaged(kind, Fault::Altered))
        }
    }

    /// Commits `writing` durably, with the manifest that it makes.
    pub(super) fn commit(&self, writing: Writing) -> Result<Written, CatalogError> {
        let serial = writing.serial();
        let Writing { from, changes } = writing;
        let Written { mut manifest, revision, records } = from;
        let mut records = Arc::unwrap_or_clone(records);
        manifest.generation = serial;
        let manifest_key = key(Manifest::KEY);
        let mut batch = Batch { conditions: vec![Condition::At(manifest_key.clone(), revision)], changes };
        for change in &batch.changes {
            let set = Kind::of_key(change.key().as_bytes()).and_then(|kind| manifest.set_mut(kind));
            let set = set.expect("the catalog writes counted kinds only");
            let before = match change {
                Change::Put(key, record) => {
                    let print = Print::of(&self.keys, key.as_bytes(), record);
                    set.add(&print);
                    records.insert(key.clone(), Expected { serial, print })
                }
                Change::Delete(key) | Change::Erase(key) => records.remove(key),
            };
            match (&before, change) {
                (Some(before), _) => set.remove(&before.print),
                (None, change) => batch.conditions.push(Condition::Absent(change.key().clone())),
            }
        }
        let sealed = manifest.seal(&self.keys)?;
        batch.changes.push(Change::Put(manifest_key.clone(), sealed.clone()));
        let revision = match self.store.commit(&batch) {
            Err(StoreError::Uncertain { path, cause }) => {
                // What the store holds now decides: the very manifest of this commit, or not.
                let found = self.store.get(&manifest_key)?.filter(|found| found.record == sealed);
                found.ok_or(StoreError::Uncertain { path, cause })?.revision
            }
            committed => committed?,
        };
        Ok(Written { manifest, revision, records: Arc::new(records) })
    }
}

/// The reading of a whole store.
struct Reading<'a> {
    keys: &'a Keys,
    index: Index,
    found: Manifest,
    records: HashMap<Key, Expected>,
    failure: Option<SealError>,
}

impl Reading<'_> {
    fn take(&mut self, key: &Key, record: &[u8]) -> Result<(), SealError> {
        let bytes = key.as_bytes();
        let unexpected = |kind| SealError::Damaged { kind, fault: Fault::Unexpected };
        let kind = Kind::of_key(bytes).ok_or(unexpected(Kind::Manifest))?;
        let named_otherwise = SealError::Damaged { kind, fault: Fault::Altered };
        let serial = match kind {
            Kind::Header | Kind::Manifest if bytes.len() == 1 => return Ok(()),
            Kind::Header | Kind::Manifest => return Err(unexpected(kind)),
            Kind::Secret => {
                let (serial, secret) = open_metadata::<SecretInfo>(self.keys, kind, bytes, record)?;
                if self.keys.name_key(kind, &secret.name.folded()) != bytes {
                    return Err(named_otherwise);
                }
                self.index.secrets.put(secret);
                serial
            }
            Kind::Service => {
                let (serial, service) = open_metadata::<Service>(self.keys, kind, bytes, record)?;
                if self.keys.name_key(kind, &service.name.folded()) != bytes {
                    return Err(named_otherwise);
                }
                self.index.services.put(service);
                serial
            }
            Kind::DataKey => verify_data_key(self.keys, bytes, record)?,
            // Decrypted only when it is delivered; its print is held against the manifest like any other.
            Kind::Value => crate::seal::claimed_serial(kind, record)?,
        };
        let print = Print::of(self.keys, bytes, record);
        self.found.set_mut(kind).ok_or(unexpected(kind))?.add(&print);
        self.records.insert(key.clone(), Expected { serial, print });
        Ok(())
    }
}

/// The key of a record of one secret's version: the kind, the id, the version. Ids are random, so it reveals nothing.
pub(super) fn version_key(kind: Kind, id: &Id, version: u64) -> Key {
    key(&[&[kind.byte()][..], id.as_str().as_bytes(), &version.to_be_bytes()].concat())
}

/// A key whose length is known to fit.
pub(super) fn key(bytes: &[u8]) -> Key {
    Key::new(bytes).expect("the catalog's keys have 1 to 34 bytes")
}
