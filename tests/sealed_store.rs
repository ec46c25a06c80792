//! What an attacker, or a bad disk, can do to a store: nothing of it is readable, and whatever is changed is noticed.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use runsecrets::agent::catalog::{Catalog, CatalogError, NewService, Status};
use runsecrets::model::{
    Claim, ClaimRoute, ContainerId, Grant, Grants, Labels, SecretInfo, SecretName, Service, ServiceName, Timestamp,
};
use runsecrets::policy::{Peer, authorize};
use runsecrets::seal::{ROOT_KEY_BYTES, RootKey, token_matches};
use runsecrets::secret::SecretBytes;
use runsecrets::store::{Batch, Change, Key, MemoryStore, RedbStore, Store};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn root() -> RootKey {
    RootKey::from_secret(secret(&[0x42; ROOT_KEY_BYTES])).unwrap()
}

fn secret(bytes: &[u8]) -> SecretBytes {
    SecretBytes::take_from(&mut bytes.to_vec()).unwrap()
}

fn create(catalog: &Catalog, name: &str, labels: &[&str], value: &[u8]) -> SecretInfo {
    let labels = Labels::parse(labels.iter().copied()).unwrap();
    catalog.create_secret(SecretName::parse(name).unwrap(), labels, secret(value), NOW).unwrap()
}

fn serve(catalog: &Catalog, name: &str, grants: &[&str]) -> Service {
    let grants: Vec<Grant> = grants.iter().map(|text| Grant::parse(text).unwrap()).collect();
    let labels = Labels::parse(["service-label=of-the-service"]).unwrap();
    let name = ServiceName::parse(name).unwrap();
    let new = NewService { labels, grants: Grants::try_from(grants).unwrap(), ..NewService::named(name) };
    catalog.create_service(new, NOW).unwrap()
}

/// The values that the service `web` gets, in the order of its grants.
fn values(catalog: &Catalog) -> Result<Vec<Vec<u8>>, CatalogError> {
    let service = catalog.service("web")?;
    let claim = Claim { service: service.name.clone(), route: ClaimRoute::Argument, token: None };
    let (peer, container) = (Peer { uid: 0, gid: 0, pid: 1 }, ContainerId::parse("c1").unwrap());
    let proof = authorize(&peer, &container, &claim, &service, token_matches).unwrap();
    let open = |grant| catalog.open_value(&proof, grant).map(|(_, _, value)| value.expose().to_vec());
    service.grants.as_slice().iter().map(open).collect()
}

