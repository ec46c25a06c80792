//! What a root key file must be, case by case.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("root.key")
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn load(&self) -> Result<RootKey, RootKeyError> {
        load_or_create(&self.key(), &self.store()).map(|found| match found {
            Found::Key(key) => key,
            Found::Locked(_) => panic!("locked"),
        })
    }

    fn put(&self, bytes: &[u8], mode: u32) {
        std::fs::write(self.key(), bytes).unwrap();
        std::fs::set_permissions(self.key(), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn the_first_start_makes_a_key_and_the_second_finds_it() {
    let place = Place::new();
    let first = place.load().unwrap();
    assert_eq!(std::fs::metadata(place.key()).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 1);
    std::fs::write(place.store(), b"").unwrap();
    assert!(place.load().unwrap().expose() == first.expose());
    assert!(first.expose().iter().any(|byte| *byte != 0));
}

#[test]
fn a_missing_key_beside_a_store_is_never_replaced() {
    let place = Place::new();
    std::fs::write(place.store(), b"").unwrap();
    assert!(matches!(place.load(), Err(RootKeyError::Missing { .. })));
    assert!(!place.key().exists());
}

#[test]
fn a_key_of_the_wrong_size_or_of_zeroes_is_refused() {
    let place = Place::new();
    for bytes in [&[][..], &[7; 31], &[7; 33], &[0; 32]] {
        place.put(bytes, 0o600);
        assert!(matches!(place.load(), Err(RootKeyError::Damaged { .. })), "{}", bytes.len());
    }
    place.put(&[7; 32], 0o600);
    assert!(place.load().is_ok());
}

#[test]
fn a_key_that_others_could_read_is_refused() {
    let place = Place::new();
    for mode in [0o640, 0o604, 0o660, 0o620, 0o700, 0o4600] {
        place.put(&[7; 32], mode);
        let error = place.load().err().unwrap();
        assert!(matches!(error, RootKeyError::Protection(ProtectionError::Mode { .. })), "{mode:o}: {error}");
    }
}

#[test]
fn a_link_is_no_key() {
    let place = Place::new();
    place.put(&[7; 32], 0o600);
    let elsewhere = place.directory.path().join("elsewhere");
    std::fs::hard_link(place.key(), &elsewhere).unwrap();
    assert!(matches!(place.load(), Err(RootKeyError::Protection(ProtectionError::Kind { .. }))));
    std::fs::remove_file(place.key()).unwrap();
    symlink(&elsewhere, place.key()).unwrap();
    assert!(matches!(place.load(), Err(RootKeyError::Protection(ProtectionError::Kind { .. }))));
}

#[test]
fn what_a_cut_short_start_left_is_no_hindrance() {
    let place = Place::new();
    std::fs::write(place.directory.path().join("root.key.new"), [1; 5]).unwrap();
    assert_eq!(place.load().unwrap().expose().len(), ROOT_KEY_BYTES);
}
