//! kill -9 at any moment: what was acknowledged is there, what was removed is gone to the last byte, and everything verifies.
//!
//! The test starts itself again as a child that makes and removes secrets in a loop and says so, and kills it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use runsecrets::agent::catalog::{Catalog, NewService};
use runsecrets::model::{Claim, ClaimRoute, ContainerId, Grant, Grants, Labels, SecretName, ServiceName, Timestamp};
use runsecrets::policy::{Peer, authorize};
use runsecrets::seal::{ROOT_KEY_BYTES, RootKey, fill_random, token_matches};
use runsecrets::secret::SecretBytes;
use runsecrets::store::{Key, RedbStore, Store};

const ROUNDS: usize = 40;
const CHILD_DIR: &str = "RUNSECRETS_TEST_CRASH_DIR";
const NOW: Timestamp = Timestamp(1);
/// Live secrets at most: one service must be able to grant them all.
const LIVE: usize = 30;

fn open(dir: &Path) -> (Arc<RedbStore>, Catalog) {
    let store = Arc::new(RedbStore::open(dir).unwrap());
    let root = SecretBytes::take_from(&mut [0x42; ROOT_KEY_BYTES]).unwrap();
    let catalog = Catalog::open(store.clone(), RootKey::from_secret(root).unwrap()).unwrap();
    (store, catalog)
}

/// The value of a secret follows from its name, and its length too.
fn value_of(name: &str) -> Vec<u8> {
    let number: usize = name.trim_start_matches('s').parse().unwrap();
    name.bytes().cycle().take(1 + number * 37 % 9000).collect()
}

fn create(catalog: &Catalog, name: &str) {
    let value = SecretBytes::take_from(&mut value_of(name)).unwrap();
    catalog.create_secret(SecretName::parse(name).unwrap(), Labels::default(), value, NOW).unwrap();
}

/// The sealed data key of a secret, in hex: what must be nowhere once the secret is removed.
fn wrapped_key(store: &dyn Store, catalog: &Catalog, name: &str) -> String {
    let id = catalog.secret(name).unwrap().id;
    let mut hex = String::new();
    let visit = &mut |_: &Key, record: &[u8], _| {
        hex = record.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(())
    };
    store.list(&[b"K", id.as_str().as_bytes()].concat(), visit).unwrap();
    hex
}

#[test]
#[ignore = "the child of kill_9_loses_nothing_that_was_acknowledged, which runs it"]
fn child() {
    let dir = std::env::var_os(CHILD_DIR).expect("only kill_9_loses_nothing_that_was_acknowledged runs this");
    let (store, catalog) = open(Path::new(&dir));
    let mut out = std::io::stdout();
    let mut say = |line: String| {
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let last = catalog.secrets().iter().map(|secret| secret.index).max().unwrap_or(0);
    for number in last + 1.. {
        let name = format!("s{number}");
        say(format!("\ntry create {name}\n"));
        create(&catalog, &name);
        say(format!("\ndone create {name} {}\n", wrapped_key(&*store, &catalog, &name)));
        let secrets = catalog.secrets();
        if number % 3 == 0 || secrets.len() >= LIVE {
            let mut byte = [0];
            fill_random(&mut byte).unwrap();
            let victim = &secrets[usize::from(byte[0]) % secrets.len()].name;
            say(format!("\ntry remove {victim}\n"));
            catalog.remove_secret(victim.as_str()).unwrap();
            say(format!("\ndone remove {victim}\n"));
        }
    }
}

/// What the children said, over all rounds.
#[derive(Default)]
struct Said {
    /// Acknowledged and not removed, with their wrapped keys.
    live: BTreeMap<String, String>,
    /// The wrapped keys of what was removed.
    removed: Vec<String>,
    /// What was begun and not acknowledged.
    open: Option<(String, String)>,
    count: usize,
}

impl Said {
    fn hear(&mut self, line: &str) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["try", verb, name] => self.open = Some((verb.to_owned(), name.to_owned())),
            ["done", "create", name, key] => {
                self.live.insert(name.to_owned(), key.to_owned());
                self.done();
            }
            ["done", "remove", name] => {
                let key = self.live.remove(name).unwrap();
                self.removed.push(key);
                self.done();
            }
            // Lines of the test harness, and one that was cut off by the kill.
            _ => {}
        }
    }

    fn done(&mut self) {
        self.open = None;
        self.count += 1;
    }
}