fn fill(catalog: &Catalog) {
    create(catalog, "db-password", &["stage=prod"], b"correct horse battery staple");
    create(catalog, "tls.key", &[], &[0xA7; 3000]);
    serve(catalog, "web", &["db-password", "source=tls.key,target=/etc/tls.key"]);
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn records(store: &dyn Store) -> Records {
    let mut records = Vec::new();
    let visit = &mut |key: &Key, record: &[u8], _| {
        records.push((key.as_bytes().to_vec(), record.to_vec()));
        Ok(())
    };
    store.list(b"", visit).unwrap();
    records
}

fn put(store: &dyn Store, key: &[u8], record: &[u8]) {
    let change = Change::Put(Key::new(key).unwrap(), record.to_vec());
    store.commit(&Batch { conditions: vec![], changes: vec![change] }).unwrap();
}

fn delete(store: &dyn Store, key: &[u8]) {
    let change = Change::Delete(Key::new(key).unwrap());
    store.commit(&Batch { conditions: vec![], changes: vec![change] }).unwrap();
}

/// A filled store in memory, for an attacker who can write to it what he likes.
fn victim() -> (Arc<MemoryStore>, Catalog) {
    let store = Arc::new(MemoryStore::new());
    let catalog = Catalog::open(store.clone(), root()).unwrap();
    fill(&catalog);
    (store, catalog)
}

/// The error of an open that must fail for damage.
#[track_caller]
fn refused(store: &Arc<MemoryStore>) -> String {
    let error = Catalog::open(store.clone(), root()).map(|_| ()).expect_err("the damage was not noticed");
    assert_eq!(error.status(), Status::Corrupt, "{error}");
    let text = error.to_string();
    assert!(text.contains("restore the store from a backup") || text.contains("upgrade"), "{text}");
    text
}

fn of_kind(records: &Records, kind: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    records.iter().filter(|(key, _)| key[0] == kind).cloned().collect()
}

/// How messages call the records that begin with each of these bytes.
const KINDS: [(u8, &str); 6] = [
    (b'H', "the store's header"),
    (b'M', "the store's manifest"),
    (b'S', "a secret's description"),
    (b'V', "a service's description"),
    (b'K', "a secret's data key"),
    (b'D', "a secret's value"),
];

#[test]
fn a_changed_bit_of_any_record_is_noticed_at_open() {
    let (store, _) = victim();
    for (key, record) in records(&*store) {
        let called = KINDS.iter().find(|(kind, _)| *kind == key[0]).unwrap().1;
        for at in (0..record.len()).filter(|at| record.len() < 500 || at % 97 == 0) {
            let mut changed = record.clone();
            changed[at] ^= 1 << (at % 8);
            put(&*store, &key, &changed);
            let text = refused(&store);
            assert!(text.contains(called), "byte {at} of {called}: {text}");
        }
        put(&*store, &key, &record);
    }
    Catalog::open(store, root()).unwrap();
}

#[test]
fn a_changed_or_deleted_value_is_noticed_when_it_is_read() {
    let (store, catalog) = victim();
    assert_eq!(values(&catalog).unwrap().len(), 2);
    for kind in [b'K', b'D'] {
        for (key, record) in of_kind(&records(&*store), kind) {
            let mut changed = record.clone();
            *changed.last_mut().unwrap() ^= 1;
            put(&*store, &key, &changed);
            let error = values(&catalog).unwrap_err();
            assert!(error.status() == Status::Corrupt && error.to_string().contains("was altered"), "{error}");
            delete(&*store, &key);
            let error = values(&catalog).unwrap_err();
            assert!(error.status() == Status::Corrupt && error.to_string().contains("is missing"), "{error}");
            put(&*store, &key, &record);
        }
    }
    assert_eq!(values(&catalog).unwrap().len(), 2);
}

#[test]
fn swapped_records_are_noticed() {
    for (kind, called) in KINDS {
        let (store, catalog) = victim();
        serve(&catalog, "other", &[]);
        let same = of_kind(&records(&*store), kind);
        let [(one, first), (two, second), ..] = &same[..] else { continue };
        put(&*store, one, second);
        put(&*store, two, first);
        let text = refused(&store);
        assert!(text.contains(called) && text.contains("replaced by another record"), "{text}");
        if matches!(kind, b'K' | b'D') {
            assert_eq!(values(&catalog).unwrap_err().status(), Status::Corrupt);
        }
    }
}

#[test]
fn deleted_records_are_noticed() {
    for (kind, called) in KINDS {
        let (store, _) = victim();
        let (key, _) = of_kind(&records(&*store), kind).remove(0);
        delete(&*store, &key);
        let text = refused(&store);
        assert!(text.contains(called) && text.contains("is missing"), "{text}");
    }
}

#[test]
fn added_records_are_noticed() {
    // Records that were valid once: those of a secret that was removed, put back.
    let (store, catalog) = victim();
    create(&catalog, "removed", &[], b"x");
    serve(&catalog, "gone", &[]);
    let before = records(&*store);
    catalog.remove_secret("removed").unwrap();
    catalog.remove_service("gone").unwrap();
    let now = records(&*store);
    for (key, record) in before.iter().filter(|(key, _)| !now.iter().any(|(other, _)| other == key)) {
        put(&*store, key, record);
        let text = refused(&store);
        assert!(text.contains("was added"), "{text}");
        delete(&*store, key);
    }
    for key in [&b"Zunknown"[..], b"Dnonsense", b"M2", b"H2"] {
        put(&*store, key, b"anything");
        refused(&store);
        delete(&*store, key);
    }
    Catalog::open(store, root()).unwrap();
}

#[test]
fn rolled_back_records_are_noticed() {
    let (store, catalog) = victim();
    let before = records(&*store);
    let secret = catalog.secret("tls.key").unwrap();
    let labels = Labels::parse(["stage=test"]).unwrap();
    catalog.relabel_secret("tls.key", secret.index, None, labels, None, NOW).unwrap();
    let change = runsecrets::agent::catalog::ServiceChange { secret_rm: vec!["tls.key".into()], ..Default::default() };
    catalog.update_service("web", None, &change, NOW).unwrap();
    let now = records(&*store);
    let mut tried = 0;
    for (key, new) in &now {
        let Some((_, old)) = before.iter().find(|(other, old)| other == key && old != new) else { continue };
        put(&*store, key, old);
        // A grant that was revoked does not come back.
        let text = refused(&store);
        let called = if key[0] == b'M' { "" } else { "was rolled back to an older version" };
        assert!(text.contains(called), "{text}");
        put(&*store, key, new);
        tried += 1;
    }
    assert_eq!(tried, 3, "a secret, a service and the manifest were rolled back");
    Catalog::open(store, root()).unwrap();
}

#[test]
fn a_running_catalog_does_not_write_over_a_store_that_was_changed() {
    let (store, catalog) = victim();
    let manifest = of_kind(&records(&*store), b'M').remove(0);
    put(&*store, &manifest.0, &manifest.1);
    let name = SecretName::parse("new").unwrap();
    let error = catalog.create_secret(name, Labels::default(), secret(b"x"), NOW).unwrap_err();
    assert_eq!(error.status(), Status::Store, "{error}");
}

/// Every file in `dir`, one after the other.
fn all_bytes(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        bytes.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn nothing_that_was_stored_is_readable_in_the_state_directory() {
    use base64::Engine;
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("state");
    let words = ["Zanzibar-password", "quokka-label", "platypus-text", "Wombat-service", "axolotl", "numbat-target"];
    let value = b"xylophone-value-of-the-secret";
    let catalog = Catalog::open(Arc::new(RedbStore::open(&dir).unwrap()), root()).unwrap();
    create(&catalog, words[0], &["quokka-label=platypus-text"], value);
    create(&catalog, "another", &[], &value.repeat(500));
    let grant = format!("source={},target=/etc/{},uid={}", words[0], words[5], words[4]);
    serve(&catalog, words[3], &[&grant]);
    create(&catalog, "removed", &[], value);
    catalog.remove_secret("removed").unwrap();
    let readable = |bytes: &[u8], text: &[u8]| {
        let lower = bytes.to_ascii_lowercase();
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        // Base64 of a text depends on where it begins: three phases, without the characters its neighbours share.
        let base64 = (0..3).map(|phase| {
            let padded = [&b"...."[..phase], text].concat();
            let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(padded);
            encoded.as_bytes()[4..encoded.len() - 2].to_vec()
        });
        let url = base64
            .clone()
            .map(|text| String::from_utf8(text).unwrap().replace('+', "-").replace('/', "_").into_bytes());
        contains(&lower, &text.to_ascii_lowercase())
            || contains(&lower, hex.as_bytes())
            || base64.chain(url).any(|encoded| contains(bytes, &encoded))
    };
    // The search finds what is there, in each of its forms.
    assert!(readable(b"..xXylophone", b"xylophone") && readable(b"eHlsb3Bob25l", b"xylophone"));
    assert!(readable(b"..eXh5bG9waG9uZQ", b"xylophone") && readable(b"78796C6F70686F6E65", b"xylophone"));
    let mut texts: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    texts.extend([value.to_vec(), b"another".to_vec(), b"service-label".to_vec(), vec![0x42; ROOT_KEY_BYTES]]);
    let check = |when: &str| {
        let bytes = all_bytes(&dir);
        assert!(bytes.len() > 10_000, "the store is there");
        for text in &texts {
            assert!(!readable(&bytes, text), "{} is readable {when}", String::from_utf8_lossy(text));
        }
    };
    check("while the agent runs");
    drop(catalog);
    check("after it stopped");
}

/// Sixteen bytes in a row are enough to be no accident.
fn pieces(record: &[u8]) -> HashSet<&[u8]> {
    record.windows(16).collect()
}

#[test]
fn a_removed_secret_leaves_no_piece_of_its_key_or_value_in_any_file() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("state");
    let store = Arc::new(RedbStore::open(&dir).unwrap());
    let catalog = Catalog::open(store.clone(), root()).unwrap();
    for n in 0..20 {
        create(&catalog, &format!("before-{n}"), &[], &[n; 200]);
    }
    let gone = create(&catalog, "gone", &["a=b"], &[0x77; 20_000]);
    for n in 0..20 {
        create(&catalog, &format!("after-{n}"), &[], &[n; 200]);
    }
    let of_gone = |(key, _): &(Vec<u8>, Vec<u8>)| contains(key, gone.id.as_str().as_bytes());
    let remembered: Records = records(&*store).into_iter().filter(of_gone).collect();
    assert_eq!(remembered.len(), 2, "a wrapped key and a value");
    let found = |dir: &Path| {
        let bytes = all_bytes(dir);
        remembered.iter().any(|(_, record)| {
            let pieces = pieces(record);
            bytes.windows(16).any(|window| pieces.contains(window))
        })
    };
    assert!(found(&dir));
    catalog.remove_secret("gone").unwrap();
    assert!(!found(&dir), "after the removal");
    drop(catalog);
    drop(store);
    assert!(!found(&dir), "after the end");
    let catalog = Catalog::open(Arc::new(RedbStore::open(&dir).unwrap()), root()).unwrap();
    assert!(!found(&dir), "after a new start");
    assert_eq!(catalog.secrets().len(), 40);
    assert_eq!(catalog.prune_secrets().unwrap().len(), 40);
}

#[test]
fn a_wrong_root_key_is_said_to_be_that() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("state");
    drop(Catalog::open(Arc::new(RedbStore::open(&dir).unwrap()), root()).unwrap());
    let store = Arc::new(RedbStore::open(&dir).unwrap());
    let error = Catalog::open(store, RootKey::generate().unwrap()).map(|_| ()).unwrap_err();
    assert_eq!(error.status(), Status::Corrupt);
    assert!(error.to_string().starts_with("the root key does not open this store"), "{error}");
    assert!(!error.to_string().contains('\n'));
}
