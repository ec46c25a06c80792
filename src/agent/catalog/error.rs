//! Why the catalog refuses, in Docker's words where Docker has words for it.

use std::fmt;
use std::io;

use crate::model::{ModelError, SecretName, ServiceName, escaped};
use crate::seal::{Fault, Kind, SealError};
use crate::store::StoreError;

/// What sort of failure it was: the API makes an HTTP code of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no such object.
    NotFound,
    /// The name is taken.
    Conflict,
    /// The request cannot be carried out as it is.
    Invalid,
    /// A reference fits several objects.
    Ambiguous,
    /// A service grants the secret.
    InUse,
    /// The object changed since the caller looked.
    OutOfSequence,
    /// The disk of the store is full.
    NoRoom,
    /// The store is not what was written, or not this root key's.
    Corrupt,
    /// The store cannot be read or written now.
    Store,
}

/// Which sort of object a message speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A secret.
    Secret,
    /// A service.
    Service,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "secret",
            Self::Service => "service",
        })
    }
}

/// Why the catalog refuses.
#[derive(Debug)]
pub enum CatalogError {
    /// Nothing has this id, name or id prefix.
    NotFound {
        /// Of which sort.
        sort: Sort,
        /// What was asked for.
        reference: String,
    },
    /// Several ids begin so.
    Ambiguous {
        /// Of which sort.
        sort: Sort,
        /// What was asked for.
        reference: String,
        /// How many.
        count: usize,
    },
    /// The name is taken, perhaps in other case.
    Exists {
        /// Of which sort.
        sort: Sort,
        /// The name that was asked for.
        name: String,
    },
    /// A value has no bytes or too many.
    Size,
    /// Something other than a secret's labels was to be changed.
    LabelsOnly,
    /// The update names another version than the current one.
    OutOfSequence,
    /// One secret is given two values.
    Twice(SecretName),
    /// The version to roll back to is not there, or is the current one.
    NoVersion {
        /// The secret.
        secret: SecretName,
        /// Which one was asked for; none: the one before.
        number: Option<u64>,
    },
    /// Services grant the secret.
    InUse {
        /// The secret.
        secret: SecretName,
        /// The services, by name.
        services: Vec<ServiceName>,
    },
    /// Grants name secrets that do not exist.
    SourcesMissing(Vec<SecretName>),
    /// A delivery asks for what its service does not grant (any more).
    NotGranted {
        /// The service.
        service: ServiceName,
        /// The secret.
        secret: SecretName,
    },
    /// A grant or a label is not valid.
    Model(ModelError),
    /// A record could not be sealed or opened.
    Seal(SealError),
    /// The store failed.
    Store(StoreError),
}

impl CatalogError {
    /// What sort of failure it was.
    pub fn status(&self) -> Status {
        match self {
            Self::NotFound { .. } | Self::NoVersion { .. } => Status::NotFound,
            Self::Ambiguous { .. } => Status::Ambiguous,
            Self::Exists { .. } => Status::Conflict,
            Self::Size
            | Self::Twice(_)
            | Self::LabelsOnly
            | Self::SourcesMissing(_)
            | Self::NotGranted { .. }
            | Self::Model(_) => Status::Invalid,
            Self::OutOfSequence => Status::OutOfSequence,
            Self::InUse { .. } => Status::InUse,
            Self::Seal(SealError::Encoding | SealError::NotGranted) => Status::Invalid,
            Self::Seal(SealError::WrongRootKey | SealError::WrongUnlockKey | SealError::Damaged { .. }) => {
                Status::Corrupt
            }
            Self::Seal(SealError::Random(_) | SealError::Memory(_)) => Status::Store,
            Self::Store(StoreError::Damaged { .. } | StoreError::Outdated { .. }) => Status::Corrupt,
            Self::Store(StoreError::TooLong { .. }) => Status::Invalid,
            Self::Store(StoreError::Io { cause, .. })
                if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Status::NoRoom
            }
            Self::Store(_) => Status::Store,
        }
    }

    pub(super) fn damaged(kind: Kind, fault: Fault) -> Self {
        Self::Seal(SealError::Damaged { kind, fault })
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { sort, reference } => write!(f, "{sort} {} not found", escaped(reference)),
            Self::Ambiguous { sort, reference, count } => {
                write!(f, "{sort} {} is ambiguous ({count} matches found)", escaped(reference))
            }
            Self::Exists { sort, name } => write!(f, "{sort} {name} already exists"),
            Self::Size => write!(f, "secret data must be larger than 0 and less than 512000 bytes"),
            Self::LabelsOnly => write!(f, "only updates to Labels are allowed"),
            Self::Twice(secret) => write!(f, "secret '{secret}' is named twice; give it one value"),
            Self::OutOfSequence => write!(f, "update out of sequence"),
            Self::NoVersion { secret, number: Some(number) } => {
                write!(f, "secret '{secret}' has no earlier version {number}; see `runsecrets secret history {secret}`")
            }
            Self::NoVersion { secret, number: None } => {
                write!(f, "secret '{secret}' has no earlier version to roll back to")
            }
            Self::InUse { secret, services } => {
                let plural = if services.len() == 1 { "" } else { "s" };
                write!(f, "secret '{secret}' is in use by the following service{plural}: {}", listed(services))
            }
            Self::SourcesMissing(names) => {
                let plural = if names.len() == 1 { "" } else { "s" };
                write!(f, "secret{plural} not found: {}", listed(names))
            }
            Self::NotGranted { service, secret } => write!(
                f,
                "service {service} does not grant secret {secret}; add it with `runsecrets service update --secret-add`"
            ),
            Self::Model(cause) => write!(f, "{cause}"),
            Self::Seal(cause) => write!(f, "{cause}"),
            Self::Store(cause) => write!(f, "{cause}"),
        }
    }
}

fn listed<T: fmt::Display>(names: &[T]) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl std::error::Error for CatalogError {}

impl From<ModelError> for CatalogError {
    fn from(cause: ModelError) -> Self {
        Self::Model(cause)
    }
}

impl From<SealError> for CatalogError {
    fn from(cause: SealError) -> Self {
        Self::Seal(cause)
    }
}

impl From<StoreError> for CatalogError {
    fn from(cause: StoreError) -> Self {
        Self::Store(cause)
    }
}
