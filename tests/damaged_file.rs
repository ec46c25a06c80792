//! A bad disk: single bytes of the store's files are flipped. Each flip is either reported, or it hit a byte that means
//! nothing (free pages, padding) and everything is as it was. None is taken for another state, and none panics.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use runsecrets::agent::catalog::{Catalog, NewService, Status};
use runsecrets::model::{
    Claim, ClaimRoute, ContainerId, Grant, Grants, Labels, SecretInfo, SecretName, Service, ServiceName, Timestamp,
};
use runsecrets::policy::{Peer, authorize};
use runsecrets::seal::{ROOT_KEY_BYTES, RootKey, token_matches};
use runsecrets::secret::SecretBytes;
use runsecrets::store::{Key, RedbStore, Store};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
const FILES: [&str; 3] = ["store.redb", "store.revision", "store.lock"];

/// All that a catalog says: its secrets, its services, and the values of the service's grants.
type Everything = (Vec<SecretInfo>, Vec<Service>, Vec<Vec<u8>>);

fn open(dir: &Path) -> Result<Everything, (Option<Status>, String)> {
    let store = RedbStore::open(dir).map_err(|error| (None, error.to_string()))?;
    let root = RootKey::from_secret(SecretBytes::take_from(&mut [0x42; ROOT_KEY_BYTES]).unwrap()).unwrap();
    let failed = |error: runsecrets::agent::catalog::CatalogError| (Some(error.status()), error.to_string());
    let catalog = Catalog::open(Arc::new(store), root).map_err(failed)?;
    let service = catalog.service("web").map_err(failed)?;
    let claim = Claim { service: service.name.clone(), route: ClaimRoute::Argument, token: None };
    let (peer, container) = (Peer { uid: 0, gid: 0, pid: 1 }, ContainerId::parse("c1").unwrap());
    let proof = authorize(&peer, &container, &claim, &service, token_matches).unwrap();
    let value = |grant| catalog.open_value(&proof, grant).map(|(_, _, value)| value.expose().to_vec());
    let values = service.grants.as_slice().iter().map(value).collect::<Result<_, _>>().map_err(failed)?;
    Ok((catalog.secrets(), catalog.services(), values))
}

/// A store with a little of everything; returns the records that are
/// in it; `crashed` gets the files as a kill at the end would leave them.
fn fill(dir: &Path, crashed: &Path) -> Vec<Vec<u8>> {
    let store = Arc::new(RedbStore::open(dir).unwrap());
    let root = RootKey::from_secret(SecretBytes::take_from(&mut [0x42; ROOT_KEY_BYTES]).unwrap()).unwrap();
    let catalog = Catalog::open(store.clone(), root).unwrap();
    let secret = |bytes: &[u8]| SecretBytes::take_from(&mut bytes.to_vec()).unwrap();
    let mut grants = Vec::new();
    for n in 0..6u8 {
        let name = SecretName::parse(&format!("secret-{n}")).unwrap();
        grants.push(Grant::parse(name.as_str()).unwrap());
        catalog.create_secret(name, Labels::default(), secret(&vec![n; 100 + usize::from(n) * 400]), NOW).unwrap();
    }
    let name = ServiceName::parse("web").unwrap();
    let new = NewService { grants: Grants::try_from(grants).unwrap(), ..NewService::named(name) };
    catalog.create_service(new, NOW).unwrap();
    let extra = SecretName::parse("extra").unwrap();
    catalog.create_secret(extra.clone(), Labels::default(), secret(b"x"), NOW).unwrap();
    catalog.remove_secret("extra").unwrap();
    // The last acknowledged commit: a store that falls back by one would miss it.
    catalog.create_secret(extra, Labels::default(), secret(b"y"), NOW).unwrap();
    let mut records = Vec::new();
    let visit = &mut |_: &Key, record: &[u8], _| {
        records.push(record.to_vec());
        Ok(())
    };
    store.list(b"", visit).unwrap();
    make_dir(crashed);
    copy(dir, crashed);
    records
}

fn make_dir(dir: &Path) {
    fs::DirBuilder::new().mode(0o700).create(dir).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// A file system in memory at `dir`, which only this thread sees: the test opens some thousand stores.
fn private_tmpfs(dir: &Path) {
    use nix::mount::{MsFlags, mount};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .expect("a mount namespace needs root: run the tests as root");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some("mode=0700")).unwrap();
}

#[test]
fn a_flipped_byte_is_reported_or_means_nothing() {
    flip("whole");
}

#[test]
fn a_byte_that_flips_after_a_crash_is_reported_or_means_nothing() {
    flip("crashed");
}

/// Flips bytes of the files in the directory `state`.
fn flip(state: &str) {
    let temporary = tempfile::tempdir().unwrap();
    private_tmpfs(temporary.path());
    let dir = |name: &str| temporary.path().join(name);
    let records = fill(&dir("whole"), &dir("crashed"));
    make_dir(&dir("hit"));
    copy(&dir(state), &dir("hit"));
    let expected = open(&dir("hit")).unwrap();
    fs::remove_dir_all(dir("hit")).unwrap();
    let (mut reported, mut harmless) = (0, 0);
    for file in ["store.redb", "store.revision"] {
        let bytes = fs::read(dir(state).join(file)).unwrap();
        // Every byte of a live record counts; an old copy of one may stand in a free page, and then neither is sure to.
        let mut live = BTreeSet::new();
        for record in &records {
            let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(record)).collect();
            if let [place] = places[..] {
                live.extend((place..place + record.len()).step_by(1 + record.len() / 100));
            }
        }
        let header = |at: usize| file == "store.revision" || at < 400;
        let chosen = (0..bytes.len()).filter(|at| header(*at) || at % 251 == 0 || live.contains(at));
        for at in chosen {
            make_dir(&dir("hit"));
            copy(&dir(state), &dir("hit"));
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            fs::write(dir("hit").join(file), changed).unwrap();
            match open(&dir("hit")) {
                Ok(found) => {
                    assert!(!live.contains(&at), "byte {at} of {file} is a record's");
                    assert!(found == expected, "byte {at} of {file}: another state was taken for the right one");
                    harmless += 1;
                }
                Err((status, text)) => {
                    assert!(matches!(status, None | Some(Status::Corrupt)), "byte {at} of {file}: {text}");
                    assert!(!text.contains('\n') && text.len() > 20, "byte {at} of {file}: {text}");
                    reported += 1;
                }
            }
            fs::remove_dir_all(dir("hit")).unwrap();
        }
    }
    assert!(reported > 500 && harmless > 50, "{reported} reported, {harmless} harmless");
}

#[test]
fn a_file_that_was_cut_short_is_reported() {
    let temporary = tempfile::tempdir().unwrap();
    private_tmpfs(temporary.path());
    let dir = |name: &str| temporary.path().join(name);
    fill(&dir("whole"), &dir("crashed"));
    let len = fs::metadata(dir("whole").join("store.redb")).unwrap().len();
    for part in 0..16 {
        make_dir(&dir("hit"));
        copy(&dir("whole"), &dir("hit"));
        let file = fs::OpenOptions::new().write(true).open(dir("hit").join("store.redb")).unwrap();
        file.set_len(len * part / 16).unwrap();
        assert!(open(&dir("hit")).is_err(), "{part} of 16 parts");
        fs::remove_dir_all(dir("hit")).unwrap();
    }
}
