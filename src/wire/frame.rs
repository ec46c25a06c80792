//! Frames: eight bytes of header, then one JSON message. The length is judged before anything is allocated for it.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a header: four of magic, four of length (little-endian).
pub const HEADER: usize = 8;
/// The longest body, in bytes: 4,096 mounts with long paths fit.
pub const MAX_BODY: usize = 1024 * 1024;
const MAGIC: [u8; 4] = *b"RSH1";

/// Bytes that are no message.
#[derive(Debug)]
pub enum WireError {
    /// The header does not begin as ours do: another program, or another version.
    Magic,
    /// The body is longer than [`MAX_BODY`].
    TooLong(usize),
    /// The body is not the JSON of a message. The parser's text may quote the peer, so only the place is kept.
    Json {
        /// Column of the first byte that does not fit.
        column: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(f, "the peer does not speak this protocol; are hook and agent of one version?"),
            Self::TooLong(length) => write!(f, "a message of {length} bytes is longer than the {MAX_BODY} allowed"),
            Self::Json { column } => {
                write!(f, "a message is malformed at byte {column}; are hook and agent of one version?")
            }
        }
    }
}

impl std::error::Error for WireError {}

/// A message as a frame.
///
/// # Errors
/// [`WireError::TooLong`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut frame = vec![0; HEADER];
    // Our own messages always serialise: their keys are text.
    serde_json::to_writer(&mut frame, message).map_err(|error| WireError::Json { column: error.column() })?;
    let length = frame.len() - HEADER;
    let field = u32::try_from(length).ok().filter(|_| length <= MAX_BODY).ok_or(WireError::TooLong(length))?;
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..HEADER].copy_from_slice(&field.to_le_bytes());
    Ok(frame)
}

/// How many bytes of body follow a header.
///
/// # Errors
/// [`WireError::Magic`], [`WireError::TooLong`].
pub fn body_length(header: &[u8; HEADER]) -> Result<usize, WireError> {
    let [a, b, c, d, length @ ..] = header;
    if [*a, *b, *c, *d] != MAGIC {
        return Err(WireError::Magic);
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_BODY { Err(WireError::TooLong(length)) } else { Ok(length) }
}

/// The message that a body is.
///
/// # Errors
/// [`WireError::Json`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|error| WireError::Json { column: error.column() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{AgentReply, HookRequest};

    #[test]
    fn a_message_survives_the_way() {
        let frame = encode(&AgentReply::Nothing).unwrap();
        let header: &[u8; HEADER] = frame[..HEADER].try_into().unwrap();
        assert_eq!(body_length(header).unwrap(), frame.len() - HEADER);
        assert_eq!(decode::<AgentReply>(&frame[HEADER..]).unwrap(), AgentReply::Nothing);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_it_is_allocated() {
        let mut header = *b"RSH1\0\0\0\0";
        header[4..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(body_length(&header), Err(WireError::TooLong(_))));
    }

    #[test]
    fn strangers_and_garbage_are_refused_without_being_quoted() {
        assert!(matches!(body_length(b"GET / HT"), Err(WireError::Magic)));
        let error = decode::<HookRequest>(b"{\"Deliver\":\"hunter2\"}").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
