//! The list in src/failpoint.rs is what there is: each point stands at one place of the programs, and nothing of them is in
//! a program that is not built for `make test-faults`.

use std::fs;
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};
use super::{build_the_hook, none, root, rust_files};

/// In a program that can be stopped; no other text names it.
const MARKER: &[u8] = b"RUNSECRETS_FAULT";

/// The names in the list.
fn listed() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/failpoint.rs")).unwrap();
    let entries = text.lines().skip_while(|line| *line != "points! {").take_while(|line| *line != "}");
    entries.filter_map(|line| Some(line.trim().split_once(" = ")?.0.to_owned())).collect()
}

/// The names at which the programs say that they have come there.
fn placed() -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files("src").into_iter().filter(|file| !file.ends_with("src/failpoint.rs")) {
        let tokens = tokens(&fs::read_to_string(file).unwrap());
        for at in tokens.windows(6).filter(|at| at[0].is_word("reach") && at[1].is_sign('(') && at[2].is_word("Point"))
        {
            if let Token::Word(name) = &at[5] {
                found.push(name.clone());
            }
        }
    }
    found
}

#[test]
fn every_point_is_listed_and_placed_once() {
    let (listed, placed) = (listed(), placed());
    assert!(listed.len() > 50, "only {} points were found", listed.len());
    let times = |name: &String| placed.iter().filter(|other| *other == name).count();
    let faults = listed.iter().filter(|name| times(name) != 1).map(|name| format!("{name}: {} times", times(name)));
    none(&faults.collect::<Vec<_>>());
    let unlisted = placed.iter().filter(|name| !listed.contains(name)).cloned();
    none(&unlisted.collect::<Vec<_>>());
}

#[test]
fn only_programs_for_this_test_can_be_stopped() {
    let released = std::env::var_os("RUNSECRETS_TEST_HOOK").map_or_else(build_the_hook, PathBuf::from);
    assert!(!has_marker(&released), "{} can be stopped", released.display());
    for program in [env!("CARGO_BIN_EXE_runsecrets-agent"), env!("CARGO_BIN_EXE_runsecrets-hook")] {
        assert_eq!(has_marker(Path::new(program)), cfg!(feature = "faults"), "{program}");
    }
}

fn has_marker(program: &Path) -> bool {
    memchr::memmem::find(&fs::read(program).unwrap(), MARKER).is_some()
}
