//! Versions over a store in memory: which are kept, which are gone for good.

use std::sync::Arc;

use super::super::Status;
use super::*;
use crate::model::{Labels, SecretName};
use crate::seal::RootKey;
use crate::store::{MemoryStore, Store};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
const LATER: Timestamp = Timestamp(1_700_000_001_000_000_000);

fn value(text: &str) -> SecretBytes {
    SecretBytes::take_from(&mut text.as_bytes().to_vec()).unwrap()
}

/// A store with one secret of these values, and its catalog, which keeps three.
fn stored(values: &[&str]) -> (Arc<MemoryStore>, RootKey, Catalog) {
    let (store, key) = (Arc::new(MemoryStore::new()), RootKey::generate().unwrap());
    let again = RootKey::from_secret(SecretBytes::take_from(&mut key.expose().to_vec()).unwrap()).unwrap();
    let catalog = Catalog::open(store.clone(), again).unwrap();
    let (first, others) = values.split_first().unwrap();
    catalog.create_secret(SecretName::parse("key").unwrap(), Labels::default(), value(first), NOW).unwrap();
    for text in others {
        catalog.update_secret("key", None, value(text), 3, LATER).unwrap();
    }
    (store, key, catalog)
}

fn numbers(secret: &SecretInfo) -> Vec<u64> {
    secret.versions.iter().map(|version| version.number).collect()
}

fn is_current(catalog: &Catalog, text: &str) -> bool {
    catalog.holds(&catalog.secret("key").unwrap(), &value(text)).unwrap()
}

/// How many records a store has.
fn count(store: &MemoryStore) -> usize {
    let mut count = 0;
    store
        .list(&[], &mut |_, _, _| {
            count += 1;
            Ok(())
        })
        .unwrap();
    count
}

#[test]
fn the_last_versions_are_kept_and_the_records_of_others_are_gone() {
    let (store, key, catalog) = stored(&["a", "b", "c"]);
    assert_eq!(numbers(&catalog.secret("key").unwrap()), [1, 2, 3]);
    let before = count(&store);
    let secret = catalog.update_secret("key", None, value("d"), 3, LATER).unwrap();
    assert_eq!((numbers(&secret), secret.updated), (vec![2, 3, 4], LATER));
    assert_eq!(count(&store), before, "two records more, and two gone");
    let secret = catalog.update_secret("key", None, value("e"), 1, LATER).unwrap();
    assert_eq!(numbers(&secret), [5]);
    assert_eq!(count(&store), before - 4);
    // What is left is all that the manifest counts.
    drop(catalog);
    assert!(is_current(&Catalog::open(store, key).unwrap(), "e"));
}

#[test]
fn the_current_value_again_is_no_version() {
    let (_, _, catalog) = stored(&["a", "b"]);
    let before = catalog.secret("key").unwrap();
    assert_eq!(catalog.update_secret("key", None, value("b"), 3, LATER).unwrap(), before);
    assert_eq!(numbers(&catalog.update_secret("key", None, value("a"), 3, LATER).unwrap()), [1, 2, 3]);
}

#[test]
fn an_update_of_what_has_changed_meanwhile_is_refused() {
    let (_, _, catalog) = stored(&["a", "b"]);
    let index = catalog.secret("key").unwrap().index;
    let refused = catalog.update_secret("key", Some(index - 1), value("c"), 3, LATER).unwrap_err();
    assert_eq!(refused.status(), Status::OutOfSequence);
    assert!(catalog.update_secret("key", Some(index), value("c"), 3, LATER).is_ok());
}

#[test]
fn sizes_are_those_of_a_first_value() {
    let (_, _, catalog) = stored(&["a"]);
    for len in [0, MAX_VALUE + 1] {
        let refused = catalog.update_secret("key", None, SecretBytes::zeroed(len).unwrap(), 3, LATER);
        assert!(matches!(refused, Err(CatalogError::Size)), "{len}");
    }
}

#[test]
fn rolling_back_makes_a_version_of_the_earlier_value() {
    let (store, key, catalog) = stored(&["a", "b", "c"]);
    let secret = catalog.roll_back_secret("key", None, 3, LATER).unwrap();
    assert_eq!((numbers(&secret), secret.current().unwrap().from), (vec![2, 3, 4], Some(2)));
    assert!(is_current(&catalog, "b"));
    catalog.roll_back_secret("key", Some(3), 3, LATER).unwrap();
    assert!(is_current(&catalog, "c"));
    for number in [1, 5, 9] {
        let refused = catalog.roll_back_secret("key", Some(number), 3, LATER).unwrap_err();
        assert_eq!(refused.status(), Status::NotFound, "{number}");
    }
    drop(catalog);
    assert!(is_current(&Catalog::open(store, key).unwrap(), "c"));
}

#[test]
fn a_secret_of_one_version_has_nothing_to_roll_back_to() {
    let (_, _, catalog) = stored(&["a"]);
    let refused = catalog.roll_back_secret("key", None, 3, LATER).unwrap_err().to_string();
    assert_eq!(refused, "secret 'key' has no earlier version to roll back to");
}
