//! What only containers on Linux have, with the surface that it has there: secrets that leave before their container ends,
//! commands that tell containers of changes, and what a container may do that its secrets are not safe from.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::{CommandEnd, ContainerId, Id};

use super::{Deliveries, Delivery, DeliveryError, Order, Outcome};

/// What a container may do: nothing that could be said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {}

impl fmt::Display for Weakness {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// Whose secrets are to leave because it is healthy.
#[derive(Debug, Clone)]
pub enum Healthy {
    /// Containers of this id.
    Container(ContainerId),
    /// Every container of the service.
    Service(Id),
}

impl Deliveries {
    /// The containers that hold secrets now, by id, each with nothing that it may do.
    pub fn list_with_weaknesses(&self) -> Vec<(Delivery, Vec<Weakness>)> {
        self.list().into_iter().map(|delivery| (delivery, Vec::new())).collect()
    }

    /// The containers that hold secrets and whose id begins with `id`.
    pub fn beginning_with(&self, id: &str) -> BTreeSet<ContainerId> {
        self.list().into_iter().map(|delivery| delivery.id).filter(|known| known.as_str().starts_with(id)).collect()
    }

    /// No container has a secret until then: see [`DeliveryError::Until`].
    pub fn healthy(&self, _which: &Healthy) -> Vec<Outcome> {
        Vec::new()
    }

    /// Whether the system tells who reads.
    ///
    /// # Errors
    /// [`DeliveryError::Until`], always.
    pub fn sees_reads(&self) -> Result<(), DeliveryError> {
        Err(DeliveryError::Until)
    }

    /// The next command to be run: none.
    pub fn next_command(&self) -> Option<Order> {
        None
    }

    /// Whether a command waits: never.
    pub fn has_command(&self) -> bool {
        false
    }

    /// How a command ended: there is none of this number.
    pub fn command_ended(&self, _number: u64, _end: CommandEnd) -> bool {
        false
    }
}
