//! The rules of the house, each a test: what the code is allowed to look like, so that a reader may rely on it.
//!
//! | file | keeps |
//! |---|---|
//! | `house/map.rs` | the module table of `src/lib.rs`: who uses whom, and what a module may not name |
//! | `house/files.rs` | heads, lengths and names of files; `unsafe` only below `src/sys/`; the top level |
//! | `house/hook.rs` | what the hook is made of, and how large it is |
//! | `house/around.rs` | the files around the code: hook registrations, the Makefile's verbs |
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "house/around.rs"]
mod around;
#[path = "house/files.rs"]
mod files;
#[path = "house/hook.rs"]
mod hook;
#[path = "house/map.rs"]
mod map;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file and its text.
struct Source {
    /// Its path from the root, such as `src/oci/edit.rs`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text without comments: what the compiler reads. A `//` in a string ends its line too, which is enough here.
    fn code(&self) -> String {
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    fn shown(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

/// All Rust files below `directories`, sorted.
fn sources(directories: &[&str]) -> Vec<Source> {
    let mut pending: Vec<PathBuf> = directories.iter().map(|directory| root().join(directory)).collect();
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(root()).unwrap().to_owned(), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 3, "few files below {directories:?}: are they looked for in the right place?");
    found
}

/// Fails with all of `faults` at once.
#[track_caller]
fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}
