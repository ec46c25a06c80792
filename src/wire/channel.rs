//! One end of the hook socket: frames in and out, with the descriptors that belong to them. Time-outs are set on the
//! socket by whoever made it.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::linux::fds;

use super::frame::{HEADER, WireError, body_length, decode, encode};

/// A connection between a hook and the agent.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    most_fds: usize,
}

/// An exchange broke off.
#[derive(Debug)]
pub enum ChannelError {
    /// The socket failed, timed out, or was closed by the peer (`UnexpectedEof`).
    Socket(io::Error),
    /// The peer sent something that is no message.
    Message(WireError),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) if error.kind() == io::ErrorKind::UnexpectedEof => f.write_str("the peer has hung up"),
            Self::Socket(error) if error.kind() == io::ErrorKind::WouldBlock => f.write_str("no answer in time"),
            Self::Socket(error) => write!(f, "{error}"),
            Self::Message(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ChannelError {}

impl From<WireError> for ChannelError {
    fn from(error: WireError) -> Self {
        Self::Message(error)
    }
}

impl Channel {
    /// Speaks over `stream`, and takes as many descriptors with one message as there can be.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, most_fds: fds::MAX_FDS }
    }

    /// Speaks over `stream`, and cuts a peer off that sends more than one descriptor or two with one message.
    pub fn taking_one(stream: UnixStream) -> Self {
        Self { stream, most_fds: 1 }
    }

    /// Sends one message, and `fds` beside it.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        fds::send(&self.stream, &encode(message)?, fds).map_err(ChannelError::Socket)
    }

    /// Waits for the next message awake, for `patience` at the most; [`Channel::receive`] then waits asleep.
    pub fn expect_soon(&self, patience: Duration) {
        fds::await_awake(&self.stream, patience);
    }

    /// Waits, for as long as it takes, until the peer has closed the connection; what it sends is not looked at.
    pub fn await_end(&self) {
        let mut unwanted = [0; 64];
        let _ = self.stream.set_read_timeout(None);
        while io::Read::read(&mut &self.stream, &mut unwanted).is_ok_and(|length| length > 0) {}
    }

    /// The connection itself.
    pub fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// Receives one message and the descriptors beside it.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn receive<T: DeserializeOwned>(&self) -> Result<(T, Vec<OwnedFd>), ChannelError> {
        let mut header = [0; HEADER];
        let fds = fds::receive(&self.stream, &mut header, self.most_fds).map_err(ChannelError::Socket)?;
        let mut body = vec![0; body_length(&header)?];
        // Descriptors come with the first byte of a frame: any that came later would be dropped by the kernel here.
        io::Read::read_exact(&mut &self.stream, &mut body).map_err(ChannelError::Socket)?;
        Ok((decode(&body)?, fds))
    }
}
