//! Sealed records in a place that keeps them: one small trait, with compare-and-swap over several keys and a watch. It knows
//! neither plaintext nor keys nor policy: what a record holds is the business of `seal`.
//!
//! The trait asks for nothing that etcd cannot do: a revision for each key, conditions on revisions, one transaction.
#![forbid(unsafe_code)]

mod error;
mod memory;
mod redb;
mod watch;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use redb::RedbStore;
pub use watch::{Event, Watch};

/// The longest key, in bytes.
pub const MAX_KEY: usize = 64;
/// The longest record, in bytes: the largest value and its envelope, and the labels and 250 grants of a service, fit.
pub const MAX_RECORD: usize = 2 * 1024 * 1024;

/// Where a record stands: 1 to [`MAX_KEY`] bytes that reveal nothing (an HMAC, or a random id).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of these bytes; `None` when there are none or more than [`MAX_KEY`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (1..=MAX_KEY).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The number of the commit that last changed something; the first commit is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A record and the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The sealed bytes.
    pub record: Vec<u8>,
    /// The commit that wrote them.
    pub revision: Revision,
}

/// What must hold for a commit to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no record at the key.
    Absent(Key),
    /// The record at the key is the one that this commit wrote.
    At(Key, Revision),
}

/// One change of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record at the key is now this one.
    Put(Key, Vec<u8>),
    /// There is no record at the key any more.
    Delete(Key),
    /// As `Delete`, and when the commit returns no file of the store has the record's bytes.
    Erase(Key),
}

impl Change {
    /// The key that changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) | Self::Erase(key) => key,
        }
    }
}

/// Changes that happen together, if every condition holds, or not at all. No key may stand in two changes.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// All of them happen.
    pub changes: Vec<Change>,
}

impl Batch {
    /// Refuses what no backend takes.
    fn check(&self) -> Result<(), StoreError> {
        let oversized = |change: &Change| match change {
            Change::Put(_, record) if record.len() > MAX_RECORD => Some(record.len()),
            _ => None,
        };
        match self.changes.iter().find_map(oversized) {
            Some(len) => Err(StoreError::TooLong { len }),
            None => Ok(()),
        }
    }
}

/// What [`Store::list`] calls with each key, its record and the commit that wrote it; an error stops the listing.
pub type Visit<'a> = dyn FnMut(&Key, &[u8], Revision) -> Result<(), StoreError> + 'a;

/// A keeper of sealed records. Calls block; they may come from several threads.
pub trait Store: Send + Sync {
    /// The record at `key`.
    ///
    /// # Errors
    /// [`StoreError`] when the backend cannot say.
    fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError>;

    /// Calls `visit` with every record whose key begins with `prefix`, in the order of the keys, as of one moment.
    ///
    /// # Errors
    /// The backend's, or the first one that `visit` returns.
    fn list(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Makes the changes of `batch`, all or none, and returns when they would survive a crash of the machine.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a condition does not hold; after any error but [`StoreError::Uncertain`] nothing changed.
    fn commit(&self, batch: &Batch) -> Result<Revision, StoreError>;

    /// What is committed from now on to keys that begin with `prefix`.
    ///
    /// Memory and redb see the commits that go through this process (nobody else can commit to them).
    ///
    /// # Errors
    /// [`StoreError`] when the backend cannot watch.
    fn watch(&self, prefix: &[u8]) -> Result<Watch, StoreError>;
}
