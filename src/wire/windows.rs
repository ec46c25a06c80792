//! What hook, wrapper and agent say to each other on Windows, over a pipe: one request, one answer, no descriptor. The frames
//! are those of the hook socket. No message carries a value.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Claim, ContainerId};

use super::frame::{HEADER, WireError, body_length, decode, encode};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PipeRequest {
    /// The secrets of a container that is about to be created, or to start.
    Deliver(PipeDeliver),
    /// A container has stopped, or will not be created.
    Withdraw {
        /// Its id.
        container: ContainerId,
        /// Its bundle.
        bundle: String,
    },
}

/// A request for the secrets of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipeDeliver {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The container's id: one container of this id at a time on a machine.
    pub container: ContainerId,
    /// The bundle's path.
    pub bundle: String,
    /// Which service it says it is. None: nobody has said so, and the asker was told to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The annotations of a container without a claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The root of its disk as the host reaches it; none where links cannot be written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// Where it has mounts, where it has a layer: what is linked below one would not be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// Its first process, where there is one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PipeAnswer {
    /// The values are there: the container is to have this mount, read-only.
    Mount {
        /// The directory on the host.
        source: String,
        /// Where in the container.
        at: String,
        /// What the operator should know, one line each.
        warnings: Vec<String>,
    },
    /// There is nothing to mount: the service has no grants, or the container is no service.
    Nothing,
    /// The secrets are gone.
    Withdrawn,
    /// No, and why: one line for the operator.
    Refused {
        /// What failed, then what to do.
        reason: String,
    },
}

/// An exchange broke off.
#[derive(Debug)]
pub enum PipeError {
    /// The pipe failed, or was closed by the peer.
    Pipe(io::Error),
    /// The peer sent something that is no message.
    Message(WireError),
    /// Whoever made the pipe is nobody to tell anything.
    Impostor,
    /// No answer in time.
    Late,
}

impl fmt::Display for PipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe(error) if error.kind() == io::ErrorKind::UnexpectedEof => f.write_str("the peer has hung up"),
            Self::Pipe(error) => write!(f, "{error}"),
            Self::Message(error) => write!(f, "{error}"),
            Self::Impostor => f.write_str(
                "the pipe is neither SYSTEM's nor the administrators': another program has taken its name, so nothing was sent",
            ),
            Self::Late => write!(f, "no answer within {} seconds", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for PipeError {}

impl From<WireError> for PipeError {
    fn from(error: WireError) -> Self {
        Self::Message(error)
    }
}

/// The pipe of hooks and wrappers.
pub const HOOK_PIPE: &str = r"\\.\pipe\runsecrets-hook";

/// How long an answer is waited for: the agent may have to wait for WMI, and for the disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the agent at `pipe`, after making sure that an administrator or SYSTEM is listening there.
///
/// # Errors
/// See [`PipeError`].
#[cfg(windows)]
pub fn ask(pipe: &std::ffi::OsStr, request: PipeRequest) -> Result<PipeAnswer, PipeError> {
    use crate::sys::windows::pipe_client::{connect, server_is_trusted};
    let mut stream = connect(pipe, PATIENCE).map_err(PipeError::Pipe)?;
    if !server_is_trusted(&stream).map_err(PipeError::Pipe)? {
        return Err(PipeError::Impostor);
    }
    // A read from a pipe has no time-out: a thread that still waits is left to the end of the process.
    let (answer, receiver) = std::sync::mpsc::channel();
    let asking = std::thread::spawn(move || {
        let exchanged = send(&mut stream, &request).and_then(|()| receive(&mut stream));
        let _ = answer.send(exchanged);
    });
    let answered = receiver.recv_timeout(PATIENCE).map_err(|_| PipeError::Late)?;
    // It is done. Wine takes a process's exit code from whichever of its threads ends last.
    let _ = asking.join();
    answered
}

/// Writes one message.
///
/// # Errors
/// See [`PipeError`].
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), PipeError> {
    // In one piece: a reader that waits for the rest of a frame could be made to wait.
    to.write_all(&encode(message)?).and_then(|()| to.flush()).map_err(PipeError::Pipe)
}

/// Reads one message.
///
/// # Errors
/// See [`PipeError`].
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, PipeError> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).map_err(PipeError::Pipe)?;
    let mut body = vec![0; body_length(&header)?];
    from.read_exact(&mut body).map_err(PipeError::Pipe)?;
    Ok(decode(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way() {
        let answer = PipeAnswer::Mount { source: r"C:\x".into(), at: r"C:\y".into(), warnings: vec!["w".into()] };
        let mut pipe = Vec::new();
        send(&mut pipe, &answer).unwrap();
        assert_eq!(receive::<PipeAnswer>(&mut pipe.as_slice()).unwrap(), answer);
    }

    #[test]
    fn what_is_cut_off_foreign_or_too_long_is_refused() {
        let mut pipe = Vec::new();
        send(&mut pipe, &PipeAnswer::Nothing).unwrap();
        let cut = receive::<PipeAnswer>(&mut &pipe[..pipe.len() - 1]).unwrap_err();
        assert_eq!(cut.to_string(), "the peer has hung up");
        assert!(matches!(
            receive::<PipeAnswer>(&mut &b"GET / HTTP/1.1"[..]),
            Err(PipeError::Message(WireError::Magic))
        ));
        let long = receive::<PipeAnswer>(&mut &b"RSH1\xff\xff\xff\xff"[..]);
        assert!(matches!(long, Err(PipeError::Message(WireError::TooLong(_)))));
    }
}
