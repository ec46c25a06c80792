//! The search for values that must be nowhere: what is planted is found, in every form and place.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use testbed::Canary;

#[test]
fn every_form_is_found_wherever_it_begins() {
    let canary = Canary::new();
    let value = canary.value().as_bytes();
    for lead in 0..4 {
        let inside = [&b"abcd"[..lead], value, b"tail"].concat();
        let hex: String = inside.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            STANDARD.encode(&inside),
            STANDARD_NO_PAD.encode(&inside),
            URL_SAFE.encode(&inside),
            hex.to_uppercase(),
            hex,
        ];
        assert!(canary.is_in(&inside));
        for form in forms {
            assert!(canary.is_in(form.as_bytes()), "{lead}: {form}");
        }
    }
    assert!(!canary.is_in(Canary::new().value().as_bytes()));
    assert!(!canary.is_in(&value[1..]));
}

#[test]
fn files_names_and_links_are_searched() {
    let canary = Canary::new();
    let top = tempfile::tempdir().unwrap();
    assert!(canary.search(top.path()).is_empty());
    std::fs::create_dir_all(top.path().join("deep/er")).unwrap();
    std::fs::write(top.path().join("deep/er/file"), format!("x{}x", canary.value())).unwrap();
    std::fs::write(top.path().join("deep").join(canary.value()), "").unwrap();
    std::os::unix::fs::symlink(canary.value(), top.path().join("link")).unwrap();
    assert_eq!(canary.search(top.path()).len(), 3);
}

#[test]
fn processes_are_searched() {
    let canary = Canary::new();
    assert!(canary.processes().is_empty());
    let mut child =
        Command::new("sleep").arg("100").env("PLANTED", canary.value()).stdin(Stdio::null()).spawn().unwrap();
    let found = canary.processes();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, [format!("{}/environ", child.id())]);
}
