//! The format of records: the published vectors, and that nothing but the right record opens at its place.

use serde::Deserialize;

use super::*;
use crate::seal::record::{open_into, seal_metadata, seal_with_nonce};
use crate::seal::{Manifest, Print, RootKey, StoreHeader, open_metadata};

#[derive(Deserialize)]
struct Vectors {
    root_key: String,
    store_id: String,
    header: String,
    data_key: String,
    name_keys: Vec<NameKey>,
    records: Vec<Case>,
}

#[derive(Deserialize)]
struct NameKey {
    kind: String,
    name: String,
    key: String,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    sealed_under: String,
    kind: String,
    key: String,
    serial: u64,
    nonce: String,
    plaintext: String,
    record: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/sealed-records-v1.json")).unwrap()
}

fn root(vectors: &Vectors) -> RootKey {
    RootKey::from_secret(SecretBytes::take_from(&mut bytes(&vectors.root_key)).unwrap()).unwrap()
}

#[test]
fn the_published_vectors_open_and_are_made_again_to_the_byte() {
    let vectors = vectors();
    let header = bytes(&vectors.header);
    let keys = StoreHeader::open(&root(&vectors), &header).unwrap();
    assert_eq!(keys.store_id()[..], bytes(&vectors.store_id));
    assert_eq!(StoreHeader::encode(&keys), header);
    for name in &vectors.name_keys {
        let kind = Kind::of_key(name.kind.as_bytes()).unwrap();
        assert_eq!(keys.name_key(kind, &name.name), bytes(&name.key));
    }
    for case in &vectors.records {
        let (at, plain, record) = (bytes(&case.key), bytes(&case.plaintext), bytes(&case.record));
        let key = match case.sealed_under.as_str() {
            "key-encryption" => keys.key_encryption().to_vec(),
            "metadata" => keys.metadata().to_vec(),
            _ => bytes(&vectors.data_key),
        };
        let place = Place { kind: Kind::of_key(case.kind.as_bytes()).unwrap(), key: &at, serial: case.serial };
        let nonce = bytes(&case.nonce).try_into().unwrap();
        let made = seal_with_nonce(&key, keys.store_id(), place, nonce, &mut plain.clone()).unwrap();
        assert_eq!(made, record, "{}", case.name);
        let mut buffer = vec![0; plain.len()];
        open_into(&key, keys.store_id(), place, &record, &mut buffer).unwrap();
        assert_eq!(buffer, plain, "{}", case.name);
    }
    assert_eq!(vectors.records.len(), 5);
}

#[test]
fn the_published_store_opens_as_a_whole() {
    let vectors = vectors();
    let keys = StoreHeader::open(&root(&vectors), &bytes(&vectors.header)).unwrap();
    let [wrapped, value, _, description, manifest] = &vectors.records[..] else { panic!("five records") };
    let at = |case: &Case| (bytes(&case.key), bytes(&case.record));
    let ((key_at, key), (value_at, value)) = (at(wrapped), at(value));
    let sealed = SealedValue { data_key_at: &key_at, data_key: &key, value_at: &value_at, value: &value, serial: 7 };
    assert_eq!(open(&keys, &sealed).unwrap().expose(), b"hunter2\0\xff");
    let (described_at, described) = at(description);
    let secret: crate::model::SecretInfo = open_metadata(&keys, Kind::Secret, &described_at, &described).unwrap().1;
    assert_eq!(secret.name.as_str(), "TLS.key");
    let mut found = Manifest::default();
    for (kind, key, record) in
        [(Kind::Secret, &described_at, &described), (Kind::DataKey, &key_at, &key), (Kind::Value, &value_at, &value)]
    {
        found.set_mut(kind).unwrap().add(&Print::of(&keys, key, record));
    }
    let manifest = Manifest::open(&keys, &at(manifest).1).unwrap();
    assert_eq!(manifest.generation, 7);
    manifest.verify(&found).unwrap();
}

#[test]
fn no_byte_of_a_header_can_be_changed() {
    let (record, _) = StoreHeader::create(&RootKey::generate().unwrap()).unwrap();
    let root = RootKey::generate().unwrap();
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 1;
        assert!(matches!(StoreHeader::open(&root, &changed), Err(SealError::Damaged { kind: Kind::Header, .. })));
    }
    assert!(matches!(StoreHeader::open(&root, &record), Err(SealError::WrongRootKey)));
    assert!(matches!(StoreHeader::open(&root, &[]), Err(SealError::Damaged { .. })));
}

