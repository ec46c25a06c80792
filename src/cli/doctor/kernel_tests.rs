//! Kernels of every age.

use super::super::agent::tests::status;
use super::*;
use crate::finding::Level;

const NEW: Features = Features { openat2: true, pidfd: true, nosymfollow: Some(true), beneath: Some(true) };

fn worst(features: &Features, status: Option<&Status>) -> (Level, String) {
    let found = judge(features, status);
    let worst = found.iter().max_by_key(|finding| finding.level()).unwrap();
    (worst.level(), worst.to_string())
}

#[test]
fn this_kernel_has_what_there_is_no_fallback_for() {
    let probed = Features::probe();
    assert!(probed.openat2 && probed.pidfd && probed.nosymfollow != Some(false), "{probed:?}");
}

#[test]
fn the_fallback_in_force_is_told_with_what_it_means() {
    let mut told = status();
    assert_eq!(worst(&NEW, Some(&told)).0, Level::Ok);
    told.protection = "ramfs".to_owned();
    let (level, words) = worst(&NEW, Some(&told));
    assert!(level == Level::Note && words.contains("never swapped; its size is bounded by the agent alone"), "{words}");
    told.protection = "swappable".to_owned();
    assert_eq!(worst(&NEW, Some(&told)).0, Level::Warning);
    told.protection = "noswap".to_owned();
    told.detached_clones = false;
    let (level, words) = worst(&NEW, Some(&told));
    assert!(level == Level::Note && words.contains("6.15"), "{words}");
}

#[test]
fn what_is_missing_is_an_error_and_what_is_roots_is_said() {
    let old = Features { openat2: false, ..NEW };
    let (level, words) = worst(&old, None);
    assert!(level == Level::Error && words.contains("has no openat2"), "{words}");
    let unknown = Features { nosymfollow: None, ..NEW };
    assert!(
        judge(&unknown, None).iter().any(|finding| finding.to_string().contains("nosymfollow: only root may try it"))
    );
    let (level, words) = worst(&Features { beneath: Some(false), ..NEW }, Some(&status()));
    assert!(level == Level::Note && words.contains("6.5"), "{words}");
    assert_eq!(worst(&Features { beneath: None, ..NEW }, Some(&status())).0, Level::Unchecked);
    // An agent that runs has tried it.
    assert_eq!(worst(&unknown, Some(&status())).0, Level::Ok);
}
