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

/// Whose a container is, as the kernel has it for its first process: what a user says about that is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    /// Who made its user namespace: the host's own is root's.
    pub user_namespace: u32,
    /// Who made the user namespace that its mount namespace belongs to.
    pub mount_namespace: u32,
    /// Whether each of its ids is one that its user namespace has a place for: root of the host may enter any namespace,
    /// and stays a stranger there.
    pub at_home: bool,
}

/// What the kernel gives as the uid of somebody whom the asker's user namespace has no place for: it names nobody.
///
/// Source: user_namespaces(7), /proc/sys/kernel/overflowuid.
const OVERFLOW_UID: u32 = 65534;

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
    /// The container does not belong to the peer, who is not root.
    NotYours {
        /// Who it is.
        uid: u32,
    },
    /// The service is not open to the peer, who is not root; also where there is no such service, which is not for
    /// everybody to know.
    NotOpen {
        /// The service.
        service: ServiceName,
        /// Who it is.
        uid: u32,
    },
    /// The peer, who is not root, asks for a SELinux label that is not one of containers' files.
    Label {
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
            Self::NotYours { uid } => write!(
                f,
                "the container's process is not in namespaces of uid {uid}, who asks for its secrets; run the container rootless as that user, or its runtime as root"
            ),
            Self::NotOpen { service, uid } => write!(
                f,
                "service {service} is not open to uid {uid}; an administrator opens it with `runsecrets service update --user-add {uid} {service}`"
            ),
            Self::Label { uid } => write!(
                f,
                "uid {uid} asks for a SELinux label that is not of the type container_file_t; leave mountLabel to the engine"
            ),
            Self::AnotherService { claimed, service } => {
                write!(f, "the container claims to be service {claimed}, not {service}; ask again under one name")
            }
            Self::TokenMissing(service) => write!(
                f,
                "service {service} requires a claim token and the container has none; set the annotation, or Docker label, io.runsecrets.claim"
            ),
            Self::TokenWrong(service) => write!(
                f,
                "the container's claim token is not that of service {service}; set the annotation, or Docker label, io.runsecrets.claim to the token that was printed when the service was made"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Decides whether `peer` may speak for a container that is `whose`: root for every one, a user for its own.
///
/// # Errors
/// [`Refusal::NotYours`].
pub fn may_speak_for(peer: &Peer, whose: Option<&Whose>) -> Result<(), Refusal> {
    let own = |whose: &Whose| {
        whose.user_namespace == peer.uid
            && whose.mount_namespace == peer.uid
            && whose.at_home
            && peer.uid != OVERFLOW_UID
    };
    match peer.uid == 0 || whose.is_some_and(own) {
        true => Ok(()),
        false => Err(Refusal::NotYours { uid: peer.uid }),
    }
}

/// The SELinux types that engines give to the files of containers.
const CONTAINER_FILE_TYPES: [&str; 3] = ["container_file_t", "container_ro_file_t", "svirt_sandbox_file_t"];

/// Decides whether `peer` may have files with the SELinux label `label`: the agent, which makes them, may use any.
///
/// # Errors
/// [`Refusal::Label`].
pub fn may_label(peer: &Peer, label: Option<&str>) -> Result<(), Refusal> {
    let kind = label.map(|label| label.split(':').nth(2).unwrap_or_default());
    match peer.uid == 0 || kind.is_none_or(|kind| CONTAINER_FILE_TYPES.contains(&kind)) {
        true => Ok(()),
        false => Err(Refusal::Label { uid: peer.uid }),
    }
}

/// Decides whether `peer` may have the secrets of `service` for `container`, which is `whose` (not needed for root).
///
/// `token_matches` answers whether a token hashes to what the service stores; it must take the same time for every token.
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn authorize(
    peer: &Peer,
    whose: Option<&Whose>,
    container: &ContainerId,
    claim: &Claim,
    service: &Service,
    token_matches: impl FnOnce(&str, &TokenHash) -> bool,
) -> Result<Authorized, Refusal> {
    may_speak_for(peer, whose)?;
    if claim.service.folded() != service.name.folded() {
        return Err(Refusal::AnotherService { claimed: claim.service.clone(), service: service.name.clone() });
    }
    is_open(peer.uid, service)?;
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

fn is_open(uid: u32, service: &Service) -> Result<(), Refusal> {
    match uid == 0 || service.users.contain(uid) {
        true => Ok(()),
        false => Err(Refusal::NotOpen { service: service.name.clone(), uid }),
    }
}

/// Decides whether a container of `uid` that was delivered to as the service `held` may have what that service grants now.
///
/// # Errors
/// [`Refusal::AnotherService`]: the service was removed, and another one has its name. [`Refusal::NotOpen`]: it was closed
/// to the user.
pub fn renew(
    uid: u32,
    container: &ContainerId,
    held: (&Id, &ServiceName),
    service: &Service,
) -> Result<Authorized, Refusal> {
    if *held.0 != service.id {
        return Err(Refusal::AnotherService { claimed: held.1.clone(), service: service.name.clone() });
    }
    is_open(uid, service)?;
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
    use std::collections::BTreeSet;

    use crate::model::{ClaimRoute, ID_ENTROPY, Labels, Selectors, Timestamp, Users};

    const ROOT: Peer = Peer { uid: 0, gid: 0, pid: 42 };

    fn service(require_claim: Option<&str>) -> Service {
        Service {
            id: Id::from_entropy([7; ID_ENTROPY]),
            name: ServiceName::parse("web").unwrap(),
            labels: Labels::default(),
            grants: Grants::try_from(vec![Grant::parse("tls.key").unwrap()]).unwrap(),
            selectors: Selectors::default(),
            require_claim: require_claim.map(|hash| TokenHash(hash.to_owned())),
            users: Users::try_from(BTreeSet::from([1000, OVERFLOW_UID])).unwrap(),
            credentials: false,
            notify: None,
            notify_command: None,
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
        decide_for(peer, Some(&whose(peer.uid)), claim, service)
    }

    fn decide_for(peer: &Peer, whose: Option<&Whose>, claim: &Claim, service: &Service) -> Result<Authorized, Refusal> {
        let container = ContainerId::parse("c1").unwrap();
        authorize(peer, whose, &container, claim, service, |token, hash| token == hash.0)
    }

    fn whose(uid: u32) -> Whose {
        Whose { user_namespace: uid, mount_namespace: uid, at_home: true }
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
    fn a_user_gets_only_what_is_open_to_it() {
        let peer = |uid| Peer { uid, ..ROOT };
        assert!(decide(&peer(1000), &claim("web", None), &service(None)).is_ok());
        let refusal = decide(&peer(1001), &claim("web", None), &service(None)).unwrap_err();
        assert!(matches!(refusal, Refusal::NotOpen { uid: 1001, .. }));
        assert!(refusal.to_string().contains("service update --user-add 1001 web"), "{refusal}");
        // A token opens a service to nobody.
        let guarded = service(Some("right"));
        let refusal = decide(&peer(1001), &claim("web", Some("right")), &guarded).unwrap_err();
        assert!(matches!(refusal, Refusal::NotOpen { .. }));
        assert!(matches!(decide(&peer(1000), &claim("web", None), &guarded).unwrap_err(), Refusal::TokenMissing(_)));
    }

    #[test]
    fn a_user_speaks_for_containers_in_namespaces_of_its_own_only() {
        let peer = Peer { uid: 1000, ..ROOT };
        let own = whose(1000);
        for foreign in [
            None,
            Some(whose(0)),
            Some(whose(1001)),
            Some(Whose { user_namespace: 0, ..own }),
            Some(Whose { mount_namespace: 0, ..own }),
            Some(Whose { mount_namespace: 1001, ..own }),
            Some(Whose { at_home: false, ..own }),
        ] {
            let refusal = decide_for(&peer, foreign.as_ref(), &claim("web", None), &service(None)).unwrap_err();
            assert_eq!(refusal, Refusal::NotYours { uid: 1000 }, "{foreign:?}");
            assert!(decide_for(&ROOT, foreign.as_ref(), &claim("web", None), &service(None)).is_ok());
        }
    }

    #[test]
    fn what_is_closed_to_a_user_is_not_renewed() {
        let (container, service) = (ContainerId::parse("c1").unwrap(), service(None));
        let renewed = |uid| renew(uid, &container, (&service.id, &service.name), &service);
        assert!(renewed(0).is_ok() && renewed(1000).is_ok());
        assert!(matches!(renewed(1001).unwrap_err(), Refusal::NotOpen { uid: 1001, .. }));
    }

    #[test]
    fn a_user_may_label_files_as_containers_files_only() {
        let user = Peer { uid: 1000, ..ROOT };
        for label in [None, Some("system_u:object_r:container_file_t:s0:c1,c2")] {
            assert_eq!(may_label(&user, label), Ok(()));
        }
        for label in ["system_u:object_r:shadow_t:s0", "container_file_t", "", "a:b:c:container_file_t"] {
            assert_eq!(may_label(&user, Some(label)), Err(Refusal::Label { uid: 1000 }), "{label}");
            assert_eq!(may_label(&ROOT, Some(label)), Ok(()));
        }
    }

    #[test]
    fn a_uid_that_names_nobody_speaks_for_nobody() {
        let nobody = Peer { uid: OVERFLOW_UID, ..ROOT };
        let refusal = decide(&nobody, &claim("web", None), &service(None)).unwrap_err();
        assert_eq!(refusal, Refusal::NotYours { uid: OVERFLOW_UID });
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
