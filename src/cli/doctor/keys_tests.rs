//! The root key's files and the store's directory in every state.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::super::agent::tests::status;
use super::*;
use crate::finding::Level;

fn key(uid: u32, mode: &str) -> Option<KeyFile> {
    Some(KeyFile { uid, mode: mode.to_owned() })
}

fn judged(clear: Option<KeyFile>, wrapped: Option<KeyFile>) -> (Level, String) {
    let found = judge(&KeyFiles { file: "/s/root.key".into(), clear, wrapped }, 0);
    let worst = found.iter().max_by_key(|finding| finding.level()).unwrap();
    (worst.level(), worst.to_string())
}

#[test]
fn a_key_is_its_owners_alone() {
    assert_eq!(
        judged(key(0, "0400"), None),
        (Level::Ok, "the root key is /s/root.key, 0400; autolock is off".to_owned())
    );
    assert_eq!(judged(key(0, "0600"), None).0, Level::Ok);
    for mode in ["0440", "0604", "0660", "0700", "x"] {
        let (level, words) = judged(key(0, mode), None);
        assert!(level == Level::Error && words.contains("; fix: find out who has read it; then chmod 0400"), "{words}");
    }
    let (level, words) = judged(key(7, "0400"), None);
    assert!(level == Level::Error && words.contains("belongs to user 7"), "{words}");
    let (level, words) = judged(None, key(0, "0444"));
    assert!(level == Level::Error && words.contains("/s/root.key.locked has mode 0444"), "{words}");
}

#[test]
fn the_state_of_autolock_is_told() {
    assert!(judged(None, key(0, "0400")).1.contains("autolock is on"));
    let (level, words) = judged(key(0, "0400"), key(0, "0400"));
    assert!(
        level == Level::Warning && words.contains("not confirmed") && words.contains("runsecrets unlock"),
        "{words}"
    );
    let (level, words) = judged(None, None);
    assert!(level == Level::Error && words.contains("is gone"), "{words}");
}

#[test]
fn the_stores_directory_is_its_owners_alone() {
    let at = |found| state_dir(Path::new("/s"), found, 0)[0].clone();
    assert_eq!(at(Some((0, 0o700))).level(), Level::Ok);
    assert_eq!(at(Some((0, 0o500))).level(), Level::Ok);
    assert!(at(Some((0, 0o750))).to_string().ends_with("; fix: chmod 0700 /s"));
    assert!(at(Some((7, 0o700))).to_string().contains("belongs to user 7"));
    assert_eq!(at(None).level(), Level::Unchecked);
}

#[test]
fn without_an_agent_what_could_not_be_checked_is_said() {
    let found = check(None, Path::new("/elsewhere"), 0);
    assert_eq!(found.iter().map(Finding::level).collect::<Vec<_>>(), [Level::Unchecked]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let (key, owner) = (directory.path().join("root.key"), look(directory.path()).unwrap().0);
    let levels = || silent(directory.path(), owner).iter().map(Finding::level).collect::<Vec<_>>();
    assert_eq!(levels(), [Level::Ok, Level::Unchecked]);
    std::fs::write(&key, "").unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(levels(), [Level::Ok, Level::Ok]);
    // Why the agent does not start.
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(levels(), [Level::Ok, Level::Error]);
    assert!(check(Some(&status()), Path::new("/elsewhere"), 0).len() == 2);
}
