//! Erasing: a fresh file with the live records takes the old one's name, and the old one is overwritten.
//!
//! Steps: write `store.redb.new` · link the old file as `store.redb.old` · rename the new one to `store.redb` (the commit) · sync
//! the directory · overwrite and unlink `store.redb.old`. After a crash at any point [`finish`] sweeps up what is left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::failpoint::{Point, reach};

use super::db::Db;
use super::{Batch, Revision, STORE_FILE, StoreError, sync_dir};
use crate::sys::here::file::{identity, open_private, read_at, write_all_at};

const NEW_FILE: &str = "store.redb.new";
const OLD_FILE: &str = "store.redb.old";
/// Bytes overwritten at a time: no more than a page, or holes would be filled.
const CHUNK: usize = 4096;

/// Makes an empty store file at `path`, in one step for whoever looks.
pub(super) fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let new = dir.join(NEW_FILE);
    drop(Db::create(&new)?);
    rename(&new, path)?;
    sync_dir(dir)
}

/// Writes the records of `old` with the changes of `batch` to a fresh file, for [`rename_new`]. After an error the store is as
/// it was.
pub(super) fn write_new(dir: &Path, old: &Db, batch: &Batch, revision: Revision) -> Result<Db, StoreError> {
    let (new_path, old_path, path) = (dir.join(NEW_FILE), dir.join(OLD_FILE), dir.join(STORE_FILE));
    wipe(&new_path)?;
    let written = Db::create(&new_path).and_then(|new| {
        new.fill_from(old, batch, revision)?;
        reach(Point::EraseWritten);
        remove(&old_path)?;
        fs::hard_link(&path, &old_path).map_err(failed("link", &old_path))?;
        reach(Point::EraseLinked);
        Ok(new)
    });
    if written.is_err() {
        sweep(dir);
    }
    written
}

/// Gives the fresh file the store's name. The old file is then `store.redb.old`, for [`finish`] once the directory is synced.
/// After an error the store is as it was.
pub(super) fn rename_new(dir: &Path, new: Db) -> Result<Db, StoreError> {
    let path = dir.join(STORE_FILE);
    match rename(&dir.join(NEW_FILE), &path) {
        Ok(()) => {
            reach(Point::EraseRenamed);
            Ok(new.renamed(&path))
        }
        Err(error) => {
            drop(new);
            sweep(dir);
            Err(error)
        }
    }
}

/// Removes what an erasing that failed has made: its error is the one to tell, and what is left is swept up at the next
/// erasing or open.
fn sweep(dir: &Path) {
    let _ = remove(&dir.join(OLD_FILE));
    let _ = wipe(&dir.join(NEW_FILE));
}

/// Overwrites and removes what an erasing left behind.
pub(super) fn finish(dir: &Path) -> Result<(), StoreError> {
    let (old_path, path) = (dir.join(OLD_FILE), dir.join(STORE_FILE));
    if same_file(&old_path, &path) {
        // A crash before the rename: the old file is still the store.
        remove(&old_path)?;
    }
    wipe(&old_path)?;
    wipe(&dir.join(NEW_FILE))
}

fn same_file(one: &Path, other: &Path) -> bool {
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Overwrites a file with zeros, syncs it and unlinks it; a file that is not there is wiped already.
fn wipe(path: &Path) -> Result<(), StoreError> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    open_private(path).and_then(overwrite).map_err(failed("overwrite", path))?;
    reach(Point::EraseOverwritten);
    remove(path)
}

/// Zeros where there is anything else: a hole stays a hole, so that a full disk is no obstacle.
fn overwrite(file: File) -> io::Result<()> {
    let (zeros, mut chunk) = ([0; CHUNK], [0; CHUNK]);
    let mut at = 0;
    loop {
        let count = read_at(&file, &mut chunk, at)?;
        if count == 0 {
            return file.sync_data();
        }
        if chunk[..count] != zeros[..count] {
            write_all_at(&file, &zeros[..count], at)?;
        }
        at += count as u64;
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(failed("rename", from))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path: PathBuf = path.to_owned();
    move |cause| StoreError::Io { doing, path, cause }
}
