//! The CDI file that the agent keeps as its services are: one device a service, written anew when services are made,
//! changed or removed. It names services and the hook; grants and values are not looked at.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::autolock::Autolock;
use crate::cdi::{MODE, Offered, specification};
use crate::model::RUN_DIR;
use crate::replace::replace_text;

/// The mode of the file's directory where there was none: engines pass through as who they are.
const DIRECTORY_MODE: u32 = 0o755;

/// Where the file is, and what it says of the hook.
pub struct Devices {
    file: PathBuf,
    hook: PathBuf,
    run_dir: PathBuf,
    /// Whoever writes has read what is newest.
    turn: Mutex<()>,
}

/// The file is not as the services are.
#[derive(Debug)]
pub struct DevicesError {
    file: PathBuf,
    cause: io::Error,
}

impl fmt::Display for DevicesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot keep {} as the services are: {}; engines do not know the services that it lacks until it can be written",
            self.file.display(),
            self.cause
        )
    }
}

impl std::error::Error for DevicesError {}

impl Devices {
    /// The file `file`, whose hooks are `hook` for the agent of `run_dir`; nothing is written yet.
    pub fn new(file: PathBuf, hook: PathBuf, run_dir: PathBuf) -> Self {
        Self { file, hook, run_dir, turn: Mutex::default() }
    }

    /// Writes the file as the services are now, or removes it when there are none: CDI knows no file without devices.
    /// Behind a lock nobody knows the services, and the file stays. Blocks.
    ///
    /// # Errors
    /// [`DevicesError`]; the file is as it was then.
    pub fn refresh(&self, lock: &Autolock) -> Result<(), DevicesError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(catalog) = lock.catalog() else { return Ok(()) };
        let services = catalog.services().into_iter();
        let services: Vec<Offered> =
            services.map(|service| Offered { service: service.name, credentials: service.credentials }).collect();
        let written = match self.text(&services)? {
            Some(text) => self.write(&text),
            None => fs::remove_file(&self.file).or_else(absent),
        };
        written.map_err(|cause| self.failed(cause))
    }

    fn text(&self, services: &[Offered]) -> Result<Option<String>, DevicesError> {
        let run_dir = self.run_dir.to_str().ok_or_else(|| self.failed(ErrorKind::InvalidFilename.into()))?;
        let told: &[&str] = if self.run_dir == Path::new(RUN_DIR) { &[] } else { &["--run-dir", run_dir] };
        Ok(specification(services, &self.hook, told))
    }

    /// Leaves a file that says so already: engines read it again whenever it changes.
    fn write(&self, text: &str) -> io::Result<()> {
        if fs::read(&self.file).is_ok_and(|present| present == text.as_bytes()) {
            return Ok(());
        }
        if let Some(directory) = self.file.parent()
            && !directory.exists()
        {
            DirBuilder::new().mode(0o700).create(directory)?;
            fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
        }
        replace_text(&self.file, text, MODE)
    }

    fn failed(&self, cause: io::Error) -> DevicesError {
        DevicesError { file: self.file.clone(), cause }
    }
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
