//! The embedded store and its files: modes, locks, reopening, full and read-only disks, erasing.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use runsecrets::store::{Batch, Change, Key, RedbStore, Store, StoreError};

fn key(bytes: &[u8]) -> Key {
    Key::new(bytes).unwrap()
}

fn put(store: &RedbStore, at: &[u8], record: &[u8]) -> Result<(), StoreError> {
    store.commit(&Batch { conditions: vec![], changes: vec![Change::Put(key(at), record.to_vec())] }).map(drop)
}

fn erase(store: &RedbStore, at: &[u8]) -> Result<(), StoreError> {
    store.commit(&Batch { conditions: vec![], changes: vec![Change::Erase(key(at))] }).map(drop)
}

fn record(store: &RedbStore, at: &[u8]) -> Option<Vec<u8>> {
    store.get(&key(at)).unwrap().map(|found| found.record)
}

/// A file system of `size` bytes at `dir`, which only this thread sees.
fn private_tmpfs(dir: &Path, size: &str) {
    use nix::mount::{MsFlags, mount};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .expect("a mount namespace needs root: run the tests as root");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let options = format!("size={size},mode=0700");
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
}

fn remount_read_only(dir: &Path, yes: bool) {
    use nix::mount::{MsFlags, mount};
    let none = None::<&str>;
    // Of the mount only: a store that is open for writing would keep the whole file system busy.
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | if yes { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    mount(none, dir, none, flags, none).unwrap();
}

#[test]
fn everything_is_the_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    put(&store, b"a", b"one").unwrap();
    erase(&store, b"a").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for mode in [0o750, 0o701, 0o755] {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = RedbStore::open(root.path()).unwrap_err();
        assert!(matches!(error, StoreError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains("chmod 0700"), "{error}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_second_open_says_who_is_in_the_way() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    let error = RedbStore::open(&dir).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)));
    assert!(error.to_string().contains("in use by another process"), "{error}");
    put(&store, b"a", b"one").unwrap();
    drop(store);
    assert_eq!(record(&RedbStore::open(&dir).unwrap(), b"a").unwrap(), b"one");
}

#[test]
fn what_was_committed_is_there_after_a_reopen() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    for round in 0..5u8 {
        let store = RedbStore::open(&dir).unwrap();
        for earlier in 0..round {
            let expected = (earlier % 2 == 0).then(|| vec![earlier; 1000]);
            assert_eq!(record(&store, &[earlier]), expected);
        }
        put(&store, &[round], &vec![round; 1000]).unwrap();
        if round % 2 == 1 {
            erase(&store, &[round]).unwrap();
        }
    }
}

#[test]
fn a_store_that_was_put_back_is_refused_until_it_is_accepted() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    put(&store, b"a", b"old").unwrap();
    drop(store);
    let old = fs::read(dir.join("store.redb")).unwrap();
    put(&RedbStore::open(&dir).unwrap(), b"a", b"new").unwrap();
    fs::write(dir.join("store.redb"), old).unwrap();
    let error = RedbStore::open(&dir).unwrap_err();
    assert!(matches!(error, StoreError::Outdated { acknowledged: 2, found: 1, .. }), "{error}");
    assert!(error.to_string().contains("echo accept >"), "{error}");
    fs::write(dir.join("store.revision"), "accept\n").unwrap();
    let store = RedbStore::open(&dir).unwrap();
    assert_eq!(record(&store, b"a").unwrap(), b"old");
    put(&store, b"a", b"newer").unwrap();
    drop(store);
    RedbStore::open(&dir).unwrap();
}

#[test]
fn a_store_or_an_anchor_that_is_gone_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    put(&RedbStore::open(&dir).unwrap(), b"a", b"x").unwrap();
    let anchor = fs::read(dir.join("store.revision")).unwrap();
    fs::remove_file(dir.join("store.revision")).unwrap();
    let error = RedbStore::open(&dir).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    fs::write(dir.join("store.revision"), anchor).unwrap();
    RedbStore::open(&dir).unwrap();
    fs::remove_file(dir.join("store.redb")).unwrap();
    let error = RedbStore::open(&dir).unwrap_err();
    assert!(matches!(error, StoreError::Outdated { acknowledged: 1, found: 0, .. }), "{error}");
}

