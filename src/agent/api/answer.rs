//! What goes back to a client: a whole body or a stream of events, and the headers that every answer has.

use std::env::consts::OS;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::version;

/// An HTTP answer.
pub type HttpAnswer = Response<Either<Full<Bytes>, Lines>>;

/// An answer in the making.
pub struct Answer(HttpAnswer);

/// A body that is sent line by line as it is made.
pub struct Lines(mpsc::Receiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

impl Answer {
    fn new(status: StatusCode, content: &'static str, body: Either<Full<Bytes>, Lines>) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Self(response).header("Content-Type", content)
    }

    /// `200` with a text.
    pub fn text(text: &'static str) -> Self {
        Self::new(StatusCode::OK, "text/plain; charset=utf-8", Either::Left(text.into()))
    }

    /// `status` with `value` as JSON.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut text) => {
                text.push(b'\n');
                Self::new(status, "application/json", Either::Left(Full::from(text)))
            }
            Err(error) => Self::error(&ApiError::Internal(error.to_string())),
        }
    }

    /// `204`.
    pub fn nothing() -> Self {
        let mut answer = Self::text("").status(StatusCode::NO_CONTENT);
        answer.0.headers_mut().remove(CONTENT_TYPE);
        answer
    }

    /// `200` with JSON lines as `lines` brings them.
    pub fn lines(lines: mpsc::Receiver<Bytes>) -> Self {
        Self::new(StatusCode::OK, "application/json", Either::Right(Lines(lines)))
    }

    /// The status and words of `error`.
    pub fn error(error: &ApiError) -> Self {
        let message = json!({ "message": error.to_string() }).to_string();
        Self::new(error.status(), "application/json", Either::Left(Full::from(message)))
    }

    /// Sets a header.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("header names are written in this program");
        self.0.headers_mut().insert(name, HeaderValue::from_static(value));
        self
    }

    /// Ends the connection after this answer, so that its buffers, which held a value, are freed and wiped now.
    pub fn closing(mut self) -> Self {
        self.0.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    /// The answer with the headers by which Docker's clients know the server.
    pub fn finish(self) -> HttpAnswer {
        let mut response = self.header("Ostype", OS).header("Docker-Experimental", "false").0;
        let server = format!("runsecrets/{} ({OS})", env!("CARGO_PKG_VERSION"));
        for (name, value) in [("Api-Version", version::NEWEST.to_string()), ("Server", server)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// Sets the status.
    pub fn status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }
}
