//! What a service wants in the environment of its containers: asked by whoever may still edit config.json, before the
//! container is created. Names of directories and nothing else: whether the container gets its secrets is judged when the
//! hook asks for them, and no value ever stands in an environment.

use crate::model::CREDENTIALS_VARIABLE;
use crate::policy::Peer;
use crate::wire::{AgentReply, Deliver, PROTOCOL};

use super::{Deliveries, DeliveryError, exchange, identity};

impl Deliveries {
    /// The variables for the container that `request` is about.
    ///
    /// # Errors
    /// As for its delivery, which will be refused in the same words.
    pub(super) fn environment(&self, peer: &Peer, request: &Deliver) -> Result<AgentReply, DeliveryError> {
        if request.protocol != PROTOCOL {
            return Err(DeliveryError::Protocol(request.protocol));
        }
        let catalog = self.lock.catalog()?;
        let Some(claim) = identity::claim(&catalog, request, peer, &self.docker)? else {
            return Ok(AgentReply::Nothing);
        };
        let service = exchange::service(&catalog, &claim)?;
        let variables = if service.credentials { vec![CREDENTIALS_VARIABLE.to_owned()] } else { Vec::new() };
        Ok(AgentReply::Environment { variables })
    }
}
