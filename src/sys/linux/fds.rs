//! Bytes with descriptors over a Unix stream socket. It knows neither the frames nor the messages.
//!
//! Source: unix(7) SCM_RIGHTS.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockType, getsockopt, recvmsg, sendmsg, sockopt,
};

/// The most descriptors in one message: the kernel's SCM_MAX_FD.
pub const MAX_FDS: usize = 253;

/// Sends all of `bytes`, with `fds` beside the first of them.
///
/// # Errors
/// `InvalidInput` for more than [`MAX_FDS`] descriptors or no bytes to carry them; those of sendmsg(2).
pub fn send(stream: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MAX_FDS || bytes.is_empty() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let sent =
        retry(|| sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None))?;
    let mut rest: &UnixStream = stream;
    rest.write_all(&bytes[sent..])
}

/// Receives exactly as many bytes as `buffer` has, and the descriptors that came beside them, close-on-exec. More than
/// `most` of them are none of the caller's to keep: a peer that sends them is cut off (one more may pass, by padding).
///
/// # Errors
/// `UnexpectedEof` when the peer has gone; `InvalidData` when descriptors were lost on the way; those of recvmsg(2).
pub fn receive(stream: &UnixStream, buffer: &mut [u8], most: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::new();
    let room = u32::try_from(most.min(MAX_FDS) * size_of::<RawFd>()).unwrap_or(0);
    // SAFETY: plain arithmetic.
    let mut control = vec![0; unsafe { libc::CMSG_SPACE(room) } as usize];
    let (count, truncated) = {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = retry(|| {
            recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC).map(
                |message| {
                    // Taken at once, so that nothing leaks on the way out.
                    for control in message.cmsgs().into_iter().flatten() {
                        if let ControlMessageOwned::ScmRights(received) = control {
                            for fd in received {
                                // SAFETY: the kernel has just put this descriptor into our table for this message,
                                // and the message is read once.
                                fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
                            }
                        }
                    }
                    (message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC))
                },
            )
        });
        message?
    };
    if truncated {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "descriptors were cut off: more than there may be, or the receiver has too many open files (LimitNOFILE=)",
        ));
    }
    if count == 0 && !buffer.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    let mut rest: &UnixStream = stream;
    rest.read_exact(&mut buffer[count..])?;
    Ok(fds)
}

/// The connected Unix stream socket that whoever started this program has left open as number `number`: a copy of it,
/// close-on-exec, so that the number can be anybody's.
///
/// # Errors
/// `InvalidInput` for a standard stream or another kind of descriptor; those of fcntl(2) and getpeername(2).
pub fn inherited_stream(number: RawFd) -> io::Result<UnixStream> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: fcntl takes any number, and says so where it is no descriptor.
    let copy = super::check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) }.into())?;
    let copy = RawFd::try_from(copy).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    if getsockopt(&copy, sockopt::SockType)? != SockType::Stream {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let stream = UnixStream::from(copy);
    stream.peer_addr()?;
    Ok(stream)
}

/// Waits for something to read without giving up the processor for good: a sleeper takes longer to be woken than an
/// answer that is on its way takes to come. Returns when there is something, or after `patience`.
pub fn await_awake(stream: &UnixStream, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut watched = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    while poll(&mut watched, PollTimeout::ZERO) == Ok(0) && Instant::now() < deadline {
        std::thread::yield_now();
    }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_bytes() {
        let (left, right) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(b"content").unwrap();
        send(&left, b"hello", &[file.as_fd()]).unwrap();
        let mut buffer = [0; 5];
        let fds = receive(&right, &mut buffer, MAX_FDS).unwrap();
        assert_eq!((&buffer, fds.len()), (b"hello", 1));
        use std::io::Seek;
        let mut same = std::fs::File::from(fds.into_iter().next().unwrap());
        same.rewind().unwrap();
        assert_eq!(io::read_to_string(same).unwrap(), "content");
    }

    #[test]
    fn a_peer_that_has_gone_is_an_error_and_not_an_empty_message() {
        let (left, right) = UnixStream::pair().unwrap();
        drop(left);
        assert_eq!(receive(&right, &mut [0; 4], MAX_FDS).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_socket_that_was_left_open_is_taken_and_nothing_else() {
        let (left, right) = UnixStream::pair().unwrap();
        let mut taken = inherited_stream(left.as_raw_fd()).unwrap();
        drop(left);
        taken.write_all(b"hello").unwrap();
        let mut buffer = [0; 5];
        (&right).read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"hello");
        let file = tempfile::tempfile().unwrap();
        let alone = std::os::unix::net::UnixDatagram::unbound().unwrap();
        for number in [-1, 0, 2, i32::MAX, file.as_raw_fd(), alone.as_raw_fd()] {
            assert!(inherited_stream(number).is_err(), "{number}");
        }
    }

    #[test]
    fn the_most_descriptors_pass_and_one_more_is_refused() {
        let (left, right) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        send(&left, b"x", &vec![file.as_fd(); MAX_FDS]).unwrap();
        assert_eq!(receive(&right, &mut [0; 1], MAX_FDS).unwrap().len(), MAX_FDS);
        assert!(send(&left, b"x", &vec![file.as_fd(); MAX_FDS + 1]).is_err());
    }

    #[test]
    fn more_descriptors_than_are_wanted_cut_the_peer_off() {
        let (left, right) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        send(&left, b"x", &[file.as_fd()]).unwrap();
        assert_eq!(receive(&right, &mut [0; 1], 1).unwrap().len(), 1);
        send(&left, b"x", &[file.as_fd(); 3]).unwrap();
        assert_eq!(receive(&right, &mut [0; 1], 1).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