/// Runs a child for a random while, kills it, and hears what it said to the last whole line.
fn run_and_kill(dir: &Path, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut random = [0; 2];
    fill_random(&mut random).unwrap();
    // At least one operation begins; then the kill comes at any moment of those that follow.
    let mut line = String::new();
    while !line.starts_with("try") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the child ended by itself");
    }
    said.hear(line.trim_end());
    let reader = std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_micros(u64::from(u16::from_le_bytes(random)) % 50_000));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    for line in reader.join().unwrap() {
        said.hear(&line);
    }
}

/// Opens every value there is, by a service that grants them all.
fn values(catalog: &Catalog) -> BTreeMap<String, Vec<u8>> {
    let grants: Vec<Grant> =
        catalog.secrets().iter().map(|secret| Grant::parse(secret.name.as_str()).unwrap()).collect();
    let name = ServiceName::parse("all").unwrap();
    let grants = Grants::try_from(grants).unwrap();
    let service = catalog.create_service(NewService { grants, ..NewService::named(name) }, NOW).unwrap();
    let claim = Claim { service: service.name.clone(), route: ClaimRoute::Argument, token: None };
    let (peer, container) = (Peer { uid: 0, gid: 0, pid: 1 }, ContainerId::parse("c").unwrap());
    let proof = authorize(&peer, None, &container, &claim, &service, token_matches).unwrap();
    let open = |grant: &Grant| {
        let (secret, _, value) = catalog.open_value(&proof, grant).unwrap();
        (secret.name.to_string(), value.expose().to_vec())
    };
    let values = service.grants.as_slice().iter().map(open).collect();
    catalog.remove_service("all").unwrap();
    values
}

fn check(dir: &Path, said: &mut Said) {
    let (store, catalog) = open(dir);
    let found = values(&catalog);
    let names: BTreeSet<&String> = found.keys().collect();
    let mut expected: BTreeSet<String> = said.live.keys().cloned().collect();
    if let Some((verb, name)) = said.open.take() {
        // Begun and not acknowledged: either outcome is right, and from here on it is settled.
        match (verb.as_str(), names.contains(&name)) {
            ("create", true) => {
                said.live.insert(name.clone(), wrapped_key(&*store, &catalog, &name));
                expected.insert(name);
            }
            ("remove", false) => {
                said.removed.extend(said.live.remove(&name));
                expected.remove(&name);
            }
            _ => {}
        }
    }
    assert_eq!(names, expected.iter().collect(), "what was acknowledged, and nothing else");
    for (name, value) in &found {
        assert_eq!(*value, value_of(name), "{name}");
    }
    let files: Vec<Vec<u8>> =
        fs::read_dir(dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let contain = |key: &String| {
        let key: Vec<u8> =
            (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap()).collect();
        // From its nonce on, the record is random.
        files.iter().any(|file| memmem(file, &key[10..]))
    };
    assert!(said.live.values().all(contain), "the search finds what is there");
    // The keys of the last rounds are the ones that a crash could have left.
    assert!(!said.removed.iter().rev().take(20).any(contain), "a removed data key is still in a file");
}

/// Whether `needle` stands in `haystack`: looks at its first byte first, as the files are large.
fn memmem(haystack: &[u8], needle: &[u8]) -> bool {
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| *byte == needle[0]) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("state");
    let mut said = Said::default();
    // On a machine that is busy with other things little is done in one round: then there are more.
    let enough = |said: &Said| said.count >= ROUNDS && !said.removed.is_empty();
    let mut rounds = 0;
    while rounds < ROUNDS || !enough(&said) {
        assert!(rounds < 10 * ROUNDS, "{} operations were too few", said.count);
        run_and_kill(&dir, &mut said);
        check(&dir, &mut said);
        rounds += 1;
    }
}
