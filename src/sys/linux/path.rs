//! Walking and changing a tree that somebody else may have prepared: one component at a time, from a directory held
//! open, never through a symbolic link. Only [`Dir::root`] and [`Dir::directory_in_root`] take a path with more than one
//! component: they are for paths of our own or of the runtime. What is known of a place is in `place`.
//!
//! Source: openat2(2); CVE-2021-30465, CVE-2024-45310, CVE-2025-31133 and their kin.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, open, openat2, renameat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, unlinkat};

/// A place held open by an O_PATH descriptor: it stays the same place whatever is renamed or linked meanwhile.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// Whether the kernel has openat2(2) (5.6), and nothing takes it away.
pub fn has_openat2() -> bool {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).is_ok_and(|root| openat2(root, ".", how).is_ok())
}

fn component(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(name)
}

/// How often what is in the cache is asked for.
const CACHE_TRIES: u32 = 1000;

fn how(flags: OFlag) -> OpenHow {
    // Not O_NOFOLLOW: with O_PATH it would open the link itself, where RESOLVE_NO_SYMLINKS says ELOOP.
    OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(how_resolve())
}

fn how_resolve() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS
}

impl Dir {
    /// Opens a path that is ours or the runtime's, links in it followed; for the top of a tree only.
    ///
    /// # Errors
    /// It is not there or is no directory.
    pub fn root(path: &Path) -> io::Result<Self> {
        let fd = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self(fd))
    }

    /// Opens the directory `path` as if this one were the root: for paths of our own or of the runtime, links followed.
    ///
    /// # Errors
    /// It is not there or is no directory.
    pub fn directory_in_root(&self, path: &Path) -> io::Result<Self> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(openat2(&self.0, path, OpenHow::new().flags(flags).resolve(resolve))?))
    }

    /// Opens the entry `name`, whatever it is but a symbolic link.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link; `ENOENT`; `InvalidInput` when `name` is more than one component.
    pub fn entry(&self, name: &str) -> io::Result<Self> {
        Ok(Self(openat2(&self.0, component(name)?, how(OFlag::O_PATH))?))
    }

    /// Opens the entry `name` if the kernel has it in its cache, as it has every place on the way to a mount: nobody's file
    /// system is asked, so none can keep the caller waiting.
    ///
    /// # Errors
    /// As [`Dir::entry`]; `EAGAIN` when it is not in the cache.
    pub fn entry_at_hand(&self, name: &str) -> io::Result<Self> {
        let how = how(OFlag::O_PATH);
        let how = how.resolve(how_resolve() | ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED));
        let mut tries = 0;
        loop {
            match openat2(&self.0, component(name)?, how) {
                // The kernel also says so when something was renamed or mounted anywhere meanwhile.
                Err(Errno::EAGAIN) if tries < CACHE_TRIES => tries += 1,
                other => return Ok(Self(other?)),
            }
            std::thread::yield_now();
        }
    }

    /// Opens the regular file `path` for reading, following links inside this tree only; for looking things up in an
    /// image, never for writing.
    ///
    /// # Errors
    /// It is not there, leads out of the tree, or is no regular file (`InvalidInput`).
    pub fn read_in_root(&self, path: &str) -> io::Result<File> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(openat2(&self.0, path, OpenHow::new().flags(flags).resolve(resolve))?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
    }

    /// Makes the directory `name`, which must not be there.
    ///
    /// # Errors
    /// `EEXIST`, or those of mkdirat(2).
    pub fn make_dir(&self, name: &str, mode: u32) -> io::Result<()> {
        mkdirat(&self.0, component(name)?, Mode::from_bits_truncate(mode))?;
        Ok(())
    }

    /// Makes the empty file `name`, which must not be there, and returns it open for writing.
    ///
    /// # Errors
    /// `EEXIST`, or those of openat2(2).
    pub fn make_file(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let fd = openat2(&self.0, component(name)?, how(flags).mode(Mode::from_bits_truncate(mode)))?;
        Ok(File::from(fd))
    }

    /// Opens the regular file `name` for writing, as it is.
    ///
    /// # Errors
    /// It is not there, or is a link.
    pub fn write_file(&self, name: &str) -> io::Result<File> {
        Ok(File::from(openat2(&self.0, component(name)?, how(OFlag::O_WRONLY | OFlag::O_NONBLOCK))?))
    }

    /// Opens this directory so that its entries can be listed.
    ///
    /// # Errors
    /// It is no directory.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let listing = openat2(&self.0, ".", how(OFlag::O_RDONLY | OFlag::O_DIRECTORY))?;
        let mut names = Vec::new();
        for entry in nix::dir::Dir::from_fd(listing)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                // A name that is not UTF-8 is none of ours; say that something is there.
                Err(_) => names.push(entry.file_name().to_string_lossy().into_owned()),
            }
        }
        Ok(names)
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, component(name)?, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes the directory `name`, which must be empty.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove_dir(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, component(name)?, UnlinkatFlags::RemoveDir)?)
    }

    /// Renames the entry `name` to `to_name` in `to`, over what is there.
    ///
    /// # Errors
    /// Those of renameat(2).
    pub fn rename(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(renameat(&self.0, component(name)?, &to.0, component(to_name)?)?)
    }

    /// Exchanges the entries `name` and, in `to`, `to_name`, in one step.
    ///
    /// # Errors
    /// Those of renameat2(2).
    pub fn exchange(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        let flags = RenameFlags::RENAME_EXCHANGE;
        Ok(renameat2(&self.0, component(name)?, &to.0, component(to_name)?, flags)?)
    }

    /// Gives the file `name` a second name, `to_name` in `to`.
    ///
    /// # Errors
    /// `EEXIST`, or those of linkat(2).
    pub fn link(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(linkat(&self.0, component(name)?, &to.0, component(to_name)?, AtFlags::empty())?)
    }

    /// Sets the owner of this very place.
    ///
    /// # Errors
    /// Those of fchownat(2).
    pub fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        Ok(fchownat(&self.0, "", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::AT_EMPTY_PATH)?)
    }

    /// Sets the permission bits of this directory.
    ///
    /// # Errors
    /// It is no directory; those of fchmod(2).
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let directory = openat2(&self.0, ".", how(OFlag::O_RDONLY | OFlag::O_DIRECTORY))?;
        Ok(fchmod(directory, Mode::from_bits_truncate(mode))?)
    }

    /// Another descriptor of this very place.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Dir {
    /// A mount's root, as the mount calls return it.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

