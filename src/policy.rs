//! Who may have what: a peer that speaks for a container, its claim, and the service it claims to be, to [`Authorized`] or
//! a refusal. Pure: no I/O, no cryptography (whether a token is the right one comes in as an answer), no store.
#![forbid(unsafe_code)]

use std::fmt;

use crate::model::{Claim, ContainerId, Grant, Grants, Id, Service, ServiceName, TokenHash};

/// The process at the other end of the hook socket, as the kernel names it.
///
/// Source: unix(7), SO_PEERCRED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user when it connected.
    pub uid: u32,
    /// Its effective group when it connected.
    pub gid: u32,
    /// Its process id when it connected: may be another process by now.
    pub pid: i32,
}

/// Proof that a container may have the secrets of a service. Only [`authorize`] makes one, and no value is opened without.
#[derive(Debug)]
#[must_use]
pub struct Authorized {
    container: ContainerId,
    service: Id,
    name: ServiceName,
    grants: Grants,
}

impl Authorized {
    /// The container that was authorised.
    pub fn container(&self) -> &ContainerId {
        &self.container
    }

    /// The id of the service it is.
    pub fn service_id(&self) -> &Id {
        &self.service
    }

    /// The name of the service it is.
    pub fn service_name(&self) -> &ServiceName {
        &self.name
    }

    /// What it may have, as it stood when the decision was made.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Whether `grant` is one of [`Authorized::grants`], to the letter.
    pub fn covers(&self, grant: &Grant) -> bool {
        self.grants.as_slice().contains(grant)
    }
}

/// Why a container gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The peer is not root.
    NotRoot {
        /// Who it is.
        uid: u32,
    },
    /// The service looked up is not the one that was claimed.
    AnotherService {
        /// What the container claims to be.
        claimed: ServiceName,
        /// What was looked up.
        service: ServiceName,
    },
    /// The service asks for a token and the container brings none.
    TokenMissing(ServiceName),
    /// The container's token is not the service's.
    TokenWrong(ServiceName),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot { uid } => write!(
                f,
                "a delivery was asked for by uid {uid}; only root may, rootless containers are not supported yet: run the container runtime as root"
            ),
            Self::AnotherService { claimed, service } => {
                write!(f, "the container claims to be service {claimed}, not {service}; ask again under one name")
            }
            Self::TokenMissing(service) => write!(
                f,
                "service {service} requires a claim token and the container has none; set the annotation io.runsecrets.claim"
            ),
            Self::TokenWrong(service) => write!(
                f,
                "the container's claim token is not that of service {service}; set the annotation io.runsecrets.claim to the token that was printed when the service was made"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Decides whether `peer` may have the secrets of `service` for `container`.
///
/// `token_matches` answers whether a token hashes to what the service stores; it must take the same time for every token.
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn authorize(
    peer: &Peer,
    container: &ContainerId,
    claim: &Claim,
    service: &Service,
    token_matches: impl FnOnce(&str, &TokenHash) -> bool,
) -> Result<Authorized, Refusal> {
    if peer.uid != 0 {
        return Err(Refusal::NotRoot { uid: peer.uid });
    }
    if claim.service.folded() != service.name.folded() {
        return Err(Refusal::AnotherService { claimed: claim.service.clone(), service: service.name.clone() });
    }
    if let Some(hash) = &service.require_claim {
        let Some(token) = &claim.token else { return Err(Refusal::TokenMissing(service.name.clone())) };
        if !token_matches(token, hash) {
            return Err(Refusal::TokenWrong(service.name.clone()));
        }
    }
    Ok(Authorized {
        container: container.clone(),
        service: service.id.clone(),
        name: service.name.clone(),
        grants: service.grants.clone(),
    })
}

/// Decides whether a container that was delivered to as the service `held` may have what that service grants now.
///
/// # Errors
/// [`Refusal::AnotherService`]: the service was removed, and another one has its name.
pub fn renew(container: &ContainerId, held: (&Id, &ServiceName), service: &Service) -> Result<Authorized, Refusal> {
    if *held.0 != service.id {
        return Err(Refusal::AnotherService { claimed: held.1.clone(), service: service.name.clone() });
    }
    Ok(Authorized {
        container: container.clone(),
        service: service.id.clone(),
        name: service.name.clone(),
        grants: service.grants.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClaimRoute, ID_ENTROPY, Labels, Selectors, Timestamp};

    const ROOT: Peer = Peer { uid: 0, gid: 0, pid: 42 };

    fn service(require_claim: Option<&str>) -> Service {
        Service {
            id: Id::from_entropy([7; ID_ENTROPY]),
            name: ServiceName::parse("web").unwrap(),
            labels: Labels::default(),
            grants: Grants::try_from(vec![Grant::parse("tls.key").unwrap()]).unwrap(),
            selectors: Selectors::default(),
            require_claim: require_claim.map(|hash| TokenHash(hash.to_owned())),
            credentials: false,
            created: Timestamp(1),
            updated: Timestamp(1),
            index: 1,
        }
    }

    fn claim(name: &str, token: Option<&str>) -> Claim {
        Claim {
            service: ServiceName::parse(name).unwrap(),
            route: ClaimRoute::Annotation,
            token: token.map(str::to_owned),
        }
    }

    fn decide(peer: &Peer, claim: &Claim, service: &Service) -> Result<Authorized, Refusal> {
        let container = ContainerId::parse("c1").unwrap();
        authorize(peer, &container, claim, service, |token, hash| token == hash.0)
    }

    #[test]
    fn root_gets_exactly_the_grants_of_the_service() {
        let authorized = decide(&ROOT, &claim("web", None), &service(None)).unwrap();
        assert_eq!(authorized.service_name().as_str(), "web");
        assert_eq!(authorized.container().as_str(), "c1");
        assert!(authorized.covers(&Grant::parse("tls.key").unwrap()));
        assert!(!authorized.covers(&Grant::parse("source=tls.key,mode=0400").unwrap()));
        assert!(!authorized.covers(&Grant::parse("other").unwrap()));
    }

    #[test]
    fn anyone_but_root_is_refused() {
        let peer = Peer { uid: 1000, ..ROOT };
        let refusal = decide(&peer, &claim("web", None), &service(None)).unwrap_err();
        assert_eq!(refusal, Refusal::NotRoot { uid: 1000 });
        assert!(refusal.to_string().contains("rootless"), "{refusal}");
    }

    #[test]
    fn a_claim_of_another_service_is_refused() {
        let refusal = decide(&ROOT, &claim("db", None), &service(None)).unwrap_err();
        assert!(matches!(refusal, Refusal::AnotherService { .. }));
    }

    #[test]
    fn a_required_token_must_be_there_and_be_right() {
        let guarded = service(Some("right"));
        let missing = decide(&ROOT, &claim("web", None), &guarded).unwrap_err();
        let wrong = decide(&ROOT, &claim("web", Some("very-secret-guess")), &guarded).unwrap_err();
        assert!(matches!(missing, Refusal::TokenMissing(_)));
        assert!(matches!(wrong, Refusal::TokenWrong(_)));
        assert!(!wrong.to_string().contains("very-secret-guess"));
        assert!(decide(&ROOT, &claim("web", Some("right")), &guarded).is_ok());
    }

    #[test]
    fn a_token_that_nobody_asked_for_is_ignored() {
        assert!(decide(&ROOT, &claim("WEB", Some("anything")), &service(None)).is_ok());
    }
}
