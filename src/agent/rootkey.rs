//! The root key's file: made once, read at every start, refused when anybody else could have read it.
//! It never replaces a key that a store may depend on, and the key's bytes leave it in locked memory only.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::at_rest;
use super::fault::PathFault;
use super::protected::{self, ProtectionError};
use crate::replace::{Synced, replace};
use crate::seal::{ROOT_KEY_BYTES, RootKey, SealError, WRAPPED_BYTES};
use crate::secret::{SecretBytes, SecretError};
use crate::sys::here::file::{create_read_only, owner_and_mode, sync_dir};

/// Why there is no root key.
#[derive(Debug)]
pub enum RootKeyError {
    /// The file is not protected as it must be.
    Protection(ProtectionError),
    /// The file is not 32 bytes, or is all zeroes.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// There is a store, and the key that it is sealed with is gone.
    Missing {
        /// Where the key should be.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The system refused an operation.
    System(PathFault),
    /// No key could be made.
    Seal(SealError),
    /// No locked memory.
    Memory(SecretError),
}

impl fmt::Display for RootKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protection(error) => write!(f, "root key: {error}"),
            Self::Damaged { path, fault } => write!(
                f,
                "root key: {} {fault}; restore it from your copy (without a store, remove it and a new one is made)",
                path.display()
            ),
            Self::Missing { path, store } => write!(
                f,
                "root key: {} is missing, but the store {} is sealed with it; restore the key from your copy \
                 (a new key cannot open the store, so none is made)",
                path.display(),
                store.display()
            ),
            Self::System(fault) => write!(f, "root key: {fault}"),
            Self::Seal(error) => write!(f, "root key: {error}"),
            Self::Memory(error) => write!(f, "root key: {error}"),
        }
    }
}

impl std::error::Error for RootKeyError {}

impl From<PathFault> for RootKeyError {
    fn from(fault: PathFault) -> Self {
        Self::System(fault)
    }
}

/// What a start finds.
pub enum Found {
    /// The root key.
    Key(RootKey),
    /// The root key wrapped under an unlock key: the agent starts locked.
    Locked(Vec<u8>),
}

/// What the disk has of a root key. Nothing is opened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyFiles {
    /// The file of the key in clear.
    file: PathBuf,
    /// Its inode's facts; none where it is not there.
    clear: Option<KeyFile>,
    /// The same of the key that is wrapped under an unlock key.
    wrapped: Option<KeyFile>,
}

/// Whose a key file is, and who may read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyFile {
    #[serde(rename = "UID")]
    uid: u32,
    /// Octal; on Windows its access list.
    mode: String,
}

impl KeyFiles {
    /// Looks at the files of the root key in `path`.
    pub fn of(path: &Path) -> Self {
        let look = |path: &Path| owner_and_mode(path).map(|(uid, mode)| KeyFile { uid, mode });
        Self { file: path.to_owned(), clear: look(path), wrapped: look(&wrapped_name(path)) }
    }
}

/// The root key in `path`; where there is neither key nor `store`, a new one is made first. A key in clear wins over a
/// wrapped one beside it: autolock is on only when the key in clear is gone.
///
/// # Errors
/// See [`RootKeyError`].
pub fn load_or_create(path: &Path, store: &Path) -> Result<Found, RootKeyError> {
    // What a first start that was cut short left: either it never became the key, or it is the key's second name.
    remove_if_there(&passing_name(path))?;
    if let Some(file) = protected::file(path).map_err(RootKeyError::Protection)? {
        return read(file, path).map(Found::Key);
    }
    if let Some(wrapped) = read_wrapped(path)? {
        return Ok(Found::Locked(wrapped));
    }
    // A store that cannot be looked at counts as there.
    if store.try_exists().unwrap_or(true) {
        return Err(RootKeyError::Missing { path: path.to_owned(), store: store.to_owned() });
    }
    create(path).map(Found::Key)
}

/// The root key in clear, if it is there.
///
/// # Errors
/// See [`RootKeyError`].
pub fn load(path: &Path) -> Result<Option<RootKey>, RootKeyError> {
    let file = protected::file(path).map_err(RootKeyError::Protection)?;
    file.map(|file| read(file, path)).transpose()
}

