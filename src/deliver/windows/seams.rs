//! What only Win32 can do for a delivery, as three small traits: what stands above them is tested on every platform, and what
//! stands below is called for real where there is a Windows, or something that takes itself for one.

use std::fs::File;
use std::io;
use std::path::Path;

use super::bitlocker::VolumeState;

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A symbolic link that leads there.
    Link(String),
    /// Anything else.
    Other,
}

/// Symbolic links to files. No answer of [`Links::make`] is believed: [`Links::read`] is asked afterwards.
pub trait Links: Send + Sync {
    /// Makes a symbolic link at `at` that leads to `to`, which need not be there.
    ///
    /// # Errors
    /// The system's, also where something stands at `at`.
    fn make(&self, at: &Path, to: &str) -> io::Result<()>;

    /// What stands at `at` itself.
    ///
    /// # Errors
    /// The system's; that nothing is there is none.
    fn read(&self, at: &Path) -> io::Result<Found>;

    /// Removes what stands at `at` if it is a link that leads to `to`: that very one, whatever somebody puts in its place or
    /// in the place of a directory on the way meanwhile. What it leads to stays, and so does anything else.
    ///
    /// # Errors
    /// The system's; that nothing is there is none.
    fn remove(&self, at: &Path, to: &str) -> io::Result<()>;

    /// Opens a directory so that nobody puts another in its place while the file is open. None: it is a link, a mount point
    /// or no directory.
    ///
    /// # Errors
    /// The system's, also where nothing is there.
    fn hold(&self, directory: &Path) -> io::Result<Option<File>>;
}

/// Directories and files that SYSTEM and Administrators alone may use, from the moment in which they are made.
pub trait Acl: Send + Sync {
    /// Makes a directory whose protected access list lets in SYSTEM and Administrators, and is passed on to what is made in it.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] where something is there.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes a new file to write to, whose protected access list lets in SYSTEM and Administrators from its first moment, and
    /// whose content is not indexed.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] where something is there.
    fn make_file(&self, path: &Path) -> io::Result<File>;

    /// Opens a file that is there to be overwritten. A link is not followed.
    ///
    /// # Errors
    /// The system's.
    fn open_to_overwrite(&self, path: &Path) -> io::Result<File>;

    /// Whether the list of `path` lets in SYSTEM and Administrators alone.
    ///
    /// # Errors
    /// What else it says, in words.
    fn check(&self, path: &Path) -> Result<(), String>;
}

/// Whether what is written to the disk is encrypted there.
pub trait VolumeProtection: Send + Sync {
    /// The state of the volume that really holds `directory`: through mount points, not by its letter.
    ///
    /// Takes some seconds at the most. Not promised: that it is so a moment later.
    fn state_of(&self, directory: &Path) -> VolumeState;
}

/// The three together.
pub struct Seams {
    /// Links.
    pub links: Box<dyn Links>,
    /// Access lists.
    pub acl: Box<dyn Acl>,
    /// The volume.
    pub volume: Box<dyn VolumeProtection>,
}
