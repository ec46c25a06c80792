//! What every store must do: one suite, run against each backend.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use runsecrets::store::{
    Batch, Change, Condition, Event, Key, MAX_KEY, MAX_RECORD, MemoryStore, RedbStore, Revision, Store, StoreError,
};

/// A store and what must live as long as it.
struct Fixture {
    store: Arc<dyn Store>,
    _dir: Option<tempfile::TempDir>,
}

fn memory() -> Fixture {
    Fixture { store: Arc::new(MemoryStore::new()), _dir: None }
}

fn redb() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(RedbStore::open(&dir.path().join("state")).unwrap());
    Fixture { store, _dir: Some(dir) }
}

/// Long enough for any machine; nothing waits that long unless the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn key(bytes: &[u8]) -> Key {
    Key::new(bytes).unwrap()
}

fn put(store: &dyn Store, at: &[u8], record: &[u8]) -> Revision {
    store.commit(&Batch { conditions: vec![], changes: vec![Change::Put(key(at), record.to_vec())] }).unwrap()
}

fn listed(store: &dyn Store, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let visit = &mut |key: &Key, record: &[u8], _| {
        found.push((key.as_bytes().to_vec(), record.to_vec()));
        Ok(())
    };
    store.list(prefix, visit).unwrap();
    found
}

fn what_is_put_is_got(store: &dyn Store) {
    assert!(store.get(&key(b"a")).unwrap().is_none());
    let first = put(store, b"a", b"one");
    let second = put(store, b"a", b"two");
    assert!(second > first);
    let found = store.get(&key(b"a")).unwrap().unwrap();
    assert_eq!((found.record.as_slice(), found.revision), (&b"two"[..], second));
    let other = put(store, b"b", b"");
    assert_eq!(store.get(&key(b"a")).unwrap().unwrap().revision, second, "another key's commit changes nothing here");
    let empty = store.get(&key(b"b")).unwrap().unwrap();
    assert_eq!((empty.record.as_slice(), empty.revision), (&b""[..], other));
}

fn deleted_and_erased_records_are_gone(store: &dyn Store) {
    for change in [Change::Delete as fn(Key) -> Change, Change::Erase] {
        put(store, b"a", b"one");
        put(store, b"b", b"stays");
        let gone = Batch { conditions: vec![], changes: vec![change(key(b"a"))] };
        let revision = store.commit(&gone).unwrap();
        assert!(store.get(&key(b"a")).unwrap().is_none());
        assert_eq!(listed(store, b""), [(b"b".to_vec(), b"stays".to_vec())]);
        assert!(store.commit(&gone).unwrap() > revision, "what is gone can be deleted again");
    }
}

fn lists_are_by_prefix_and_in_order(store: &dyn Store) {
    for at in [&b"b"[..], b"a2", b"a1", b"a\xff\xff", b"\xff", b"a"] {
        put(store, at, at);
    }
    let keys = |prefix: &[u8]| listed(store, prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(b"a"), [&b"a"[..], b"a1", b"a2", b"a\xff\xff"]);
    assert_eq!(keys(b"\xff"), [b"\xff"]);
    assert_eq!(keys(b"c"), Vec::<Vec<u8>>::new());
    assert_eq!(keys(b"").len(), 6);
    let stopped = store.list(b"", &mut |_, _, _| Err(StoreError::Stopped));
    assert!(matches!(stopped, Err(StoreError::Stopped)));
}

fn a_condition_that_does_not_hold_changes_nothing(store: &dyn Store) {
    let old = put(store, b"a", b"one");
    let new = put(store, b"a", b"two");
    for condition in [
        Condition::Absent(key(b"a")),
        Condition::At(key(b"a"), old),
        Condition::At(key(b"a"), Revision(new.0 + 1)),
        Condition::At(key(b"missing"), new),
    ] {
        // A condition that holds stands beside it: all must.
        let batch = Batch {
            conditions: vec![Condition::At(key(b"a"), new), condition.clone()],
            changes: vec![Change::Put(key(b"a"), b"three".to_vec()), Change::Put(key(b"b"), b"x".to_vec())],
        };
        assert!(matches!(store.commit(&batch), Err(StoreError::Conflict(_))), "{condition:?}");
    }
    assert_eq!(listed(store, b""), [(b"a".to_vec(), b"two".to_vec())]);
    let batch = Batch {
        conditions: vec![Condition::At(key(b"a"), new), Condition::Absent(key(b"b"))],
        changes: vec![Change::Erase(key(b"a")), Change::Put(key(b"b"), b"x".to_vec()), Change::Put(key(b"c"), vec![1])],
    };
    let revision = store.commit(&batch).unwrap();
    assert_eq!(listed(store, b""), [(b"b".to_vec(), b"x".to_vec()), (b"c".to_vec(), vec![1])]);
    assert_eq!(store.get(&key(b"b")).unwrap().unwrap().revision, revision);
    assert_eq!(store.get(&key(b"c")).unwrap().unwrap().revision, revision);
}

