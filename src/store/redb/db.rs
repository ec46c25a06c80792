//! The redb file itself: one table of records, one of numbers. It knows neither the anchor nor the erasing.

use std::io;
use std::path::{Path, PathBuf};

use ::redb::backends::InMemoryBackend;
use ::redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition,
};

use super::super::{Batch, Change, Condition, Key, Revision, StoreError, Stored, Visit};
use crate::sys::here::file::open_private;

/// Key to `revision (8) | record`.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";
/// Bytes of sealed pages that redb may keep in memory.
const CACHE: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
    /// Not a copy in memory.
    writable: bool,
    db: Database,
}

impl Db {
    /// Makes an empty file with revision 0.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        open_private(path).map_err(|cause| StoreError::Io { doing: "make", path: path.to_owned(), cause })?;
        let db = Builder::new().set_cache_size(CACHE).create(path).map_err(|error| opening(path, error))?;
        let new = Self { path: path.to_owned(), file: identity(path)?, writable: true, db };
        new.apply(&Batch::default(), Revision(0))?;
        Ok(new)
    }

    /// Opens a file and verifies the checksum of each of its pages.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let db = builder.open(path).map_err(|error| opening(path, error))?;
        Ok(Self { path: path.to_owned(), file: identity(path)?, writable: true, db })
    }

    /// A copy of the file in memory, to read from while the file itself cannot be opened, because that may have to write.
    pub(super) fn copy(path: &Path) -> Result<Self, StoreError> {
        let failed = |doing| move |cause| StoreError::Io { doing, path: path.to_owned(), cause };
        let bytes = std::fs::read(path).map_err(failed("read"))?;
        let memory = InMemoryBackend::new();
        let filled = memory.set_len(bytes.len() as u64).and_then(|()| memory.write(0, &bytes));
        filled.map_err(failed("copy"))?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let db = builder.create_with_backend(memory).map_err(|error| opening(path, error))?;
        Ok(Self { path: path.to_owned(), file: identity(path)?, writable: false, db })
    }

    /// Whether it is the file itself.
    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// The same database under another name of its file.
    pub(super) fn renamed(self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Refuses where the file has been removed, or another one put in its place: a commit to it would be lost with the
    /// process.
    pub(super) fn is_in_place(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(found) if found == self.file => Ok(()),
            _ => Err(StoreError::Removed { path: self.path.clone() }),
        }
    }

    pub(super) fn revision(&self) -> Result<Revision, StoreError> {
        let work = || {
            let table = self.db.begin_read()?.open_table(NUMBERS)?;
            Ok(table.get(REVISION)?.map(|number| Revision(number.value())))
        };
        work().map_err(|error| self.failed("read", error))?.ok_or_else(|| self.damaged("it has no revision"))
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let work = || {
            let table = self.db.begin_read()?.open_table(RECORDS)?;
            Ok(table.get(key.as_bytes())?.map(|value| value.value().to_vec()))
        };
        let Some(mut value) = work().map_err(|error| self.failed("read", error))? else { return Ok(None) };
        let (revision, _) = self.split(&value)?;
        value.drain(..8);
        Ok(Some(Stored { record: value, revision }))
    }

    pub(super) fn list(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let start = || Ok(self.db.begin_read()?.open_table(RECORDS)?.range(prefix..)?);
        for entry in start().map_err(|error| self.failed("read", error))? {
            let (key, value) = entry.map_err(|error| self.failed("read", error.into()))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            let (revision, record) = self.split(value.value())?;
            let key = Key::new(key.value()).ok_or_else(|| self.damaged("a key has no bytes or too many"))?;
            visit(&key, record, revision)?;
        }
        Ok(())
    }

    pub(super) fn check(&self, conditions: &[Condition]) -> Result<(), StoreError> {
        for condition in conditions {
            let (key, holds) = match condition {
                Condition::Absent(key) => (key, self.get(key)?.is_none()),
                Condition::At(key, revision) => (key, self.get(key)?.is_some_and(|found| found.revision == *revision)),
            };
            if !holds {
                return Err(StoreError::Conflict(key.clone()));
            }
        }
        Ok(())
    }

    /// Commits the changes as `revision`, durably. Conditions are the caller's to check.
    pub(super) fn apply(&self, batch: &Batch, revision: Revision) -> Result<(), StoreError> {
        let work = || {
            let write = self.db.begin_write()?;
            {
                let mut records = write.open_table(RECORDS)?;
                for change in &batch.changes {
                    match change {
                        Change::Put(key, record) => {
                            records.insert(key.as_bytes(), joined(revision, record).as_slice())?;
                        }
                        Change::Delete(key) | Change::Erase(key) => {
                            records.remove(key.as_bytes())?;
                        }
                    }
                }
                write.open_table(NUMBERS)?.insert(REVISION, revision.0)?;
            }
            Ok(write.commit()?)
        };
        work().map_err(|error| self.failed("write", error))
    }

    /// Copies every record of `source` but those in `batch`, then makes the changes, in one durable commit.
    pub(super) fn fill_from(&self, source: &Db, batch: &Batch, revision: Revision) -> Result<(), StoreError> {
        let work = || {
            let write = self.db.begin_write()?;
            {
                let old = source.db.begin_read()?.open_table(RECORDS)?;
                let mut records = write.open_table(RECORDS)?;
                for entry in old.iter()? {
                    let (key, value) = entry?;
                    if !batch.changes.iter().any(|change| change.key().as_bytes() == key.value()) {
                        records.insert(key.value(), value.value())?;
                    }
                }
                for change in &batch.changes {
                    if let Change::Put(key, record) = change {
                        records.insert(key.as_bytes(), joined(revision, record).as_slice())?;
                    }
                }
                write.open_table(NUMBERS)?.insert(REVISION, revision.0)?;
            }
            Ok(write.commit()?)
        };
        work().map_err(|error| self.failed("write", error))
    }

    fn split<'a>(&self, value: &'a [u8]) -> Result<(Revision, &'a [u8]), StoreError> {
        let (revision, record) = value.split_first_chunk().ok_or_else(|| self.damaged("a record has no revision"))?;
        Ok((Revision(u64::from_be_bytes(*revision)), record))
    }

    fn damaged(&self, cause: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), cause: cause.to_owned() }
    }

    fn failed(&self, doing: &'static str, error: ::redb::Error) -> StoreError {
        match error {
            ::redb::Error::Io(cause) if cause.kind() != io::ErrorKind::InvalidData => {
                StoreError::Io { doing, path: self.path.clone(), cause }
            }
            // Not damage: redb answers so from its first I/O error on, until it is opened anew.
            ::redb::Error::PreviousIo => {
                let cause = io::Error::other("an earlier read or write failed; restart the agent");
                StoreError::Io { doing, path: self.path.clone(), cause }
            }
            other => StoreError::Damaged { path: self.path.clone(), cause: other.to_string() },
        }
    }
}

fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    let absent = || StoreError::Io { doing: "look at", path: path.to_owned(), cause: io::ErrorKind::NotFound.into() };
    crate::sys::here::file::identity(path).ok_or_else(absent)
}

fn joined(revision: Revision, record: &[u8]) -> Vec<u8> {
    [&revision.0.to_be_bytes()[..], record].concat()
}

fn opening(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
        DatabaseError::Storage(StorageError::Io(cause)) if cause.kind() != io::ErrorKind::InvalidData => {
            StoreError::Io { doing: "open", path: path.to_owned(), cause }
        }
        other => StoreError::Damaged { path: path.to_owned(), cause: other.to_string() },
    }
}
