//! One HTTP request to the agent over its socket or pipe, with time-outs and a limit on the answer. It knows no command.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::runtime::Runtime;

use super::error::CliError;
use super::reach;
use super::template::Value;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: the agent's store may be busy.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest answer, in bytes: thousands of secrets with their labels.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The longest line of an event stream, in bytes.
const MAX_EVENT: usize = 1024 * 1024;

/// The agent, as seen from the command line.
pub(super) struct Agent {
    socket: PathBuf,
    runtime: Runtime,
}

/// `{"message": "…"}`.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Agent {
    /// The agent that listens at `socket`; nothing is sent yet.
    ///
    /// # Errors
    /// [`CliError::Runtime`].
    pub(super) fn at(socket: PathBuf) -> Result<Self, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
        Ok(Self { socket, runtime })
    }

    /// `GET path`: the JSON of the answer.
    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.ask(Method::GET, path, Vec::new())
    }

    /// `POST path` with the JSON in `body`.
    pub(super) fn post(&self, path: &str, body: Vec<u8>) -> Result<Value, CliError> {
        self.ask(Method::POST, path, body)
    }

    /// `POST path` without a body: the answer, if there is one in it.
    #[cfg_attr(windows, allow(dead_code, reason = "the notifier runs on Linux"))]
    pub(super) fn post_for<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<Option<T>, CliError> {
        let bytes = self.bytes(Method::POST, path, Vec::new())?;
        let read = || serde_json::from_slice(&bytes).map_err(|_| CliError::Answer { path: path.to_owned() });
        if bytes.is_empty() { Ok(None) } else { read().map(Some) }
    }

    /// `DELETE path`: the JSON of the answer, if there is one in it.
    pub(super) fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.ask(Method::DELETE, path, Vec::new())
    }

    fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, CliError> {
        let bytes = self.bytes(method, path, body)?;
        if bytes.is_empty() {
            return Ok(Value::Nil);
        }
        serde_json::from_slice(&bytes).map_err(|_| CliError::Answer { path: path.to_owned() })
    }

    fn bytes(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, CliError> {
        let asked = async { self.collect(self.send(method, path, body).await?).await };
        self.runtime.block_on(async { self.timed(ANSWER, asked).await })
    }

    /// `GET path`, an endless answer: `each` gets every line until it says stop or the agent ends.
    pub(super) fn stream(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> Result<bool, CliError>,
    ) -> Result<(), CliError> {
        self.runtime.block_on(async {
            let answer = self.timed(ANSWER, self.send(Method::GET, path, Vec::new())).await?;
            let mut body = answer.into_body();
            let mut pending = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broke_off(&error))?;
                pending.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let line = line.trim_ascii();
                    if !line.is_empty() && !each(line)? {
                        return Ok(());
                    }
                }
                if pending.len() > MAX_EVENT {
                    return Err(CliError::AnswerTooLong { limit: MAX_EVENT });
                }
            }
            Ok(())
        })
    }

    /// Connects, sends, and gives the answer when it is a success.
    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, CliError> {
        let unreachable = |cause| CliError::NoAgent { socket: self.socket.clone(), cause };
        let stream = match tokio::time::timeout(CONNECT, reach::connect(&self.socket)).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_) => return Err(unreachable(io::Error::from(io::ErrorKind::TimedOut))),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broke_off(&error))?;
        // The connection's own errors come back through `sender`.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "runsecrets")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| CliError::Talk { socket: self.socket.clone(), cause: error.to_string() })?;
        let answer = sender.send_request(request).await.map_err(|error| self.broke_off(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let bytes = self.collect(answer).await?;
        let words = serde_json::from_slice::<Refusal>(&bytes).map(|refusal| refusal.message);
        Err(CliError::Refused(words.unwrap_or_else(|_| status.to_string())))
    }

    async fn collect(&self, answer: Response<Incoming>) -> Result<Bytes, CliError> {
        match Limited::new(answer.into_body(), MAX_ANSWER).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(CliError::AnswerTooLong { limit: MAX_ANSWER })
            }
            Err(error) => Err(CliError::Talk { socket: self.socket.clone(), cause: error.to_string() }),
        }
    }

    async fn timed<T>(&self, limit: Duration, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        let late = |_| Err(CliError::TimedOut { socket: self.socket.clone() });
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }

    fn broke_off(&self, error: &hyper::Error) -> CliError {
        CliError::Talk { socket: self.socket.clone(), cause: error.to_string() }
    }
}

/// `text` fit for one segment of a path or one value of a query (RFC 3986, unreserved characters only).
pub(super) fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => safe.push(char::from(byte)),
            byte => {
                let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase();
                safe.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    safe
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "client_tests.rs"]
mod tests;
