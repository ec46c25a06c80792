//! Records in memory: for tests, and for agents that are told everything anew at each start. Nothing survives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::watch::Watchers;
use super::{Batch, Change, Condition, Key, Revision, Store, StoreError, Stored, Visit, Watch};

/// A store without a file.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    watchers: Watchers,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Stored>,
    revision: u64,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        Ok(self.lock().records.get(key).cloned())
    }

    fn list(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let state = self.lock();
        let from = Key(prefix.to_vec());
        let records = state.records.range((Bound::Included(&from), Bound::Unbounded));
        for (key, stored) in records.take_while(|(key, _)| key.as_bytes().starts_with(prefix)) {
            visit(key, &stored.record, stored.revision)?;
        }
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> Result<Revision, StoreError> {
        batch.check()?;
        let mut state = self.lock();
        for condition in &batch.conditions {
            let (key, holds) = match condition {
                Condition::Absent(key) => (key, !state.records.contains_key(key)),
                Condition::At(key, revision) => (key, state.records.get(key).is_some_and(|r| r.revision == *revision)),
            };
            if !holds {
                return Err(StoreError::Conflict(key.clone()));
            }
        }
        state.revision += 1;
        let revision = Revision(state.revision);
        for change in &batch.changes {
            match change {
                Change::Put(key, record) => {
                    state.records.insert(key.clone(), Stored { record: record.clone(), revision });
                }
                Change::Delete(key) | Change::Erase(key) => {
                    state.records.remove(key);
                }
            }
        }
        // Under the lock, so that watchers hear of commits in their order.
        self.watchers.tell(&batch.changes, revision);
        Ok(revision)
    }

    fn watch(&self, prefix: &[u8]) -> Result<Watch, StoreError> {
        Ok(self.watchers.add(prefix))
    }
}
