//! The seams without Windows: files as the system has them, links in a map, so that the same tests run everywhere.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::bitlocker::VolumeState;
use super::seams::{Acl, Found, Links, Seams, VolumeProtection};

/// Links that are only written down. A stub says that it has made one and has not, as Wine does.
#[derive(Clone, Default)]
pub(super) struct MemoryLinks {
    pub(super) made: Arc<Mutex<HashMap<PathBuf, String>>>,
    pub(super) stub: bool,
    /// Where a directory is a link, as far as the layer is concerned.
    pub(super) redirected: Option<PathBuf>,
    /// How many links can be made.
    pub(super) limit: Option<usize>,
}

impl Links for MemoryLinks {
    fn make(&self, at: &Path, to: &str) -> io::Result<()> {
        let mut made = self.made.lock().unwrap();
        if self.limit.is_some_and(|limit| made.len() >= limit) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        if !self.stub {
            made.insert(at.to_owned(), to.to_owned());
        }
        Ok(())
    }

    fn read(&self, at: &Path) -> io::Result<Found> {
        if let Some(to) = self.made.lock().unwrap().get(at) {
            return Ok(Found::Link(to.clone()));
        }
        Ok(if at.symlink_metadata().is_ok() { Found::Other } else { Found::Nothing })
    }

    fn remove(&self, at: &Path, to: &str) -> io::Result<()> {
        let mut made = self.made.lock().unwrap();
        if made.get(at).is_some_and(|found| found == to) {
            made.remove(at);
        }
        Ok(())
    }

    fn hold(&self, directory: &Path) -> io::Result<Option<File>> {
        let found = directory.symlink_metadata()?;
        if !found.is_dir() || self.redirected.as_deref() == Some(directory) {
            return Ok(None);
        }
        // Something that is open: a directory itself takes flags of the platform's.
        File::open(std::env::current_exe()?).map(Some)
    }
}

/// Access lists that nobody looks at, unless told to find fault.
#[derive(Clone, Default)]
pub(super) struct PlainAcl {
    /// What the check finds of paths that end so.
    pub(super) fault: Option<&'static str>,
    /// What cannot be overwritten, by its name.
    pub(super) busy: Option<&'static str>,
}

impl Acl for PlainAcl {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn make_file(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn open_to_overwrite(&self, path: &Path) -> io::Result<File> {
        if self.busy.is_some_and(|name| path.ends_with(name)) {
            return Err(io::Error::other("in use"));
        }
        OpenOptions::new().write(true).open(path)
    }

    fn check(&self, path: &Path) -> Result<(), String> {
        match self.fault {
            Some(end) if path.ends_with(end) => Err("everybody may read it".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A volume of one state.
pub(super) struct FixedVolume(pub(super) VolumeState);

impl VolumeProtection for FixedVolume {
    fn state_of(&self, _: &Path) -> VolumeState {
        self.0.clone()
    }
}

/// Seams of these parts.
pub(super) fn seams(links: &MemoryLinks, acl: &PlainAcl) -> Seams {
    Seams { links: Box::new(links.clone()), acl: Box::new(acl.clone()), volume: Box::new(FixedVolume(VolumeState::On)) }
}
