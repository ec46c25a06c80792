//! The manifest: which records the store has, as one number for each kind, so that a record that was deleted, added or
//! rolled back shows. It is sealed and rewritten in the commit that changes a record.
//!
//! A record's print is HMAC-SHA-256(state key, key length | key | SHA-256(record)); a set's hash is the exclusive or of its
//! members' prints. The key is secret and so is every hash (it stands only inside the sealed manifest), which is what the
//! exclusive or needs: without them nobody can choose records whose prints cancel out.
//!
//! Not promised: a store whose records, manifest included, are *all* put back to one earlier moment is valid again. Only an
//! anchor outside the records can tell: see `store::redb`.

use super::cipher::{hmac_sha256, sha256};
use super::error::{Fault, SealError};
use super::keys::Keys;
use super::record::{Kind, Place, claimed_serial, open_into, plain_len, seal_buffer};

/// What one record adds to the hash of its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print([u8; 32]);

impl Print {
    /// The print of `record` at `key`.
    pub fn of(keys: &Keys, key: &[u8], record: &[u8]) -> Self {
        let length = (key.len() as u64).to_be_bytes();
        Self(hmac_sha256(keys.state(), &[&length, key, &sha256(&[record])]))
    }
}

/// How many records of one kind there are, and the exclusive or of their prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordSet {
    count: u64,
    hash: [u8; 32],
}

impl RecordSet {
    /// Adds a record.
    pub fn add(&mut self, print: &Print) {
        self.count = self.count.wrapping_add(1);
        self.toggle(print);
    }

    /// Takes a record away that was added before.
    pub fn remove(&mut self, print: &Print) {
        self.count = self.count.wrapping_sub(1);
        self.toggle(print);
    }

    fn toggle(&mut self, print: &Print) {
        for (byte, other) in self.hash.iter_mut().zip(print.0) {
            *byte ^= other;
        }
    }
}

const SET_BYTES: usize = 8 + 32;
const LENGTH: usize = Kind::COUNTED.len() * SET_BYTES;

/// The generation of the store and the set of its records, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Goes up by one with each commit: Docker's `Version.Index`, and the serial of every record that the commit writes.
    pub generation: u64,
    /// In the order of [`Kind::COUNTED`].
    sets: [RecordSet; Kind::COUNTED.len()],
}

impl Manifest {
    /// The key of the record.
    pub const KEY: &'static [u8] = b"M";

    /// The set of `kind`, to change; `None` for a kind that is not counted.
    pub fn set_mut(&mut self, kind: Kind) -> Option<&mut RecordSet> {
        let position = Kind::COUNTED.iter().position(|counted| *counted == kind)?;
        self.sets.get_mut(position)
    }

    /// Holds what was found in the store (`found`, of any generation) against what was written.
    ///
    /// # Errors
    /// [`SealError::Damaged`] with the first kind that differs: fewer, more, or other records than were written.
    pub fn verify(&self, found: &Manifest) -> Result<(), SealError> {
        for ((kind, written), found) in Kind::COUNTED.into_iter().zip(&self.sets).zip(&found.sets) {
            let fault = match found.count.cmp(&written.count) {
                std::cmp::Ordering::Less => Fault::Missing,
                std::cmp::Ordering::Greater => Fault::Unexpected,
                std::cmp::Ordering::Equal if found.hash == written.hash => continue,
                // A description that opens under the metadata key is one that we wrote: an older one. Values and their
                // keys are written once, so another one there is no older one.
                std::cmp::Ordering::Equal if matches!(kind, Kind::Secret | Kind::Service) => Fault::RolledBack,
                std::cmp::Ordering::Equal => Fault::Altered,
            };
            return Err(SealError::Damaged { kind, fault });
        }
        Ok(())
    }

    /// Seals the manifest; its generation is the record's serial.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, keys: &Keys) -> Result<Vec<u8>, SealError> {
        let mut plain = self.plain();
        seal_buffer(keys.metadata(), &keys.store, self.place(), &mut plain)
    }

    /// Opens a manifest.
    ///
    /// # Errors
    /// [`SealError::Damaged`].
    pub fn open(keys: &Keys, record: &[u8]) -> Result<Self, SealError> {
        let mut manifest = Self { generation: claimed_serial(Kind::Manifest, record)?, ..Self::default() };
        let place = manifest.place();
        if plain_len(place, record)? != LENGTH {
            return Err(place.fault(Fault::Altered));
        }
        let mut plain = [0; LENGTH];
        open_into(keys.metadata(), &keys.store, place, record, &mut plain)?;
        for (set, bytes) in manifest.sets.iter_mut().zip(plain.as_chunks::<SET_BYTES>().0) {
            let (count, hash) = bytes.split_at(8);
            set.count = count.iter().fold(0, |count, byte| (count << 8) | u64::from(*byte));
            set.hash.copy_from_slice(hash);
        }
        Ok(manifest)
    }

    pub(super) fn place(&self) -> Place<'static> {
        Place { kind: Kind::Manifest, key: Self::KEY, serial: self.generation }
    }

    pub(super) fn plain(&self) -> Vec<u8> {
        self.sets.iter().flat_map(|set| set.count.to_be_bytes().into_iter().chain(set.hash)).collect()
    }
}
