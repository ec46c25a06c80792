//! Why the agent does not serve, and its exit code then: the same on every platform, but for the ways in.

use std::fmt;
use std::io;

use super::admin::DoorError;
use super::catalog::{CatalogError, Status};
use super::config::ConfigError;
use super::delivery::DeliveryError;
use super::exit;
use super::hardened::HardeningError;
use super::protected::ProtectionError;
use super::rootkey::RootKeyError;
use crate::store::StoreError;

/// Why the agent does not serve.
#[derive(Debug)]
pub enum StartError {
    /// The configuration.
    Config(ConfigError),
    /// The process's own protection.
    Hardening(HardeningError),
    /// A directory, a lock or a file.
    Protection(ProtectionError),
    /// The root key.
    RootKey(RootKeyError),
    /// The store.
    Store(StoreError),
    /// What the store holds.
    Catalog(CatalogError),
    /// Where secrets are delivered, or the records of deliveries.
    Delivery(DeliveryError),
    /// How it is reached, or started.
    Door(DoorError),
    /// Threads, timers or signals.
    Runtime(io::Error),
}

impl StartError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit::CONFIG,
            Self::Hardening(_) | Self::Delivery(_) | Self::Runtime(_) => exit::SYSTEM,
            Self::Protection(ProtectionError::Taken { .. }) | Self::Store(StoreError::InUse(_)) => exit::UNAVAILABLE,
            Self::Protection(_) | Self::RootKey(_) => exit::PROTECTION,
            Self::Catalog(error) if error.status() == Status::Corrupt => exit::DAMAGED,
            Self::Store(StoreError::Damaged { .. } | StoreError::Outdated { .. }) => exit::DAMAGED,
            Self::Catalog(_) | Self::Store(_) => exit::IO,
            Self::Door(error) => error.exit_code(),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Hardening(error) => error.fmt(f),
            Self::Protection(error) => error.fmt(f),
            Self::RootKey(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Catalog(error) => error.fmt(f),
            Self::Delivery(error) => error.fmt(f),
            Self::Door(error) => error.fmt(f),
            Self::Runtime(error) => write!(f, "cannot start the event loop: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

macro_rules! from {
    ($($variant:ident($error:ty)),+) => {
        $(impl From<$error> for StartError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from!(
    Config(ConfigError),
    Hardening(HardeningError),
    Protection(ProtectionError),
    RootKey(RootKeyError),
    Store(StoreError),
    Catalog(CatalogError),
    Delivery(DeliveryError),
    Door(DoorError)
);
