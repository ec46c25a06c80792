//! Calls and answers on one connection: a header, and a message behind it. Only calls with one question and one answer
//! are served. Whatever a peer sends gets an answer or is passed over; what it says of a length is checked first.
//!
//! Source: containerd/ttrpc, `PROTOCOL.md`.

use prost::Message as _;

use super::message::{Request, Response, Status};
use crate::model::escaped;

/// The length of a message, its stream, its kind and its flags.
const HEADER: usize = 10;
/// The longest message, without its header.
pub(super) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
/// More of a request is to come.
const REMOTE_OPEN: u8 = 2;

/// google.rpc.Code: the peer has said something that is not right.
pub(super) const INVALID_ARGUMENT: i32 = 3;
/// The same: something is too large.
pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
/// The same: it cannot be done as things are.
pub(super) const FAILED_PRECONDITION: i32 = 9;
/// The same: there is no such call.
pub(super) const UNIMPLEMENTED: i32 = 12;

/// A failure to be sent.
pub(super) fn status(code: i32, message: impl Into<String>) -> Status {
    Status { code, message: message.into() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    length: usize,
    stream: u32,
    kind: u8,
    flags: u8,
}

/// A message that has come; one that was too long has no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    head: Head,
    body: Option<Vec<u8>>,
}

/// What has come on one connection and is no whole message yet: never more than the longest one.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    head: Option<Head>,
    bytes: Vec<u8>,
    /// Bytes of a message that was too long, which are still to come.
    passed_over: usize,
}

impl Incoming {
    /// Takes in what has come, and gives each message to `whole` that is complete with it.
    pub(super) fn add(&mut self, mut part: &[u8], mut whole: impl FnMut(Message)) {
        loop {
            let passed_over = self.passed_over.min(part.len());
            self.passed_over -= passed_over;
            part = &part[passed_over..];
            let wanted = self.head.map_or(HEADER, |head| head.length);
            let (now, later) = part.split_at(part.len().min(wanted - self.bytes.len()));
            self.bytes.extend_from_slice(now);
            part = later;
            if self.bytes.len() < wanted {
                return;
            }
            let bytes = std::mem::take(&mut self.bytes);
            match self.head.take() {
                Some(head) => whole(Message { head, body: Some(bytes) }),
                None => {
                    let head = parse(&bytes);
                    if head.length > MAX_MESSAGE {
                        self.passed_over = head.length;
                        whole(Message { head, body: None });
                    } else {
                        self.head = Some(head);
                    }
                }
            }
        }
    }
}

fn parse(header: &[u8]) -> Head {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let (length, stream) = (number(&header[..4]), number(&header[4..8]));
    Head { length: length as usize, stream, kind: header[8], flags: header[9] }
}

fn packed(stream: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    // What this program sends is far below the limit.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &stream.to_be_bytes(), &[kind, 0], body].concat()
}

/// A call of `method`, as bytes.
pub(super) fn call(stream: u32, service: &str, method: &str, message: &impl prost::Message) -> Vec<u8> {
    let (service, method, payload) = (service.to_owned(), method.to_owned(), message.encode_to_vec());
    packed(stream, REQUEST, &Request { service, method, payload, timeout_nano: 0 }.encode_to_vec())
}

/// The answer to `message`, as bytes, if it is one that is answered: `serve` is given the method and the question of a
/// call of `service`.
pub(super) fn answer(
    message: &Message,
    service: &str,
    serve: impl FnOnce(&str, &[u8]) -> Result<Vec<u8>, Status>,
) -> Option<Vec<u8>> {
    let Head { stream, kind, flags, .. } = message.head;
    // An answer to an answer would be answered.
    if kind == RESPONSE {
        return None;
    }
    let answer = match &message.body {
        None => Err(status(RESOURCE_EXHAUSTED, format!("a message may have {MAX_MESSAGE} bytes"))),
        Some(_) if stream % 2 == 0 => Err(status(INVALID_ARGUMENT, "a caller's stream has an odd number")),
        Some(_) if kind != REQUEST => Err(status(INVALID_ARGUMENT, "no stream is open")),
        Some(_) if flags & REMOTE_OPEN != 0 => Err(status(UNIMPLEMENTED, "streams are not served")),
        Some(body) => match Request::decode(body.as_slice()) {
            Err(_) => Err(status(INVALID_ARGUMENT, "the request cannot be read")),
            Ok(request) if request.service != service => {
                Err(status(UNIMPLEMENTED, format!("there is no service {} here", escaped(&request.service))))
            }
            Ok(request) => serve(&request.method, &request.payload),
        },
    };
    let response = match answer {
        Ok(payload) => Response { status: None, payload },
        Err(status) => Response { status: Some(status), payload: Vec::new() },
    };
    Some(packed(stream, RESPONSE, &response.encode_to_vec()))
}

/// What `message` says to a call on `stream`; none if it is no answer to it.
pub(super) fn outcome(message: &Message, stream: u32) -> Option<Result<Vec<u8>, Status>> {
    if message.head.kind != RESPONSE || message.head.stream != stream {
        return None;
    }
    let response = message.body.as_deref().and_then(|body| Response::decode(body).ok());
    Some(match response {
        None => Err(status(INVALID_ARGUMENT, "the answer cannot be read")),
        Some(Response { status: Some(status), .. }) if status.code != 0 => Err(status),
        Some(Response { payload, .. }) => Ok(payload),
    })
}

#[cfg(test)]
#[path = "ttrpc_tests.rs"]
mod tests;
