//! Which service a container is: what the hook says it claims or, where the hook was told to ask, what the agent finds out
//! about it. It reads what engines say; it judges nothing (that is `policy`).

use std::path::Path;

use crate::agent::docker::Docker;
use crate::model::Claim;
use crate::policy::Peer;
use crate::wire::Deliver;

use super::DeliveryError;

/// The claim of the container that `request` is about; none: it is no service, and gets nothing.
///
/// # Errors
/// What has to be asked does not answer: the container is refused then, not started without its secrets.
pub(super) fn claim(request: &Deliver, peer: &Peer, docker: &Docker) -> Result<Option<Claim>, DeliveryError> {
    // Where a bundle is, and with it whose container it is, is believed of root alone.
    if request.claim.is_some() || peer.uid != 0 {
        return Ok(request.claim.clone());
    }
    Ok(docker.claim(&request.container, Path::new(&request.bundle))?)
}
