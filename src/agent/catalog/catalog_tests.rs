//! The catalog over a store in memory: Docker's semantics and words.

use super::*;
use crate::model::{Claim, ClaimRoute, ContainerId, Grant, Grants, Labels, SecretName, ServiceName, Timestamp};
use crate::policy::{Authorized, Peer, authorize};
use crate::seal::token_matches;
use crate::secret::{MAX_VALUE, SecretBytes};
use crate::store::MemoryStore;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
const LATER: Timestamp = Timestamp(1_700_000_001_000_000_000);

fn catalog() -> Catalog {
    Catalog::open(Arc::new(MemoryStore::new()), RootKey::generate().unwrap()).unwrap()
}

fn value(bytes: &[u8]) -> SecretBytes {
    SecretBytes::take_from(&mut bytes.to_vec()).unwrap()
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn create(catalog: &Catalog, text: &str) -> Result<SecretInfo, CatalogError> {
    catalog.create_secret(name(text), Labels::default(), value(text.as_bytes()), NOW)
}

fn serve(catalog: &Catalog, service: &str, grants: &[&str]) -> Result<Service, CatalogError> {
    let grants = grants.iter().map(|text| Grant::parse(text).unwrap()).collect::<Vec<_>>();
    let grants = Grants::try_from(grants).unwrap();
    let new = NewService { grants, ..NewService::named(ServiceName::parse(service).unwrap()) };
    catalog.create_service(new, NOW)
}

fn authorized(service: &Service) -> Authorized {
    let claim = Claim { service: service.name.clone(), route: ClaimRoute::Argument, token: None };
    let peer = Peer { uid: 0, gid: 0, pid: 1 };
    authorize(&peer, None, &ContainerId::parse("c1").unwrap(), &claim, service, token_matches).unwrap()
}

fn said<T>(result: Result<T, CatalogError>) -> (Status, String) {
    let error = result.err().expect("this must be refused");
    (error.status(), error.to_string())
}

#[test]
fn what_was_stored_is_what_a_granted_container_gets() {
    let catalog = catalog();
    let secret = catalog.create_secret(name("key"), Labels::default(), value(b"a\0b\xff"), NOW).unwrap();
    let service = serve(&catalog, "web", &["key"]).unwrap();
    let (info, version, opened) = catalog.open_value(&authorized(&service), &service.grants.as_slice()[0]).unwrap();
    assert_eq!((&info, version, opened.expose()), (&secret, 1, &b"a\0b\xff"[..]));
    assert_eq!(secret.current().unwrap().size, 4);
}

#[test]
fn a_grant_that_was_not_authorised_or_was_revoked_opens_nothing() {
    let catalog = catalog();
    create(&catalog, "a").unwrap();
    create(&catalog, "b").unwrap();
    let service = serve(&catalog, "web", &["a"]).unwrap();
    let proof = authorized(&service);
    let other = Grant::parse("b").unwrap();
    assert_eq!(said(catalog.open_value(&proof, &other)).0, Status::Invalid);
    let change = ServiceChange { secret_rm: vec!["a".into()], ..ServiceChange::default() };
    catalog.update_service("web", None, &change, LATER).unwrap();
    assert_eq!(said(catalog.open_value(&proof, &Grant::parse("a").unwrap())).0, Status::Invalid);
    catalog.remove_service("web").unwrap();
    assert_eq!(said(catalog.open_value(&proof, &Grant::parse("a").unwrap())).0, Status::NotFound);
}

#[test]
fn sizes_are_dockers() {
    let catalog = catalog();
    let text = "secret data must be larger than 0 and less than 512000 bytes";
    for len in [0, MAX_VALUE + 1] {
        let bytes = SecretBytes::zeroed(len).unwrap();
        let refused = catalog.create_secret(name("s"), Labels::default(), bytes, NOW);
        assert_eq!(said(refused), (Status::Invalid, text.into()), "{len}");
    }
    for (secret, len) in [("one", 1), ("most", MAX_VALUE)] {
        let mut bytes = SecretBytes::zeroed(len).unwrap();
        bytes.expose_mut().fill(0x5A);
        catalog.create_secret(name(secret), Labels::default(), bytes, NOW).unwrap();
    }
    let service = serve(&catalog, "web", &["most"]).unwrap();
    let opened = catalog.open_value(&authorized(&service), &service.grants.as_slice()[0]).unwrap().2;
    assert!(opened.len() == MAX_VALUE && opened.expose().iter().all(|byte| *byte == 0x5A));
}

#[test]
fn names_are_unique_without_case() {
    let catalog = catalog();
    create(&catalog, "s1").unwrap();
    assert_eq!(said(create(&catalog, "S1")), (Status::Conflict, "secret S1 already exists".into()));
    serve(&catalog, "web", &[]).unwrap();
    assert_eq!(said(serve(&catalog, "WEB", &[])), (Status::Conflict, "service WEB already exists".into()));
}

#[test]
fn references_are_id_then_name_then_unique_prefix() {
    let catalog = catalog();
    let first = create(&catalog, "first").unwrap();
    // Named like the other's id: the id wins, and its name is found no more by that text.
    let second = create(&catalog, first.id.as_str()).unwrap();
    assert_eq!(catalog.secret(first.id.as_str()).unwrap().id, first.id);
    assert_eq!(catalog.secret("first").unwrap().id, first.id);
    assert_eq!(catalog.secret(second.id.as_str()).unwrap().id, second.id);
    assert_eq!(catalog.secret("FIRST").unwrap().id, first.id);
    for reference in ["fir", "", "no\nsuch"] {
        assert_eq!(said(catalog.secret(reference)).0, Status::NotFound, "{reference:?}");
    }
    assert_eq!(said(catalog.secret("non-existing")).1, "secret non-existing not found");
    assert_eq!(said(catalog.secret("no\nsuch")).1, "secret no\\nsuch not found");
    assert_eq!(said(catalog.service("nope")).1, "service nope not found");
}

#[test]
fn prefixes_of_several_ids_are_ambiguous() {
    let catalog = catalog();
    // More secrets than there are first characters, so two ids begin alike.
    // With names that no id begins with: a name goes before a part of an id.
    let ids: Vec<String> = (0..37).map(|n| create(&catalog, &format!("s-{n}")).unwrap().id.to_string()).collect();
    let shared = ids.iter().map(|id| &id[..1]).find(|first| ids.iter().filter(|id| id.starts_with(first)).count() > 1);
    let shared = shared.unwrap();
    let count = ids.iter().filter(|id| id.starts_with(shared)).count();
    let text = format!("secret {shared} is ambiguous ({count} matches found)");
    assert_eq!(said(catalog.secret(shared)), (Status::Ambiguous, text));
    let id = &ids[0];
    let unique = (2..25).map(|len| &id[..len]).find(|p| ids.iter().filter(|id| id.starts_with(*p)).count() == 1);
    assert_eq!(catalog.secret(unique.unwrap()).unwrap().id.as_str(), id);
}

#[test]
fn a_secret_in_use_is_not_removed() {
    let catalog = catalog();
    create(&catalog, "S").unwrap();
    serve(&catalog, "B", &["S"]).unwrap();
    let one = "secret 'S' is in use by the following service: B";
    assert_eq!(said(catalog.remove_secret("S")), (Status::InUse, one.into()));
    serve(&catalog, "A", &["S"]).unwrap();
    let two = "secret 'S' is in use by the following services: A, B";
    assert_eq!(said(catalog.remove_secret("S")), (Status::InUse, two.into()));
    catalog.remove_service("A").unwrap();
    catalog.remove_service("B").unwrap();
    catalog.remove_secret("S").unwrap();
    assert_eq!(said(catalog.secret("S")).0, Status::NotFound);
    create(&catalog, "s").unwrap();
}

#[test]
fn only_labels_of_a_secret_change() {
    let catalog = catalog();
    let secret = create(&catalog, "s").unwrap();
    let labels = Labels::parse(["stage=prod"]).unwrap();
    let refused = (Status::Invalid, "only updates to Labels are allowed".to_owned());
    let relabel = |index, name, data: Option<&[u8]>| {
        let data = data.map(value);
        catalog.relabel_secret("s", index, name, labels.clone(), data.as_ref(), LATER)
    };
    assert_eq!(said(relabel(secret.index, Some("other"), None)), refused);
    assert_eq!(said(relabel(secret.index, None, Some(b"x"))), refused);
    assert_eq!(said(relabel(secret.index, None, Some(b"longer"))), refused);
    let stale = (Status::OutOfSequence, "update out of sequence".to_owned());
    assert_eq!(said(relabel(secret.index + 1, None, None)), stale);
    let changed = relabel(secret.index, Some("s"), Some(b"s")).unwrap();
    assert!(changed.index > secret.index && changed.updated == LATER && changed.created == NOW);
    assert_eq!(changed.labels, labels);
    assert_eq!(said(relabel(secret.index, None, None)), stale);
    assert_eq!(catalog.secret("s").unwrap(), changed);
}

#[test]
fn grants_name_secrets_by_name_or_id_and_are_kept_by_name() {
    let catalog = catalog();
    let secret = create(&catalog, "Site.Key").unwrap();
    let by_id = format!("source={},target=k", secret.id);
    let service = serve(&catalog, "web", &["site.key", &by_id]).unwrap();
    assert!(service.grants.as_slice().iter().all(|grant| grant.source == secret.name));
    let change = ServiceChange { secret_rm: vec![secret.id.to_string()], ..ServiceChange::default() };
    assert!(catalog.update_service("web", None, &change, LATER).unwrap().grants.as_slice().is_empty());
}

#[test]
fn missing_sources_are_named_all_at_once() {
    let catalog = catalog();
    create(&catalog, "here").unwrap();
    assert_eq!(said(serve(&catalog, "web", &["gone"])), (Status::Invalid, "secret not found: gone".into()));
    let refused = said(serve(&catalog, "web", &["gone", "here", "lost"]));
    assert_eq!(refused, (Status::Invalid, "secrets not found: gone, lost".into()));
    serve(&catalog, "web", &[]).unwrap();
    let change = ServiceChange { secret_add: vec![Grant::parse("gone").unwrap()], ..ServiceChange::default() };
    assert_eq!(said(catalog.update_service("web", None, &change, LATER)).1, "secret not found: gone");
}

#[test]
fn updates_remove_before_they_add_and_keep_sequence() {
    let catalog = catalog();
    create(&catalog, "s").unwrap();
    let service = serve(&catalog, "web", &["s"]).unwrap();
    let change = ServiceChange {
        secret_add: vec![Grant::parse("source=s,target=/etc/s").unwrap()],
        secret_rm: vec!["s".into(), "never-granted".into()],
        label_add: Labels::parse(["a=1", "b=2"]).unwrap(),
        ..ServiceChange::default()
    };
    let stale = said(catalog.update_service("web", Some(service.index + 1), &change, LATER));
    assert_eq!(stale, (Status::OutOfSequence, "update out of sequence".into()));
    let moved = catalog.update_service("web", Some(service.index), &change, LATER).unwrap();
    assert_eq!(moved.grants.as_slice()[0].target.as_str(), "/etc/s");
    assert_eq!(moved.grants.as_slice().len(), 1);
    let change = ServiceChange { label_rm: vec!["a".into()], ..ServiceChange::default() };
    let dropped = catalog.update_service("web", None, &change, LATER).unwrap();
    assert_eq!(dropped.labels, Labels::parse(["b=2"]).unwrap());
    assert!(dropped.index > moved.index);
    let twice =
        ServiceChange { secret_add: vec![Grant::parse("source=s,target=/etc/s").unwrap()], ..Default::default() };
    let text = "secret references 's' and 's' have a conflicting target: '/etc/s'";
    assert_eq!(said(catalog.update_service("web", None, &twice, LATER)), (Status::Invalid, text.into()));
}

#[test]
fn prune_takes_what_no_service_grants() {
    let catalog = catalog();
    for secret in ["b", "a", "used"] {
        create(&catalog, secret).unwrap();
    }
    serve(&catalog, "web", &["used"]).unwrap();
    let pruned: Vec<String> = catalog.prune_secrets().unwrap().iter().map(|secret| secret.name.to_string()).collect();
    assert_eq!(pruned, ["a", "b"]);
    assert!(catalog.prune_secrets().unwrap().is_empty());
    assert_eq!(catalog.secrets().len(), 1);
}

#[test]
fn a_catalog_opened_again_is_the_same() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let bytes = [7; crate::seal::ROOT_KEY_BYTES];
    let root = || RootKey::from_secret(value(&bytes)).unwrap();
    let catalog = Catalog::open(store.clone(), root()).unwrap();
    create(&catalog, "s").unwrap();
    let service = serve(&catalog, "web", &["s"]).unwrap();
    let again = Catalog::open(store.clone(), root()).unwrap();
    assert_eq!((again.secrets(), again.services()), (catalog.secrets(), catalog.services()));
    let opened = again.open_value(&authorized(&service), &service.grants.as_slice()[0]).unwrap().2;
    assert_eq!(opened.expose(), b"s");
    let wrong = Catalog::open(store, RootKey::generate().unwrap());
    let (status, text) = said(wrong.map(|_| ()));
    assert!(status == Status::Corrupt && text.starts_with("the root key does not open this store"), "{text}");
}

