//! What the API answers when it does not do what it was asked: Docker's status codes and words. A message never holds
//! a part of a request's body, because that may be a value.

use std::fmt;

use hyper::StatusCode;

use super::version;
use crate::agent::autolock::{AutolockError, Locked};
use crate::agent::catalog::{CatalogError, Status};
use crate::agent::delivery::PatternError;
use crate::model::{ModelError, escaped};
use crate::secret::SecretError;

/// Why a request was not done.
#[derive(Debug)]
pub enum ApiError {
    /// The body is longer than this kind of request may have.
    BodyTooLong(usize),
    /// The body did not come in time.
    BodyTooSlow,
    /// The connection broke in the middle of the body.
    BodyBroken,
    /// The lock could not be changed, or is closed.
    Autolock(AutolockError),
    /// The catalog refused.
    Catalog(CatalogError),
    /// The data of a secret is not base64.
    DataEncoding,
    /// A value of no bytes, or of too many.
    DataSize,
    /// More secrets are to be updated together than may be.
    GroupTooLarge(usize),
    /// A driver with this name was asked for: there are none.
    Driver(String),
    /// A driver without a name was asked for.
    DriverName,
    /// A filter that is not known.
    Filter(String),
    /// Filters that are not filters.
    FilterForm,
    /// A task of ours failed.
    Internal(String),
    /// The body is not the JSON that is expected: where it stops being it.
    Json {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// No locked memory.
    Memory(SecretError),
    /// A name, label or grant that is not valid.
    Model(ModelError),
    /// No command of this number is being run.
    NoCommand,
    /// No container of this id holds secrets.
    NoContainer(String),
    /// Several containers have ids that begin so.
    SeveralContainers(String),
    /// A grant whose end nobody would see.
    Until(String),
    /// A selector whose pattern cannot be used.
    Pattern(PatternError),
    /// A secret that is a template was asked for.
    Templating(String),
    /// A time that is not one.
    Time(String),
    /// `since` lies after `until`.
    TimeOrder,
    /// A path or method that is not ours.
    Unsupported {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// `version=` is not a number.
    VersionIndex,
    /// The client speaks a version of the API that is too new.
    VersionNew(String),
    /// The client speaks a version of the API that is too old.
    VersionOld(String),
}

impl ApiError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Catalog(error) => match error.status() {
                Status::NotFound => StatusCode::NOT_FOUND,
                Status::Conflict => StatusCode::CONFLICT,
                Status::Invalid | Status::Ambiguous | Status::InUse | Status::OutOfSequence => StatusCode::BAD_REQUEST,
                Status::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
                Status::Corrupt | Status::Store => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Driver(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Autolock(AutolockError::InvalidKey) => StatusCode::UNAUTHORIZED,
            Self::Autolock(AutolockError::NotOn) => StatusCode::CONFLICT,
            Self::Autolock(AutolockError::Locked(_)) | Self::Memory(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Autolock(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoCommand | Self::NoContainer(_) => StatusCode::NOT_FOUND,
            Self::Templating(_) | Self::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLong(limit) => write!(f, "the request body has more than {limit} bytes"),
            Self::BodyTooSlow => write!(f, "the request body did not come in time"),
            Self::BodyBroken => write!(f, "the request body is not complete"),
            Self::Catalog(error) => error.fmt(f),
            Self::DataEncoding => write!(f, "the secret's Data is not base64"),
            Self::GroupTooLarge(most) => {
                write!(f, "at most {most} secrets are updated together; do it in several steps")
            }
            Self::DataSize => write!(f, "secret data must be larger than 0 and less than 512000 bytes"),
            Self::Driver(name) => write!(f, "plugin \"{}\" not found", escaped(name)),
            Self::DriverName => write!(f, "secret driver must have a name"),
            Self::Filter(name) => write!(f, "invalid filter '{}'", escaped(name)),
            Self::FilterForm => {
                write!(f, "invalid filters: {{\"name\":[\"value\"]}} or {{\"name\":{{\"value\":true}}}} is expected")
            }
            Self::Autolock(error) => write!(f, "{error}"),
            Self::Internal(cause) => write!(f, "the agent failed: {cause}; its log says more"),
            Self::Json { line, column } => {
                write!(f, "the request body is not the JSON that is expected (line {line}, column {column})")
            }
            Self::Memory(error) => error.fmt(f),
            Self::Model(error) => error.fmt(f),
            Self::Pattern(error) => error.fmt(f),
            Self::NoContainer(id) => {
                write!(f, "no container '{}' holds secrets; `runsecrets ps` lists those that do", escaped(id))
            }
            Self::SeveralContainers(id) => {
                write!(f, "several containers have ids that begin with '{}'; give more of it", escaped(id))
            }
            Self::NoCommand => write!(f, "no command of this number is being run"),
            Self::Until(reason) => f.write_str(reason),
            Self::Templating(name) => write!(
                f,
                "templating driver \"{}\" is not supported yet: create the secret without --template-driver",
                escaped(name)
            ),
            Self::Time(text) => write!(f, "invalid time '{}': seconds since 1970 are expected", escaped(text)),
            Self::TimeOrder => write!(f, "since time is after until time"),
            Self::Unsupported { method, path, instead } => {
                write!(f, "runsecrets does not answer {} {}: {instead}", escaped(method), escaped(path))
            }
            Self::VersionIndex => write!(f, "invalid secret version"),
            Self::VersionNew(version) => write!(
                f,
                "client version {} is too new. Maximum supported API version is {}",
                escaped(version),
                version::NEWEST
            ),
            Self::VersionOld(version) => write!(
                f,
                "client version {} is too old. Minimum supported API version is {}, please upgrade your client to a \
                 newer version",
                escaped(version),
                version::OLDEST
            ),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<AutolockError> for ApiError {
    fn from(error: AutolockError) -> Self {
        Self::Autolock(error)
    }
}

impl From<Locked> for ApiError {
    fn from(locked: Locked) -> Self {
        Self::Autolock(AutolockError::Locked(locked))
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<PatternError> for ApiError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        Self::Memory(error)
    }
}

impl From<serde_json::Error> for ApiError {
    // Its words are left out on purpose: they quote the body.
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}
