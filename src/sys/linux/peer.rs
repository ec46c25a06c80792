//! Who is at the other end of a Unix socket, as the kernel noted it when the connection was made.
//! It states facts; whether that peer may do anything is for the caller.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};

/// NGROUPS_MAX: the most supplementary groups of one process.
const MAX_GROUPS: usize = 65536;

/// The credentials of a connected peer at the time of its connect(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id, in our pid namespace: 0 when it is not visible there. It may have been reused since.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Who connected.
///
/// Source: unix(7) SO_PEERCRED.
///
/// # Errors
/// What getsockopt(2) says.
pub fn credentials(socket: &impl AsFd) -> io::Result<Peer> {
    let found = getsockopt(socket, sockopt::PeerCredentials)?;
    Ok(Peer { pid: found.pid(), uid: found.uid(), gid: found.gid() })
}

/// The supplementary groups of the peer at the time of its connect(2).
///
/// Source: unix(7) SO_PEERGROUPS.
///
/// # Errors
/// What getsockopt(2) says.
pub fn groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut room = 32;
    loop {
        let mut found = vec![0u32; room];
        let mut bytes = libc::socklen_t::try_from(room * size_of::<u32>()).map_err(io::Error::other)?;
        // SAFETY: the buffer is writable for `bytes` bytes, and any bit pattern the kernel writes is a valid u32.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                found.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = bytes as usize / size_of::<u32>();
        match super::check(result.into()) {
            Ok(_) => {
                found.truncate(count);
                return Ok(found);
            }
            // The kernel says how much room it needs.
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && room < count && count <= MAX_GROUPS => {
                room = count;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A pidfd of the process that connected, which names that process even after its pid is reused; `None` on kernels
/// before 6.5.
///
/// Source: include/uapi/asm-generic/socket.h SO_PEERPIDFD.
///
/// # Errors
/// What getsockopt(2) says; `ESRCH` when the peer is gone and reaped already.
pub fn pidfd(socket: &impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut fd: libc::c_int = -1;
    let mut bytes = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the buffer is one c_int, writable for the `bytes` that say so.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut fd).cast(),
            &raw mut bytes,
        )
    };
    match super::check(result.into()) {
        // SAFETY: the call succeeded, so the kernel installed this descriptor for us and nothing else owns it.
        Ok(_) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_pair_is_this_process_at_both_ends() {
        let (one, _two) = UnixStream::pair().unwrap();
        let peer = credentials(&one).unwrap();
        assert_eq!(peer.pid, i32::try_from(std::process::id()).unwrap());
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(peer.gid, nix::unistd::getegid().as_raw());
        assert!(groups(&one).unwrap().len() <= MAX_GROUPS);
    }

    #[test]
    fn a_pidfd_is_had_where_the_kernel_has_them() {
        let (one, _two) = UnixStream::pair().unwrap();
        if let Some(fd) = pidfd(&one).unwrap() {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
            assert!(info.contains(&format!("Pid:\t{}", std::process::id())), "{info}");
        }
    }
}
