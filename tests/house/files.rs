//! Heads, lengths and names of files, `unsafe` only below `src/sys/`, and what may lie at the top level.

use std::fs;
use std::path::Path;

use super::{none, root, sources};

/// Past this a file has a second subject.
const LONGEST: usize = 500;
/// Names that say nothing of what is in a file.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "misc", "stuff"];
/// What the project has at its top level, and then what tools insist on.
const TOP_LEVEL: [&str; 21] = [
    "Cargo.toml",
    "src",
    "hooks",
    "windows",
    "packaging",
    "tests",
    "README.md",
    ".ci",
    ".git",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "LICENSE",
    "Makefile",
    "benches",
    "clippy.toml",
    "fuzz",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "target",
];

#[test]
fn every_file_opens_with_what_it_is_for() {
    let faults: Vec<String> = sources(&["src", "tests", "benches"])
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}", source.shown()))
        .collect();
    none("the first line of a file is `//!` and says what it is for", &faults);
}

#[test]
fn no_file_has_two_subjects() {
    let mut faults = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        let lines = source.text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines; what is the second subject?", source.shown()));
        }
        let stem = source.path.file_stem().unwrap().to_str().unwrap();
        if EMPTY_NAMES.iter().any(|name| stem.split('_').any(|part| part == *name)) {
            faults.push(format!("{}: the name does not say what is in it", source.shown()));
        }
    }
    none("files are short, and named after their subject", &faults);
}

#[test]
fn unsafe_is_below_sys_and_nowhere_else() {
    let mut faults = Vec::new();
    let mut fenced = 0;
    for source in sources(&["src"]) {
        let code = source.code();
        if source.path.starts_with("src/sys") {
            fenced += code.matches("unsafe ").count();
            continue;
        }
        let word = |word: &&str| *word == "unsafe";
        if code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|part| word(&part)) {
            faults.push(format!("{}: has `unsafe`", source.shown()));
        }
        let parts = source.path.iter().count();
        let is_root =
            (parts == 3 && source.path.ends_with("mod.rs")) || (parts == 2 && !source.path.ends_with("lib.rs"));
        if is_root && !code.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("{}: the root of a module has no #![forbid(unsafe_code)]", source.shown()));
        }
    }
    none("`unsafe` is only below src/sys/", &faults);
    assert!(fenced > 0, "src/sys has no `unsafe`: does this test still see it?");
}

#[test]
fn the_top_level_has_only_what_was_agreed() {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let faults: Vec<String> = entries.filter(|name| !TOP_LEVEL.contains(&name.as_str())).collect();
    none("nothing else lies at the top level", &faults);
    for required in &TOP_LEVEL[..7] {
        assert!(root().join(required).exists(), "{required} is missing");
    }
}

#[test]
fn every_dependency_says_why() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    let mut faults = Vec::new();
    let mut seen = 0;
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains(" = ") && !line.starts_with('#') {
            seen += 1;
            if !line.contains(" # ") {
                faults.push(line.to_owned());
            }
        }
    }
    none("each dependency has a comment that says why it is there", &faults);
    assert!(seen > 10, "only {seen} dependencies were seen");
}

#[test]
fn scripts_can_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let mut seen = 0;
    for directory in [".ci", "packaging"] {
        for entry in fs::read_dir(root().join(directory)).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_file() && fs::read(&path).unwrap().starts_with(b"#!") {
                seen += 1;
                assert!(is_executable(&path), "{}: it has a #! line and is not executable", path.display());
            }
        }
    }
    assert!(seen >= 3, "only {seen} scripts were seen");
    fn is_executable(path: &Path) -> bool {
        fs::metadata(path).unwrap().permissions().mode() & 0o111 == 0o111
    }
}