#[test]
fn a_full_disk_loses_nothing_and_is_got_over() {
    let root = tempfile::tempdir().unwrap();
    private_tmpfs(root.path(), "6m");
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    put(&store, b"kept", b"x").unwrap();
    let mut stored = 0u32;
    let error = loop {
        match put(&store, &stored.to_be_bytes(), &[0xAB; 100_000]) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the disk never filled");
    };
    assert!(stored > 0);
    assert!(error.to_string().contains("free some space"), "{error}");
    // Everything that was acknowledged can be read while the disk is full, and nothing else is there.
    assert_eq!(record(&store, b"kept").unwrap(), b"x");
    assert_eq!(record(&store, &stored.to_be_bytes()), None);
    for number in 0..stored {
        assert_eq!(record(&store, &number.to_be_bytes()).unwrap(), vec![0xAB; 100_000]);
    }
    // The same when not one block is free and the store has to be opened anew.
    drop(store);
    let mut filler = fs::File::create(root.path().join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let store = RedbStore::open(&dir).unwrap();
    for number in 0..stored {
        assert_eq!(record(&store, &number.to_be_bytes()).unwrap(), vec![0xAB; 100_000]);
    }
    put(&store, b"more", &[0xAB; 100_000]).unwrap_err();
    assert_eq!(record(&store, b"kept").unwrap(), b"x");
    nix::mount::mount(
        None::<&str>,
        root.path(),
        None::<&str>,
        nix::mount::MsFlags::MS_REMOUNT,
        Some("size=64m,mode=0700"),
    )
    .unwrap();
    put(&store, b"again", b"y").unwrap();
    erase(&store, &0u32.to_be_bytes()).unwrap();
    drop(store);
    let store = RedbStore::open(&dir).unwrap();
    assert_eq!(record(&store, b"again").unwrap(), b"y");
    assert_eq!(record(&store, &(stored - 1).to_be_bytes()).unwrap().len(), 100_000);
}

#[test]
fn a_disk_too_full_to_erase_refuses_and_keeps_everything() {
    let root = tempfile::tempdir().unwrap();
    private_tmpfs(root.path(), "6m");
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    put(&store, b"a", &[1; 1_500_000]).unwrap();
    put(&store, b"b", b"x").unwrap();
    let free = nix::sys::statvfs::statvfs(root.path()).unwrap();
    let filler = vec![0; usize::try_from(free.blocks_free() * free.block_size()).unwrap() - 400_000];
    fs::write(root.path().join("filler"), filler).unwrap();
    let error = erase(&store, b"b").unwrap_err();
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!((record(&store, b"a").unwrap().len(), record(&store, b"b").unwrap()), (1_500_000, b"x".to_vec()));
    fs::remove_file(root.path().join("filler")).unwrap();
    erase(&store, b"b").unwrap();
    drop(store);
    let store = RedbStore::open(&dir).unwrap();
    assert_eq!((record(&store, b"a").unwrap().len(), record(&store, b"b")), (1_500_000, None));
}

#[test]
fn a_read_only_disk_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    private_tmpfs(root.path(), "16m");
    let dir = root.path().join("state");
    put(&RedbStore::open(&dir).unwrap(), b"a", b"x").unwrap();
    remount_read_only(root.path(), true);
    let error = RedbStore::open(&dir).unwrap_err();
    assert!(error.to_string().contains("make its file system writable"), "{error}");
    remount_read_only(root.path(), false);
    assert_eq!(record(&RedbStore::open(&dir).unwrap(), b"a").unwrap(), b"x");
}

#[test]
fn erased_bytes_are_in_no_file() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    let marker = |n: u8| format!("marker number {n:03} of the record that goes").into_bytes();
    for n in 0..40 {
        put(&store, &[n], &marker(n)).unwrap();
        // Rewritten, so that redb has old pages with the same bytes.
        put(&store, &[n], &[marker(n), vec![n; 3000]].concat()).unwrap();
    }
    let found = |n: u8| {
        fs::read_dir(&dir).unwrap().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(marker(n).len()).any(|window| window == marker(n))
        })
    };
    assert!(found(3) && found(17));
    erase(&store, &[3]).unwrap();
    erase(&store, &[17]).unwrap();
    assert!(!found(3) && !found(17) && found(4));
    drop(store);
    let _store = RedbStore::open(&dir).unwrap();
    assert!(!found(3) && !found(17) && found(4));
}

#[test]
fn leftovers_of_an_erasing_that_was_killed_are_swept() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let store = RedbStore::open(&dir).unwrap();
    put(&store, b"a", b"x").unwrap();
    drop(store);
    // Before the rename: the old file has two names, the new one is half written.
    fs::hard_link(dir.join("store.redb"), dir.join("store.redb.old")).unwrap();
    fs::write(dir.join("store.redb.new"), b"half").unwrap();
    let store = RedbStore::open(&dir).unwrap();
    assert_eq!(record(&store, b"a").unwrap(), b"x");
    drop(store);
    // After it: the old file has its other name only. It is overwritten, not only unlinked.
    fs::write(dir.join("store.redb.old"), b"old record").unwrap();
    let old = fs::File::open(dir.join("store.redb.old")).unwrap();
    RedbStore::open(&dir).unwrap();
    let mut bytes = [1; 10];
    old.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [0; 10]);
    assert!(!dir.join("store.redb.old").exists() && !dir.join("store.redb.new").exists());
}