/// The wrapped root key beside `path`, if it is there.
///
/// # Errors
/// See [`RootKeyError`].
pub fn read_wrapped(path: &Path) -> Result<Option<Vec<u8>>, RootKeyError> {
    let path = wrapped_name(path);
    let Some(file) = protected::file(&path).map_err(RootKeyError::Protection)? else { return Ok(None) };
    let mut wrapped = Vec::new();
    // One byte more than there may be, so that a longer file is seen.
    file.take(WRAPPED_BYTES as u64 + 1).read_to_end(&mut wrapped).map_err(PathFault::on("read", &path))?;
    match wrapped.len() {
        WRAPPED_BYTES => Ok(Some(wrapped)),
        _ => Err(RootKeyError::Damaged { path, fault: "is not a wrapped root key" }),
    }
}

/// Writes or replaces the wrapped root key beside `path`.
///
/// # Errors
/// See [`RootKeyError`].
pub fn write_wrapped(path: &Path, wrapped: &[u8]) -> Result<(), RootKeyError> {
    let path = wrapped_name(path);
    let fresh = passing_name(&path);
    replace(&path, &fresh, Synced::FileAndDirectory, create_read_only, |file| file.write_all(wrapped))
        .map_err(PathFault::on("write", &path))?;
    Ok(())
}

/// Overwrites and removes the root key in clear: from here on a start needs the unlock key.
///
/// # Errors
/// See [`RootKeyError`].
pub fn remove_clear(path: &Path) -> Result<(), RootKeyError> {
    let overwrite = |mut file: File| file.write_all(&[0; at_rest::MAX]).and_then(|()| file.sync_all());
    // Its mode says that it is not to be written; root may.
    OpenOptions::new().write(true).open(path).and_then(overwrite).map_err(PathFault::on("overwrite", path))?;
    std::fs::remove_file(path).map_err(PathFault::on("remove", path))?;
    sync_parent(path)
}

/// Writes the root key in clear again and removes the wrapped one: autolock is off.
///
/// # Errors
/// See [`RootKeyError`].
pub fn restore_clear(path: &Path, key: &RootKey) -> Result<(), RootKeyError> {
    if load(path)?.is_none() {
        place(path, key)?;
    }
    remove_if_there(&wrapped_name(path))?;
    sync_parent(path)
}

fn remove_if_there(path: &Path) -> Result<(), RootKeyError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PathFault::on("remove", path)(error).into()),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<(), RootKeyError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    Ok(sync_dir(parent).map_err(PathFault::on("sync", parent))?)
}

fn wrapped_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".locked");
    name.into()
}

/// The name of a key that is being made.
fn passing_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Reads a key: exactly 32 bytes, not all zero, in the form that this platform keeps.
fn read(mut file: File, path: &Path) -> Result<RootKey, RootKeyError> {
    let damaged = |fault| RootKeyError::Damaged { path: path.to_owned(), fault };
    // One byte more than a key has, so that a longer file is seen.
    let mut key = SecretBytes::zeroed(at_rest::MAX + 1).map_err(RootKeyError::Memory)?;
    let mut filled = 0;
    while filled < key.len() {
        match file.read(&mut key.expose_mut()[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(PathFault::on("read", path)(cause).into()),
        }
    }
    key.truncate(filled);
    let key = at_rest::open(key).map_err(damaged)?;
    if key.expose().iter().all(|byte| *byte == 0) && key.len() == ROOT_KEY_BYTES {
        return Err(damaged("has only zero bytes"));
    }
    RootKey::from_secret(key).ok_or_else(|| damaged("does not have exactly 32 bytes"))
}

fn create(path: &Path) -> Result<RootKey, RootKeyError> {
    let key = RootKey::generate().map_err(RootKeyError::Seal)?;
    place(path, &key)?;
    Ok(key)
}

/// Writes a key under a passing name, brings it to the disk, and only then gives it its own name.
fn place(path: &Path, key: &RootKey) -> Result<(), RootKeyError> {
    let passing = passing_name(path);
    let kept = at_rest::close(key).map_err(PathFault::on("encrypt", path))?;
    let mut file = create_read_only(&passing).map_err(PathFault::on("create", &passing))?;
    file.write_all(&kept).and_then(|()| file.sync_all()).map_err(PathFault::on("write", &passing))?;
    // A link, because unlike a rename it never replaces what is there.
    std::fs::hard_link(&passing, path).map_err(PathFault::on("create", path))?;
    std::fs::remove_file(&passing).map_err(PathFault::on("remove", &passing))?;
    sync_parent(path)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "rootkey_tests.rs"]
mod tests;
