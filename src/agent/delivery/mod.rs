//! A placeholder with the signatures that the sockets and the API use; it delivers nothing.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::Serialize;

use crate::model::{ContainerId, Id, SecretName, ServiceName, Target, Timestamp};

/// The containers that hold secrets now.
#[derive(Debug)]
pub struct Deliveries;

/// How the secrets of a container are kept from swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// tmpfs with `noswap`.
    Noswap,
}

/// One container and what it holds.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// The container.
    pub id: ContainerId,
    /// Its service.
    pub service: ServiceName,
    /// Its service's id.
    pub service_id: Id,
    /// The container's init.
    pub pid: i32,
    /// Since when it holds them.
    pub since: Timestamp,
    /// What it holds.
    pub secrets: Vec<Delivered>,
    /// How they are kept from swap.
    pub protection: Protection,
    /// The container's bundle.
    pub bundle: PathBuf,
}

/// One secret in a container.
#[derive(Debug, Clone, Serialize)]
pub struct Delivered {
    /// The secret.
    pub id: Id,
    /// Its name.
    pub name: SecretName,
    /// Which version of its value.
    pub version: u64,
    /// Where it stands.
    pub target: Target,
}

impl Deliveries {
    /// Serves one hook connection to its end; blocks.
    pub fn serve(&self, connection: UnixStream) {
        drop(connection);
    }

    /// The containers that hold secrets now.
    pub fn list(&self) -> Vec<Delivery> {
        Vec::new()
    }
}
