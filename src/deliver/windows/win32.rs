//! The seams on Windows itself: links, access lists, and BitLocker asked by WMI and by the Shell, neither of which may
//! keep us waiting.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::sys::sddl::{PRIVATE_DIRECTORY, PRIVATE_FILE};
use crate::sys::windows::bitlocker::{self, Encryption};
use crate::sys::windows::links::{self, Standing};
use crate::sys::windows::volume::Volume;
use crate::sys::windows::{acl, file};

use super::bitlocker::{ShellReport, VolumeState, WmiReport, judge};
use super::patience::Patience;
use super::seams::{Acl, Found, Links, Seams, VolumeProtection};

/// How long an answer of WMI's, or of the Shell's, is waited for: a hook waits longer for the agent.
const PATIENCE: Duration = Duration::from_secs(4);

struct Win32Links;
struct Win32Acl;
struct Win32Volume {
    wmi: Patience<Result<Encryption, String>>,
    shell: Patience<Result<u32, String>>,
}

impl Seams {
    /// Those of this Windows.
    pub fn win32() -> Self {
        let volume = Win32Volume { wmi: Patience::new(), shell: Patience::new() };
        Self { links: Box::new(Win32Links), acl: Box::new(Win32Acl), volume: Box::new(volume) }
    }
}

impl Links for Win32Links {
    fn make(&self, at: &Path, to: &str) -> io::Result<()> {
        links::make(at, to)
    }

    fn read(&self, at: &Path) -> io::Result<Found> {
        Ok(match links::read(at)? {
            Standing::Nothing => Found::Nothing,
            Standing::Link(to) => Found::Link(to),
            Standing::Other => Found::Other,
        })
    }

    fn remove(&self, at: &Path, to: &str) -> io::Result<()> {
        links::remove(at, to)
    }

    fn hold(&self, directory: &Path) -> io::Result<Option<File>> {
        links::hold(directory)
    }
}

impl Acl for Win32Acl {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        acl::create_dir(path, PRIVATE_DIRECTORY)
    }

    fn make_file(&self, path: &Path) -> io::Result<File> {
        acl::create_file(path, PRIVATE_FILE)
    }

    fn open_to_overwrite(&self, path: &Path) -> io::Result<File> {
        links::open_to_overwrite(path)
    }

    fn check(&self, path: &Path) -> Result<(), String> {
        match file::exposure(path) {
            Ok(None) => Ok(()),
            Ok(Some(wider)) => Err(wider),
            Err(error) => Err(format!("its access list cannot be read: {error}")),
        }
    }
}

impl VolumeProtection for Win32Volume {
    fn state_of(&self, directory: &Path) -> VolumeState {
        let volume = match Volume::of(directory) {
            Ok(volume) => volume,
            Err(error) => {
                let why = format!("its volume cannot be found: {error}");
                return VolumeState::Unknown { why, volume: directory.display().to_string() };
            }
        };
        let id = volume.id.clone();
        let wmi = match self.wmi.ask(PATIENCE, move || bitlocker::by_wmi(&id)) {
            Ok(Ok(Encryption { protection, conversion })) => WmiReport::Volume { protection, conversion },
            Ok(Err(why)) => WmiReport::Silent { why },
            Err(silence) => WmiReport::Silent { why: format!("WMI: {silence}") },
        };
        judge(volume.name(), &wmi, || {
            let root = volume.mounted.clone();
            match self.shell.ask(PATIENCE, move || bitlocker::by_shell(&root)) {
                Ok(Ok(value)) => ShellReport::Value(value),
                Ok(Err(why)) => ShellReport::Silent { why },
                Err(silence) => ShellReport::Silent { why: format!("the Shell: {silence}") },
            }
        })
    }
}

#[cfg(test)]
#[path = "win32_tests.rs"]
mod tests;