fn writers_that_race_lose_no_update(store: &dyn Store) {
    put(store, b"counter", b"0");
    const WRITERS: usize = 4;
    const EACH: usize = 10;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    loop {
                        let found = store.get(&key(b"counter")).unwrap().unwrap();
                        let number: usize = String::from_utf8(found.record).unwrap().parse().unwrap();
                        let batch = Batch {
                            conditions: vec![Condition::At(key(b"counter"), found.revision)],
                            changes: vec![Change::Put(key(b"counter"), (number + 1).to_string().into_bytes())],
                        };
                        match store.commit(&batch) {
                            Ok(_) => break,
                            Err(StoreError::Conflict(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let found = store.get(&key(b"counter")).unwrap().unwrap();
    assert_eq!(found.record, (WRITERS * EACH).to_string().into_bytes());
}

fn of_writers_that_want_one_key_one_gets_it(store: &dyn Store) {
    let won: usize = std::thread::scope(|scope| {
        let attempt = |writer: u8| {
            let batch = Batch {
                conditions: vec![Condition::Absent(key(b"lock"))],
                changes: vec![Change::Put(key(b"lock"), vec![writer])],
            };
            usize::from(store.commit(&batch).is_ok())
        };
        let writers: Vec<_> = (0..8).map(|writer| scope.spawn(move || attempt(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
}

fn a_list_is_of_one_moment(store: &dyn Store) {
    let both = |record: &[u8]| Batch {
        conditions: vec![],
        changes: vec![Change::Put(key(b"x1"), record.to_vec()), Change::Put(key(b"x2"), record.to_vec())],
    };
    store.commit(&both(b"0")).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..30u8).for_each(|n| assert!(store.commit(&both(&[n])).is_ok())));
        while !writer.is_finished() {
            let found = listed(store, b"x");
            assert_eq!(found[0].1, found[1].1);
        }
    });
}

fn a_watch_tells_of_commits_in_order(store: &dyn Store) {
    put(store, b"w1", b"before");
    let watch = store.watch(b"w").unwrap();
    let other = store.watch(b"nothing").unwrap();
    let first = put(store, b"w1", b"one");
    put(store, b"elsewhere", b"x");
    let batch =
        Batch { conditions: vec![], changes: vec![Change::Put(key(b"w2"), vec![]), Change::Delete(key(b"w1"))] };
    let second = store.commit(&batch).unwrap();
    let conflict = Batch { conditions: vec![Condition::Absent(key(b"w2"))], ..batch };
    assert!(store.commit(&conflict).is_err());
    let third = put(store, b"w3", b"x");
    let event = |at: &[u8], revision, present| Some(Event { key: key(at), revision, present });
    assert_eq!(watch.next(PATIENCE), event(b"w1", first, true));
    assert_eq!(watch.next(PATIENCE), event(b"w2", second, true));
    assert_eq!(watch.next(PATIENCE), event(b"w1", second, false));
    assert_eq!(watch.next(PATIENCE), event(b"w3", third, true));
    assert_eq!(other.next(Duration::ZERO), None);
    drop(watch);
    put(store, b"w1", b"nobody listens");
}

fn limits_are_kept(store: &dyn Store) {
    assert!(Key::new(b"").is_none() && Key::new([0; MAX_KEY + 1]).is_none());
    let long = [7; MAX_KEY];
    put(store, &long, &vec![1; MAX_RECORD]);
    assert_eq!(store.get(&key(&long)).unwrap().unwrap().record.len(), MAX_RECORD);
    let batch = Batch { conditions: vec![], changes: vec![Change::Put(key(b"a"), vec![1; MAX_RECORD + 1])] };
    assert!(matches!(store.commit(&batch), Err(StoreError::TooLong { .. })));
}

macro_rules! contract {
    ($backend:ident: $($test:ident),* $(,)?) => {
        mod $backend {
            $(#[test]
            fn $test() {
                let fixture = super::$backend();
                super::$test(&*fixture.store);
            })*
        }
    };
}

macro_rules! backends {
    ($($backend:ident),*) => {
        $(contract!($backend:
            what_is_put_is_got,
            deleted_and_erased_records_are_gone,
            lists_are_by_prefix_and_in_order,
            a_condition_that_does_not_hold_changes_nothing,
            writers_that_race_lose_no_update,
            of_writers_that_want_one_key_one_gets_it,
            a_list_is_of_one_moment,
            a_watch_tells_of_commits_in_order,
            limits_are_kept,
        );)*
    };
}

backends!(memory, redb);
