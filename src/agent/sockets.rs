//! The two sockets in the run directory: made narrow, replaced only when they are ours and nobody answers on them, and
//! taken away at the end. What is said on them is not its affair.

use std::fmt;
use std::fs::{Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use nix::sys::socket::{Shutdown, shutdown};

use super::exit;
use super::fault::PathFault;
use crate::sys::linux::process::effective_uid;

/// The longest path of a socket, in bytes: `sun_path` without its NUL, unix(7).
const MAX_SOCKET_PATH: usize = 107;

/// Why a socket could not be had.
#[derive(Debug)]
pub enum SocketError {
    /// The path does not fit a socket's address.
    PathTooLong(PathBuf),
    /// Something that is not a socket of ours has its name.
    NotOurs(PathBuf),
    /// Somebody answers on it.
    InUse(PathBuf),
    /// The system refused an operation.
    System(PathFault),
}

impl SocketError {
    /// The agent's exit code then.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse(_) => exit::UNAVAILABLE,
            Self::NotOurs(_) => exit::PROTECTION,
            Self::PathTooLong(_) | Self::System(_) => exit::IO,
        }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathTooLong(path) => write!(
                f,
                "{} is longer than the {MAX_SOCKET_PATH} bytes that a socket's path may have: choose a shorter --run-dir",
                path.display()
            ),
            Self::NotOurs(path) => {
                write!(f, "{} is there and is no socket of ours: find out whose it is, then remove it", path.display())
            }
            Self::InUse(path) => write!(f, "another program answers on {}: stop it first", path.display()),
            Self::System(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for SocketError {}

impl From<PathFault> for SocketError {
    fn from(fault: PathFault) -> Self {
        Self::System(fault)
    }
}

/// Who may connect to a socket, by its mode; the door behind it asks the kernel again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Openness {
    /// Its owner: 0600.
    Owner,
    /// And this group: 0660.
    Group(u32),
    /// Everybody: 0666.
    Everybody,
}

/// The name of a socket of ours; the name goes when this is dropped.
#[derive(Debug)]
pub struct SocketName {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketName {
    /// Whether it still leads to the socket.
    pub fn stands(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|found| inode(&found) == self.inode)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the socket `path`. The directory must be one that only we can
/// change.
///
/// # Errors
/// See [`SocketError`].
pub fn bind(path: PathBuf, openness: Openness) -> Result<(UnixListener, SocketName), SocketError> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(SocketError::PathTooLong(path));
    }
    clear(&path)?;
    // The umask makes it 0700, so nobody else can connect before the next lines have run.
    let listener = UnixListener::bind(&path).map_err(PathFault::on("make the socket", &path))?;
    let inode = inode(&std::fs::symlink_metadata(&path).map_err(PathFault::on("look at", &path))?);
    let name = SocketName { path: path.clone(), inode };
    let mode = match openness {
        Openness::Owner => 0o600,
        Openness::Group(group) => {
            chown(&path, None, Some(group)).map_err(PathFault::on("give to its group", &path))?;
            0o660
        }
        Openness::Everybody => 0o666,
    };
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(PathFault::on("set the mode of", &path))?;
    listener.set_nonblocking(true).map_err(PathFault::on("make non-blocking", &path))?;
    Ok((listener, name))
}

/// A listening socket that another one can take the place of while threads wait in accept(2).
pub struct Replaceable(RwLock<Arc<UnixListener>>);

impl Replaceable {
    /// Takes a listening socket; those who wait for it are to block.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        Ok(Self(RwLock::new(Arc::new(listener))))
    }

    /// The one that counts now.
    pub fn current(&self) -> Arc<UnixListener> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `listener` in its place. Whoever waits for the old one gets an error, and finds the new one.
    ///
    /// # Errors
    /// Those of fcntl(2) and shutdown(2).
    pub fn replace(&self, listener: UnixListener) -> io::Result<()> {
        listener.set_nonblocking(false)?;
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, Arc::new(listener));
        drop(place);
        Ok(shutdown(old.as_raw_fd(), Shutdown::Both)?)
    }

    /// Gives whoever waits an error, and nobody a connection any more.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn close(&self) -> io::Result<()> {
        Ok(shutdown(self.current().as_raw_fd(), Shutdown::Both)?)
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        if self.stands()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Removes a socket of ours that nobody answers on.
fn clear(path: &Path) -> Result<(), SocketError> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PathFault::on("look at", path)(error).into()),
        Ok(found) => found,
    };
    if !found.file_type().is_socket() || found.uid() != effective_uid() {
        return Err(SocketError::NotOurs(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(std::fs::remove_file(path).map_err(PathFault::on("remove the stale socket", path))?)
        }
        // A full queue, say: somebody has it.
        Err(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let live = bind(path.clone(), Openness::Owner).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(bind(path.clone(), Openness::Owner), Err(SocketError::InUse(_))));
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (directory.path().join("s"), directory.path().join("target"));
        std::fs::write(&path, "kept").unwrap();
        assert!(matches!(bind(path.clone(), Openness::Owner), Err(SocketError::NotOurs(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
        std::fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(bind(path, Openness::Owner), Err(SocketError::NotOurs(_))));
        assert!(target.exists());
    }

    #[test]
    fn a_name_that_someone_else_took_over_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let bound = bind(path.clone(), Openness::Owner).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        drop(bound);
        assert!(path.exists());
    }
}