#[test]
fn a_second_catalog_on_one_store_cannot_overwrite_the_first() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let root = || RootKey::from_secret(value(&[7; crate::seal::ROOT_KEY_BYTES])).unwrap();
    let (one, two) = (Catalog::open(store.clone(), root()).unwrap(), Catalog::open(store.clone(), root()).unwrap());
    create(&one, "a").unwrap();
    assert_eq!(said(create(&two, "b")).0, Status::Store);
    assert_eq!(Catalog::open(store, root()).unwrap().secrets().len(), 1);
}

#[test]
fn many_threads_get_one_index_each_and_lose_nothing() {
    let catalog = catalog();
    let catalog = &catalog;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for n in 0..20 {
                    create(catalog, &format!("s{thread}-{n}")).unwrap();
                    assert!(catalog.secret(&format!("s{thread}-{n}")).is_ok());
                    if n % 3 == 0 {
                        catalog.remove_secret(&format!("s{thread}-{n}")).unwrap();
                    }
                }
            });
        }
    });
    let mut indexes: Vec<u64> = catalog.secrets().iter().map(|secret| secret.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    assert_eq!(indexes.len(), 8 * 13);
}

#[test]
fn an_error_shows_no_value() {
    let catalog = catalog();
    create(&catalog, "s").unwrap();
    let hunter = value(b"hunter2");
    let index = catalog.secret("s").unwrap().index;
    let refused = catalog.relabel_secret("s", index, None, Labels::default(), Some(&hunter), NOW).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
}