#[test]
fn no_bit_of_a_record_can_be_changed_and_none_can_be_cut_off() {
    let (_, keys) = StoreHeader::create(&RootKey::generate().unwrap()).unwrap();
    let (key, value) =
        seal_value(&keys, b"K1", b"D1", 3, SecretBytes::take_from(&mut b"hunter2".to_vec()).unwrap()).unwrap();
    let works = |key: &[u8], value: &[u8]| {
        open(&keys, &SealedValue { data_key_at: b"K1", data_key: key, value_at: b"D1", value, serial: 3 }).is_ok()
    };
    assert!(works(&key, &value));
    for bit in 0..key.len() * 8 {
        let mut changed = key.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!works(&changed, &value), "bit {bit} of the key");
    }
    for bit in 0..value.len() * 8 {
        let mut changed = value.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!works(&key, &changed), "bit {bit} of the value");
    }
    for len in 0..value.len() {
        assert!(!works(&key, &value[..len]) && !works(&key[..len.min(key.len() - 1)], &value));
    }
}

#[test]
fn a_record_opens_at_its_own_place_only() {
    let root = RootKey::generate().unwrap();
    let (_, keys) = StoreHeader::create(&root).unwrap();
    let (_, other_store) = StoreHeader::create(&root).unwrap();
    let place = Place { kind: Kind::Secret, key: b"Sa", serial: 4 };
    let record = seal_metadata(&keys, place, &"content").unwrap();
    let opens = |keys: &Keys, kind, at: &[u8], record: &[u8]| open_metadata::<String>(keys, kind, at, record);
    assert_eq!(opens(&keys, Kind::Secret, b"Sa", &record).unwrap(), (4, "content".to_owned()));
    assert!(opens(&keys, Kind::Secret, b"Sb", &record).is_err());
    assert!(opens(&keys, Kind::Service, b"Sa", &record).is_err());
    assert!(opens(&other_store, Kind::Secret, b"Sa", &record).is_err());
    let mut older = record.clone();
    older[9] -= 1;
    assert!(opens(&keys, Kind::Secret, b"Sa", &older).is_err());
    let mut newer_format = record;
    newer_format[0] = 2;
    let error = opens(&keys, Kind::Secret, b"Sa", &newer_format).unwrap_err().to_string();
    assert!(error.contains("format 2") && error.contains("upgrade"), "{error}");
}

#[test]
fn an_older_record_of_the_same_place_is_called_rolled_back() {
    let (_, keys) = StoreHeader::create(&RootKey::generate().unwrap()).unwrap();
    let (key, value) = seal_value(&keys, b"K1", b"D1", 3, SecretBytes::take_from(&mut [1]).unwrap()).unwrap();
    let sealed = SealedValue { data_key_at: b"K1", data_key: &key, value_at: b"D1", value: &value, serial: 4 };
    let error = open(&keys, &sealed).err().unwrap();
    assert!(matches!(error, SealError::Damaged { kind: Kind::DataKey, fault: Fault::RolledBack }));
}

#[test]
fn two_sealings_of_one_value_have_nothing_in_common() {
    let (_, keys) = StoreHeader::create(&RootKey::generate().unwrap()).unwrap();
    let seal = || seal_value(&keys, b"K1", b"D1", 3, SecretBytes::take_from(&mut [9; 64]).unwrap()).unwrap();
    let (one, two) = (seal(), seal());
    assert_eq!(one.1[..10], two.1[..10]);
    assert_ne!(one.1[10..22], two.1[10..22]);
    assert!(one.1[22..].iter().zip(&two.1[22..]).filter(|(a, b)| a == b).count() < 16);
}

#[test]
fn values_are_compared_whole() {
    let (_, keys) = StoreHeader::create(&RootKey::generate().unwrap()).unwrap();
    let secret = |bytes: &[u8]| SecretBytes::take_from(&mut bytes.to_vec()).unwrap();
    let (key, value) = seal_value(&keys, b"K1", b"D1", 3, secret(b"abc")).unwrap();
    let sealed = SealedValue { data_key_at: b"K1", data_key: &key, value_at: b"D1", value: &value, serial: 3 };
    assert!(same_value(&keys, &sealed, &secret(b"abc")).unwrap());
    for other in [&b"abd"[..], b"ab", b"abcd", b""] {
        assert!(!same_value(&keys, &sealed, &secret(other)).unwrap());
    }
}
