//! The side of a container's file systems that only the agent has: where a file of ours is found again, and scrubbed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::sys::linux::path::Dir;
use crate::sys::linux::place::Kind;

use super::adopt::Adopted;
use super::generation::OldGeneration;
use super::plan::DIRECTORY;
use super::scrub::{Scrubbed, overwrite, scrub};

/// The writable side of one container.
#[derive(Debug)]
pub struct Writable {
    first: First,
    /// Made when a single file has to be replaced whose directory an agent that was restarted cannot reach.
    second: Option<Dir>,
}

/// The file system that the container was started with.
#[derive(Debug)]
enum First {
    /// Its root: this agent made it.
    Root(Dir),
    /// What could be taken from the container: an earlier agent made it.
    Adopted(Adopted),
}

/// What has been replaced, as long as somebody may still be reading it.
#[derive(Debug)]
pub enum Old {
    /// A file.
    File(OldFile),
    /// A generation.
    Generation(OldGeneration),
}

impl Old {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        match self {
            Self::File(file) => file.size,
            Self::Generation(generation) => generation.size(),
        }
    }

    /// Overwrites and empties it, for those too who have it open.
    ///
    /// # Errors
    /// Those of write(2), ftruncate(2) and unlinkat(2).
    pub fn scrub(self) -> io::Result<()> {
        match self {
            Self::File(file) => file.scrub(),
            Self::Generation(generation) => generation.scrub(),
        }
    }
}

/// An old file, out of every directory.
#[derive(Debug)]
pub struct OldFile {
    file: File,
    size: u64,
}

impl OldFile {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// Overwrites and empties it.
    pub(super) fn scrub(self) -> io::Result<()> {
        overwrite(self.file, self.size)
    }
}

/// Where a file of ours stands, by the path that the plan gave it.
pub(super) enum Place<'w> {
    /// In this directory, which new files may be made in; under this name.
    In(Dir, String, &'w Dir),
    /// A mount of its own of which only the file can be reached.
    Alone(&'w Dir),
    /// Nowhere: the container has covered or unmounted it.
    Nowhere,
}

impl Writable {
    /// The side of a file system that this agent has made.
    pub fn root(root: Dir) -> Self {
        Self { first: First::Root(root), second: None }
    }

    /// The side of a file system that an earlier agent has made.
    pub fn adopted(adopted: Adopted) -> Self {
        Self { first: First::Adopted(adopted), second: None }
    }

    pub(super) fn second(&self) -> Option<&Dir> {
        self.second.as_ref()
    }

    /// Another mount of the file system that this agent has made, for the one that was used up by a clone.
    pub(super) fn renew(&mut self, root: Dir) {
        let is_its = |known: &Dir| matches!((known.device(), root.device()), (Ok(one), Ok(other)) if one == other);
        match (&mut self.second, &mut self.first) {
            (Some(second), _) if is_its(second) => *second = root,
            (_, First::Root(first)) if is_its(first) => *first = root,
            _ => {}
        }
    }

    pub(super) fn put_second(&mut self, root: Dir) -> &Dir {
        self.second.insert(root)
    }

    /// The directory that shows at /run/secrets, if it is ours and can be reached, behind the place in its file system where
    /// new things are made.
    pub(super) fn directory(&self) -> io::Result<Option<(Dir, Dir)>> {
        if let Some(second) = &self.second
            && let Ok(base) = second.entry(DIRECTORY)
        {
            return Ok(Some((second.again()?, base)));
        }
        match &self.first {
            First::Root(root) => match root.entry(DIRECTORY) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                base => Ok(Some((root.again()?, base?))),
            },
            First::Adopted(adopted) => adopted.directory().map(|base| Ok((base.again()?, base.again()?))).transpose(),
        }
    }

    /// Where the file `path` is to be made: a directory of ours that can be reached, and the path below it.
    pub(super) fn top_of(&self, path: &str) -> Option<(&Dir, String)> {
        match &self.first {
            First::Root(root) => Some((root, path.to_owned())),
            First::Adopted(adopted) => match (below_directory(path), adopted.directory()) {
                (Some(below), Some(directory)) => Some((directory, below.to_owned())),
                _ => self.second.as_ref().map(|second| (second, path.to_owned())),
            },
        }
    }

    /// Finds the file `path`, which is attached at `target`.
    pub(super) fn place(&self, path: &str, target: &str) -> io::Result<Place<'_>> {
        if let Some(second) = &self.second
            && let Ok((parent, name)) = parent_of(second, path)
            && parent.entry(&name).is_ok()
        {
            return Ok(Place::In(parent, name, second));
        }
        match &self.first {
            First::Root(root) => {
                let (parent, name) = parent_of(root, path)?;
                Ok(Place::In(parent, name, root))
            }
            First::Adopted(adopted) => match (below_directory(path), adopted.directory(), adopted.file(target)) {
                (Some(below), Some(directory), _) => {
                    let (parent, name) = parent_of(directory, below)?;
                    Ok(Place::In(parent, name, directory))
                }
                (None, _, Some(file)) => Ok(Place::Alone(file)),
                _ => Ok(Place::Nowhere),
            },
        }
    }

    /// The file `path`, which is attached at `target`, without opening it; none where the container has covered it.
    ///
    /// # Errors
    /// `NotFound` when it is not there any more; those of openat2(2).
    pub fn file(&self, path: &str, target: &str) -> io::Result<Option<Dir>> {
        match self.place(path, target)? {
            Place::In(parent, name, _) => parent.entry(&name).map(Some),
            Place::Alone(place) => place.again().map(Some),
            Place::Nowhere => Ok(None),
        }
    }

    /// A place on the container's file system, where there is one still.
    pub fn any_place(&self) -> Option<&Dir> {
        match &self.first {
            First::Root(root) => Some(root),
            First::Adopted(adopted) => adopted.any_place(),
        }
    }

    /// Empties every file that can be reached.
    pub fn scrub(&self) -> Scrubbed {
        let mut scrubbed = match &self.first {
            First::Root(root) => scrub(root),
            First::Adopted(adopted) => adopted.scrub(),
        };
        if let Some(second) = &self.second {
            let more = scrub(second);
            scrubbed.files += more.files;
            scrubbed.failures.extend(more.failures);
        }
        scrubbed
    }
}

/// Opens the single file `place` for writing: the root of its mount has no parent to open it from.
pub(super) fn open_alone(place: &Dir) -> io::Result<File> {
    match place.kind()? {
        (Kind::File, _) => OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", place.as_fd().as_raw_fd())),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

/// The part of `path` below the directory that shows at /run/secrets.
fn below_directory(path: &str) -> Option<&str> {
    path.strip_prefix(DIRECTORY)?.strip_prefix('/')
}

/// The directory below `root` that `path` is in, and its last component.
fn parent_of(root: &Dir, path: &str) -> io::Result<(Dir, String)> {
    let (parents, name) = path.rsplit_once('/').map_or((None, path), |(parents, name)| (Some(parents), name));
    let mut directory = root.again()?;
    for component in parents.into_iter().flat_map(|parents| parents.split('/')) {
        directory = directory.entry(component)?;
    }
    Ok((directory, name.to_owned()))
}