/// Sets owner, then mode: in this order, because chown(2) clears bits.
///
/// # Errors
/// Those of fchown(2) and fchmod(2).
pub fn set_owner_and_mode(file: &File, uid: u32, gid: u32, mode: u32) -> io::Result<()> {
    nix::unistd::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok(fchmod(file, Mode::from_bits_truncate(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbolic_link_is_refused_wherever_it_points() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", top.path().join("link")).unwrap();
        let dir = Dir::root(top.path()).unwrap();
        assert!(dir.entry("real").is_ok());
        assert_eq!(dir.entry("link").unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn more_than_one_component_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let dir = Dir::root(top.path()).unwrap();
        for name in ["..", ".", "", "a/b", "/"] {
            assert!(
                dir.entry(name).is_err() && dir.make_dir(name, 0o700).is_err() && dir.make_file(name, 0o600).is_err()
            );
        }
    }

    #[test]
    fn what_is_there_is_never_taken_for_new() {
        let top = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", top.path().join("x")).unwrap();
        let dir = Dir::root(top.path()).unwrap();
        assert!(dir.make_file("x", 0o600).is_err());
        assert!(dir.make_dir("x", 0o700).is_err());
        assert!(dir.write_file("x").is_err());
    }

    #[test]
    fn lookups_stay_in_the_tree() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("etc")).unwrap();
        std::fs::write(top.path().join("etc/passwd"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", top.path().join("absolute")).unwrap();
        let dir = Dir::root(top.path()).unwrap();
        let text = std::io::read_to_string(dir.read_in_root("absolute").unwrap()).unwrap();
        assert_eq!(text, "inside");
        assert!(dir.read_in_root("etc").is_err());
    }
}
