//! Questions to one Docker daemon: HTTP/1.0 GET over its Unix socket, within a time and a size. The version of HTTP is old
//! on purpose: its answers are not in pieces, and end where the connection ends.
//!
//! Source: RFC 1945; the Docker Engine API, which has answered every version of a client at paths without one.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt::SendTimeout,
};
use serde::de::DeserializeOwned;

use super::DockerError;
use crate::sys::linux::peer;

/// How long one daemon has for all that it is asked about a container.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer, in bytes: one container of a list, or one image.
const MAX_ANSWER: u64 = 1024 * 1024;

/// What one daemon is asked about one container.
pub(super) struct Conversation<'s> {
    socket: &'s Path,
    deadline: Instant,
}

impl<'s> Conversation<'s> {
    /// With the daemon at `socket`; its time runs from now on.
    pub(super) fn begin(socket: &'s Path) -> Self {
        Self { socket, deadline: Instant::now() + PATIENCE }
    }

    /// The answer to `GET path`; none: there is no such thing (404).
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, DockerError> {
        let silent = |cause| DockerError::Silent { socket: self.socket.to_owned(), cause: in_words(cause) };
        let stream = self.connect().map_err(silent)?;
        let listener = peer::credentials(&stream).map_err(silent)?.uid;
        if listener != 0 {
            return Err(DockerError::Impostor { socket: self.socket.to_owned(), uid: listener });
        }
        let answer = self.exchange(stream, path).map_err(silent)?;
        if answer.len() as u64 > MAX_ANSWER {
            return Err(self.strange("it is too long"));
        }
        match parse(&answer) {
            Some((200, body)) => {
                serde_json::from_slice(body).map(Some).map_err(|error| self.strange(&error.to_string()))
            }
            Some((404, _)) => Ok(None),
            Some((status, _)) => Err(self.strange(&format!("status {status}"))),
            None => Err(self.strange("it is not HTTP")),
        }
    }

    /// An answer that is not understood.
    pub(super) fn strange(&self, what: &str) -> DockerError {
        DockerError::Answer { socket: self.socket.to_owned(), what: what.to_owned() }
    }

    /// A connection; a daemon that does not accept is waited for no longer than for its answer.
    fn connect(&self) -> io::Result<UnixStream> {
        let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let stream = UnixStream::from(fd);
        // It is the time of connect(2) too: socket(7).
        let left = self.left()?;
        let time = nix::sys::time::TimeVal::new(left.as_secs() as i64, left.subsec_micros().into());
        setsockopt(&stream, SendTimeout, &time)?;
        connect(std::os::fd::AsRawFd::as_raw_fd(&stream), &UnixAddr::new(self.socket)?)?;
        Ok(stream)
    }

    /// All that the daemon says to `GET path`, and no more than one byte too many.
    fn exchange(&self, mut stream: UnixStream, path: &str) -> io::Result<Vec<u8>> {
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 8192];
        while answer.len() as u64 <= MAX_ANSWER {
            stream.set_read_timeout(Some(self.left()?))?;
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }

    /// The time that is left.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // Less than a microsecond would be no time-out at all.
        if left < Duration::from_micros(1) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// The system says of a time-out that the resource is temporarily unavailable.
fn in_words(cause: io::Error) -> io::Error {
    match cause.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("no answer within {} seconds", PATIENCE.as_secs()))
        }
        _ => cause,
    }
}

/// The status and the body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (answer.get(..end)?, answer.get(end + 4..)?);
    let line = std::str::from_utf8(head.split(|&byte| byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    let version = words.next()?;
    let status = words.next()?;
    let fine = version.starts_with("HTTP/1.") && status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| status.parse().ok()).flatten().map(|status| (status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a question comes to where the listener does this with the connection.
    fn told(listener: impl FnOnce(UnixStream) + Send + 'static) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || listener(socket.accept().unwrap().0));
        let answer = Conversation::begin(&path).get::<Vec<u32>>("/x");
        answer.map_or_else(|error| error.to_string(), |answer| format!("{answer:?}"))
    }

    /// Reads the question, then says `text`.
    fn say(mut stream: &UnixStream, text: &[u8]) {
        let mut question = [0; 64];
        let count = stream.read(&mut question).unwrap();
        assert!(question[..count].starts_with(b"GET /x HTTP/1.0\r\n"));
        // Who asked may have hung up.
        let _ = stream.write_all(text);
    }

    #[test]
    fn what_a_daemon_says_is_taken_or_refused() {
        let said = |text: &'static [u8]| told(move |stream| say(&stream, text));
        assert_eq!(said(b"HTTP/1.0 200 OK\r\n\r\n[1]"), "Some([1])");
        assert_eq!(said(b"HTTP/1.0 404 Not Found\r\n\r\n"), "None");
        assert!(said(b"HTTP/1.0 500 x\r\n\r\n").contains("gives a strange answer: status 500"));
        assert!(said(b"HTTP/1.0 200 OK\r\n\r\n[1").contains("gives a strange answer: EOF"));
        assert!(said(b"").contains("gives a strange answer: it is not HTTP"));
    }

    #[test]
    fn an_answer_without_end_is_cut_off() {
        let endless = told(|stream| {
            say(&stream, b"HTTP/1.0 200 OK\r\n\r\n");
            while (&stream).write_all(&[b' '; 65536]).is_ok() {}
        });
        assert!(endless.contains("gives a strange answer: it is too long"), "{endless}");
        let slow = told(|stream| {
            say(&stream, b"HTTP/1.0 200 OK\r\n\r\n");
            while (&stream).write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        assert!(slow.contains("no answer within 2 seconds"), "{slow}");
    }

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n[]"), Some((200, &b"[]"[..])));
        assert_eq!(parse(b"HTTP/1.1 404 Not Found\r\n\r\n"), Some((404, &b""[..])));
        for text in ["", "HTTP/1.0 200 OK", "SSH-2.0-x\r\n\r\n", "HTTP/1.0 +20 OK\r\n\r\n", "HTTP/1.0\r\n\r\n"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
