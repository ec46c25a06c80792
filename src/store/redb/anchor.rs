//! The file `store.revision`: the number of the last acknowledged commit, outside the database. It never says more than what
//! was committed, and at most one commit less (a crash between commit and acknowledgement).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Revision, StoreError, sync_dir};
use crate::sys::here::file::{open_private, write_all_at};

const ANCHOR_FILE: &str = "store.revision";
/// Digits of a number: always the same, so that it is overwritten where it stands, within one sector.
const WIDTH: usize = 20;
/// What an operator writes into the file to accept a store that was restored on purpose.
const ACCEPT: &str = "accept";

#[derive(Debug)]
pub(super) struct Anchor {
    path: PathBuf,
    file: File,
    says: Says,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The file is new or empty.
    Nothing,
    Commit(u64),
    Accept,
}

impl Anchor {
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(ANCHOR_FILE);
        let failed = |doing| {
            let path = path.clone();
            move |cause| StoreError::Io { doing, path, cause }
        };
        let mut file = open_private(&path).map_err(failed("open"))?;
        let mut text = String::new();
        let read = (&mut file).take(64).read_to_string(&mut text);
        read.map_err(failed("read"))?;
        let says = match text.trim_end() {
            "" => Says::Nothing,
            ACCEPT => Says::Accept,
            digits => match digits.parse() {
                Ok(number) if digits.len() == WIDTH => Says::Commit(number),
                _ => return Err(damaged(&path)),
            },
        };
        Ok(Self { path, file, says })
    }

    pub(super) fn acknowledged(&self) -> u64 {
        if let Says::Commit(number) = self.says { number } else { 0 }
    }

    /// Holds the store's own number against the file's.
    pub(super) fn verify(&mut self, found: Revision) -> Result<(), StoreError> {
        match self.says {
            Says::Commit(number) if found.0 == number => Ok(()),
            Says::Commit(number) if found.0 == number + 1 => self.acknowledge(found.0),
            Says::Commit(number) if found.0 < number => Err(self.outdated(found.0)),
            Says::Accept => self.acknowledge(found.0),
            Says::Nothing | Says::Commit(_) => Err(damaged(&self.path)),
        }
    }

    pub(super) fn outdated(&self, found: u64) -> StoreError {
        StoreError::Outdated { path: self.path.clone(), acknowledged: self.acknowledged(), found }
    }

    /// Says `current`, unless it does already.
    pub(super) fn catch_up(&mut self, current: Revision) -> Result<(), StoreError> {
        if self.says == Says::Commit(current.0) { Ok(()) } else { self.acknowledge(current.0) }
    }

    /// Writes `number` and syncs it.
    pub(super) fn acknowledge(&mut self, number: u64) -> Result<(), StoreError> {
        let failed = |cause| StoreError::Io { doing: "write", path: self.path.clone(), cause };
        let text = format!("{number:0WIDTH$}\n");
        write_all_at(&self.file, text.as_bytes(), 0).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        if !matches!(self.says, Says::Commit(_)) {
            // The first time, the name must survive too.
            self.path.parent().map_or(Ok(()), sync_dir)?;
        }
        self.says = Says::Commit(number);
        Ok(())
    }
}

fn damaged(path: &Path) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        cause: format!(
            "it does not say which commit was acknowledged last (to accept the store as it is: echo {ACCEPT} > {})",
            path.display()
        ),
    }
}
