//! Removal: everything goes, nothing behind a link is touched, and what is in use stays to be tried again.

use super::*;
use crate::deliver::windows::test_seams::PlainAcl;
use crate::deliver::zeroes::ZEROES;

fn tree(top: &Path) {
    fs::create_dir_all(top.join("web").join("secrets").join("sub")).unwrap();
    fs::write(top.join("web").join("secrets").join("a"), vec![7u8; ZEROES.len() + 5]).unwrap();
    fs::write(top.join("web").join("secrets").join("sub").join("b"), "hunter2").unwrap();
}

#[test]
fn a_directory_goes_with_all_that_is_in_it() {
    let top = tempfile::tempdir().unwrap();
    tree(top.path());
    let scrubbed = scrub(&PlainAcl::default(), &top.path().join("web"));
    assert_eq!(scrubbed, Scrubbed { files: 2, failures: Vec::new() });
    assert!(!top.path().join("web").exists());
    assert_eq!(
        scrub(&PlainAcl::default(), &top.path().join("web")),
        Scrubbed::default(),
        "a second time is no failure"
    );
}

#[test]
fn a_file_is_overwritten_before_it_goes() {
    let top = tempfile::tempdir().unwrap();
    tree(top.path());
    let kept = top.path().join("second name");
    fs::hard_link(top.path().join("web").join("secrets").join("a"), &kept).unwrap();
    scrub(&PlainAcl::default(), &top.path().join("web"));
    let bytes = fs::read(&kept).unwrap();
    assert!(bytes.len() == ZEROES.len() + 5 && bytes.iter().all(|byte| *byte == 0));
}

#[test]
fn what_is_in_use_stays_until_it_can_be_overwritten() {
    let top = tempfile::tempdir().unwrap();
    tree(top.path());
    let scrubbed = scrub(&PlainAcl { busy: Some("b"), ..PlainAcl::default() }, &top.path().join("web"));
    assert_eq!(scrubbed.files, 1);
    assert!(scrubbed.failures[0].starts_with("overwrite a file"), "{:?}", scrubbed.failures);
    assert!(top.path().join("web").join("secrets").join("sub").join("b").exists());
    assert_eq!(scrub(&PlainAcl::default(), &top.path().join("web")).files, 1);
}

#[test]
fn a_sweep_leaves_the_living() {
    let top = tempfile::tempdir().unwrap();
    tree(top.path());
    fs::create_dir(top.path().join("db")).unwrap();
    fs::write(top.path().join("stray"), "a file of nobody's").unwrap();
    let mut swept = {
        let there = |path: &Path| assert!(path.exists(), "told before it goes");
        sweep(&PlainAcl::default(), top.path(), |name| name == "db", there).unwrap()
    };
    swept.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(swept.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["stray", "web"]);
    assert_eq!(swept[1].1, Scrubbed { files: 2, failures: Vec::new() });
    let left: Vec<_> = fs::read_dir(top.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["db"]);
}

#[cfg(unix)]
#[test]
fn nothing_behind_a_link_is_touched() {
    let top = tempfile::tempdir().unwrap();
    tree(top.path());
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "stays").unwrap();
    std::os::unix::fs::symlink(outside.path(), top.path().join("web").join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("file"), top.path().join("web").join("secrets").join("f")).unwrap();
    assert!(scrub(&PlainAcl::default(), &top.path().join("web")).failures.is_empty());
    assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), "stays");
}
