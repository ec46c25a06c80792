//! Which service a container is: what the hook says it claims or, where the hook was told to ask, what the agent finds out
//! about it. It reads what engines say; it judges nothing (that is `policy`).

use crate::agent::catalog::Catalog;
use crate::model::Claim;
use crate::wire::Deliver;

use super::{DeliveryError, selectors};

/// The claim of the container that `request` is about; none: it is no service, and gets nothing.
///
/// # Errors
/// It is several services, or what has to be asked does not answer: the container is refused then, not started without
/// its secrets.
pub(super) fn claim(catalog: &Catalog, request: &Deliver) -> Result<Option<Claim>, DeliveryError> {
    match &request.claim {
        Some(claim) => Ok(Some(claim.clone())),
        None => selectors::claim(catalog, &request.annotations),
    }
}
