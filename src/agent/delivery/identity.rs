//! Which service a container is: what the hook says it claims or, where the hook was told to ask, what the agent finds out
//! about it. It reads what engines say; it judges nothing (that is `policy`).

use std::path::Path;

use crate::agent::catalog::Catalog;
use crate::agent::docker::Docker;
use crate::model::Claim;
use crate::policy::Peer;
use crate::wire::Deliver;

use super::{DeliveryError, selectors};

/// The claim of the container that `request` is about; none: it is no service, and gets nothing.
///
/// # Errors
/// It is several services, or what has to be asked does not answer: the container is refused then, not started without
/// its secrets.
pub(super) fn claim(
    catalog: &Catalog,
    request: &Deliver,
    peer: &Peer,
    docker: &Docker,
) -> Result<Option<Claim>, DeliveryError> {
    // Where a bundle is, and what an engine has stamped on it, is believed of root alone.
    if request.claim.is_some() || peer.uid != 0 {
        return Ok(request.claim.clone());
    }
    match docker.claim(&request.container, Path::new(&request.bundle))? {
        Some(claim) => Ok(Some(claim)),
        None => selectors::claim(catalog, &request.annotations),
    }
}
