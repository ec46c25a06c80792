//! What the API can ask of deliveries and Windows does not have: ends of secrets before their container's, commands in
//! containers, and what a container's privileges are enough for. Grants with an end are refused, not kept for longer.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deliveries, Delivery, DeliveryError, Outcome};
use crate::model::{Command, CommandEnd, ContainerId, Id, SecretName, Target, Timestamp, Until};

/// A secret that is in a container no more: none is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The secret.
    pub id: Id,
    /// Its name.
    pub name: SecretName,
    /// Which version of its value was there last.
    pub version: u64,
    /// Where it stood.
    pub target: Target,
    /// What has come to pass.
    pub until: Until,
    /// When.
    pub at: Timestamp,
}

/// A command that a container was told of a change by: none is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// What was run.
    pub command: Command,
    /// When.
    pub at: Timestamp,
    /// How it ended.
    pub state: String,
}

/// A command that is to be run: there is none.
#[derive(Debug, Serialize)]
pub enum Order {}

/// Something that a container may do that secrets are not safe from: nobody looks.
#[derive(Debug)]
pub enum Weakness {}

impl fmt::Display for Weakness {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// Whose secrets leave because it is healthy.
#[derive(Debug, Clone)]
pub enum Healthy {
    /// Containers of this id.
    Container(ContainerId),
    /// Every container of the service.
    Service(Id),
}

impl Deliveries {
    /// There is no command.
    pub fn has_command(&self) -> bool {
        false
    }

    /// There is no command.
    pub fn next_command(&self) -> Option<Order> {
        None
    }

    /// No command was running.
    pub fn command_ended(&self, _number: u64, _end: CommandEnd) -> bool {
        false
    }

    /// The containers that hold secrets now.
    pub fn list_with_weaknesses(&self) -> Vec<(Delivery, Vec<Weakness>)> {
        self.list().into_iter().map(|delivery| (delivery, Vec::new())).collect()
    }

    /// The containers whose id begins so.
    pub fn beginning_with(&self, id: &str) -> BTreeSet<ContainerId> {
        self.list().into_iter().map(|delivery| delivery.id).filter(|known| known.as_str().starts_with(id)).collect()
    }

    /// Nothing is there until a container is healthy.
    pub fn healthy(&self, _which: &Healthy) -> Vec<Outcome> {
        Vec::new()
    }

    /// Nobody sees reads.
    ///
    /// # Errors
    /// [`DeliveryError::Until`], always.
    pub fn sees_reads(&self) -> Result<(), DeliveryError> {
        Err(DeliveryError::Until)
    }
}
