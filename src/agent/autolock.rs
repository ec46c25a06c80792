//! The lock on the catalog. With autolock the machine has the root key only wrapped under an unlock key that it does not
//! keep: an agent that starts is locked, answers nothing about secrets, delivers nothing, and waits for the unlock key.
//!
//! Turning it on has two steps, so that nobody loses a store to a terminal that closed too early: [`Autolock::enable`]
//! gives out a new unlock key and writes the wrapped root key; only when that unlock key has been given back once
//! ([`Autolock::unlock`]) is the root key in clear removed.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::catalog::{Catalog, CatalogError};
use super::rootkey::{self, Found, KeyFiles, RootKeyError};
use crate::seal::{RootKey, SealError, UnlockKey, unwrap_root_key, wrap_root_key};
use crate::secret::SecretBytes;
use crate::store::Store;

/// The catalog behind its lock.
pub struct Autolock {
    key_file: PathBuf,
    store: Arc<dyn Store>,
    catalog: RwLock<Option<Arc<Catalog>>>,
    /// One change of the lock at a time.
    turn: Mutex<()>,
}

/// The agent is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked;

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the agent is locked and needs to be unlocked before it can be used; use `runsecrets unlock`")
    }
}

impl std::error::Error for Locked {}

/// What giving the unlock key has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlocked {
    /// The agent was locked, and serves now.
    Opened,
    /// Autolock was being turned on, and is on now.
    Confirmed,
    /// Nothing: the agent was not locked.
    WasOpen,
}

/// Why the lock could not be changed.
#[derive(Debug)]
pub enum AutolockError {
    /// The agent is locked.
    Locked(Locked),
    /// The text is no unlock key, or not the right one.
    InvalidKey,
    /// There is no autolock to turn off.
    NotOn,
    /// The key files.
    RootKey(RootKeyError),
    /// The cipher, or locked memory.
    Seal(SealError),
    /// The store, under the key that was unlocked.
    Catalog(CatalogError),
}

impl fmt::Display for AutolockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(locked) => locked.fmt(f),
            Self::InvalidKey => SealError::WrongUnlockKey.fmt(f),
            Self::NotOn => f.write_str("autolock is not on; `runsecrets autolock on` turns it on"),
            Self::RootKey(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Catalog(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AutolockError {}

impl From<RootKeyError> for AutolockError {
    fn from(error: RootKeyError) -> Self {
        Self::RootKey(error)
    }
}

impl From<SealError> for AutolockError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::WrongUnlockKey => Self::InvalidKey,
            other => Self::Seal(other),
        }
    }
}

impl From<CatalogError> for AutolockError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl Autolock {
    /// Opens the catalog in `store`, or stays locked, by what was `found` for the root key of `key_file`.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub fn open(key_file: PathBuf, found: Found, store: Arc<dyn Store>) -> Result<Self, CatalogError> {
        let catalog = match found {
            Found::Key(key) => Some(Arc::new(Catalog::open(store.clone(), key)?)),
            Found::Locked(_) => None,
        };
        Ok(Self { key_file, store, catalog: RwLock::new(catalog), turn: Mutex::new(()) })
    }

    /// The catalog.
    ///
    /// # Errors
    /// [`Locked`].
    pub fn catalog(&self) -> Result<Arc<Catalog>, Locked> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Locked)
    }

    /// The files of the root key, as they stand now; looks at the disk, and into none of them.
    pub fn key_files(&self) -> KeyFiles {
        KeyFiles::of(&self.key_file)
    }

    /// Opens a locked agent, or confirms that autolock is to be on; blocks.
    ///
    /// # Errors
    /// See [`AutolockError`]; nothing has changed then.
    pub fn unlock(&self, key: &SecretBytes) -> Result<Unlocked, AutolockError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wrapped) = rootkey::read_wrapped(&self.key_file)? else { return Ok(Unlocked::WasOpen) };
        let root = unwrapped(&wrapped, key)?;
        if self.catalog().is_err() {
            let catalog = Catalog::open(self.store.clone(), root)?;
            *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(catalog));
            return Ok(Unlocked::Opened);
        }
        if rootkey::load(&self.key_file)?.is_none() {
            return Ok(Unlocked::WasOpen);
        }
        rootkey::remove_clear(&self.key_file)?;
        Ok(Unlocked::Confirmed)
    }

    /// Begins to turn autolock on, or to change its key: the new unlock key, to be shown once. It is on when that key has
    /// been given to [`Autolock::unlock`]; where it was on already, the new key counts from now on.
    ///
    /// # Errors
    /// See [`AutolockError`]; the old state holds then. Where autolock is on, `current` must be its key.
    pub fn enable(&self, current: Option<&SecretBytes>) -> Result<UnlockKey, AutolockError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.catalog().map_err(AutolockError::Locked)?;
        let root = match (rootkey::load(&self.key_file)?, current) {
            (Some(root), _) => root,
            (None, Some(current)) => self.unwrap_with(current)?,
            (None, None) => return Err(AutolockError::InvalidKey),
        };
        let unlock = UnlockKey::generate()?;
        rootkey::write_wrapped(&self.key_file, &wrap_root_key(&root, &unlock)?)?;
        Ok(unlock)
    }

    /// Turns autolock off: the root key stands in clear again. `key` is the unlock key.
    ///
    /// # Errors
    /// See [`AutolockError`]; nothing has changed then.
    pub fn disable(&self, key: &SecretBytes) -> Result<(), AutolockError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.catalog().map_err(AutolockError::Locked)?;
        let root = self.unwrap_with(key)?;
        Ok(rootkey::restore_clear(&self.key_file, &root)?)
    }

    fn unwrap_with(&self, key: &SecretBytes) -> Result<RootKey, AutolockError> {
        let wrapped = rootkey::read_wrapped(&self.key_file)?.ok_or(AutolockError::NotOn)?;
        unwrapped(&wrapped, key)
    }
}

fn unwrapped(wrapped: &[u8], key: &SecretBytes) -> Result<RootKey, AutolockError> {
    let key = UnlockKey::from_text(key).ok_or(AutolockError::InvalidKey)?;
    Ok(unwrap_root_key(wrapped, &key)?)
}
