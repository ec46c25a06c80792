//! The house: who may use whom, where `unsafe` may stand, what the hook may bring with it. These hold for every file.
#![allow(clippy::unwrap_used)] // a test may end where it stands

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules from the top down: each may use only what stands before it. The programs stand last and beside each other.
const ORDER: [&str; 9] = ["sys", "secret", "model", "wire", "policy", "oci", "seal", "store", "deliver"];
const PROGRAMS: [&str; 4] = ["agent", "hook", "runtime", "cli"];
/// What each of these may not touch, besides what stands after it.
const FORBIDDEN: [(&str, &[&str]); 7] = [
    ("model", &["sys", "secret"]),
    ("policy", &["sys", "secret", "wire", "seal", "store"]),
    ("oci", &["sys", "secret", "wire"]),
    ("store", &["secret", "seal", "policy", "deliver"]),
    ("deliver", &["store", "seal", "policy"]),
    ("hook", &["secret", "policy", "seal", "store"]),
    ("cli", &["policy", "seal", "store", "deliver", "wire", "oci"]),
];
/// The longest file of the program, in lines.
const LONGEST: usize = 500;
/// The largest hook, in bytes.
const LARGEST_HOOK: u64 = 1024 * 1024;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `directory`, with its text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    fn walk(path: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.strip_prefix(root()).unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(directory), &mut found);
    assert!(found.len() > 5, "no sources in {directory}");
    found
}

/// The module of a file: the first directory or file name below `src/`.
fn module(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    below.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The code of a file: no comments, no contents of strings, and nothing after its test module.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\n").next().unwrap();
    let mut code = String::new();
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        match character {
            '/' if chars.peek() == Some(&'/') => {
                for skipped in chars.by_ref() {
                    if skipped == '\n' {
                        break;
                    }
                }
                code.push('\n');
            }
            '"' => {
                while let Some(inside) = chars.next() {
                    match inside {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            // A quote as a character would open a string that is none.
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
            }
            other => code.push(other),
        }
    }
    code
}

fn is_test(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().ends_with("_tests.rs")
}

/// Whether `word` stands in `code` as a word.
fn has_word(code: &str, word: &str) -> bool {
    code.split(|character: char| !character.is_alphanumeric() && character != '_').any(|found| found == word)
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !is_test(path)) {
        let module = module(&path);
        if matches!(module.as_str(), "lib" | "bin") {
            continue;
        }
        let code = code(&text);
        // `crate::a::…` and `crate::{a::…, b::…}`.
        let mut used: Vec<String> = code
            .split("crate::")
            .skip(1)
            .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
            .collect();
        for group in code.split("crate::{").skip(1) {
            let group = group.split(';').next().unwrap();
            used.extend(
                ORDER.iter().chain(&PROGRAMS).filter(|name| has_word(group, name)).map(|name| (*name).to_owned()),
            );
        }
        let own = ORDER.iter().position(|name| *name == module).unwrap_or(ORDER.len());
        for other in used.into_iter().filter(|other| *other != module && !other.is_empty()) {
            let below = ORDER.iter().position(|name| *name == other).is_some_and(|place| place > own);
            let forbidden = FORBIDDEN.iter().any(|(name, not)| *name == module && not.contains(&other.as_str()));
            if below || forbidden || PROGRAMS.contains(&other.as_str()) {
                wrong.push(format!("{} uses {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stands_in_sys_alone_and_every_other_module_forbids_it() {
    for (path, text) in sources("src") {
        let unsafe_here = has_word(&code(&text), "unsafe");
        assert!(!unsafe_here || module(&path) == "sys", "unsafe in {}", path.display());
    }
    for name in ORDER.iter().skip(1).chain(&PROGRAMS) {
        let file = root().join("src").join(name);
        let file = if file.is_dir() { file.join("mod.rs") } else { file.with_extension("rs") };
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\n#![forbid(unsafe_code)]\n"), "{} does not forbid it", file.display());
    }
}

#[test]
fn every_file_says_what_it_is_for_and_has_one_subject() {
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(|directory| {
        if directory == "benches" {
            vec![(PathBuf::from("benches/start.rs"), fs::read_to_string(root().join("benches/start.rs")).unwrap())]
        } else {
            sources(directory)
        }
    }) {
        assert!(text.starts_with("//! "), "{} does not open with //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= LONGEST || !path.starts_with("src"), "{} has {lines} lines", path.display());
    }
}

#[test]
fn ciphers_and_kdfs_are_named_in_seal_alone() {
    for (path, text) in sources("src") {
        let code = code(&text);
        for name in ["aes_gcm_siv", "hkdf", "hmac", "sha2"] {
            assert!(!has_word(&code, name) || module(&path) == "seal", "{name} in {}", path.display());
        }
    }
}

#[test]
fn secret_bytes_cannot_be_shown_copied_or_serialised() {
    let text = fs::read_to_string(root().join("src/secret.rs")).unwrap();
    let definition = text.split("pub struct SecretBytes").next().unwrap();
    let attributes: Vec<&str> = definition.lines().rev().take_while(|line| !line.is_empty()).collect();
    assert!(!attributes.iter().any(|line| line.contains("derive")), "{attributes:?}");
    for name in ["Debug for SecretBytes", "Clone for SecretBytes", "Display for SecretBytes", "Serialize"] {
        assert!(!text.contains(name), "{name}");
    }
}

#[test]
fn the_hook_brings_no_daemon_with_it() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--no-default-features", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"serde_json"), "{tree}");
    for heavy in ["tokio", "redb", "rustls", "openssl", "clap", "hyper", "tracing", "aes-gcm-siv", "oci-spec"] {
        assert!(!names.contains(&heavy), "{heavy} is in the hook's tree:\n{tree}");
    }
}

#[test]
fn the_hook_as_released_is_small_and_static() {
    let hook = std::env::var_os("RUNSECRETS_TEST_HOOK")
        .expect("RUNSECRETS_TEST_HOOK names the released hook; `make test` sets it");
    let bytes = fs::read(&hook).unwrap();
    assert!((bytes.len() as u64) < LARGEST_HOOK, "{} bytes", bytes.len());
    // ELF64: e_phoff at 32, e_phentsize at 54, e_phnum at 56. A dynamic program has a segment of type PT_INTERP, 3.
    let number =
        |at: usize, size: usize| bytes[at..at + size].iter().rev().fold(0usize, |sum, byte| sum << 8 | *byte as usize);
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!((1..64).contains(&count));
    let kinds: Vec<usize> = (0..count).map(|index| number(start + index * size, 4)).collect();
    assert!(!kinds.contains(&3), "the hook asks for a loader");
}

#[test]
fn the_top_level_has_what_was_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "LICENSE",
        "CHANGELOG.md",
        "README.md",
        "rustfmt.toml",
        "clippy.toml",
        ".gitignore",
        ".ci",
        ".github",
        "src",
        "hooks",
        "windows",
        "packaging",
        "tests",
        "benches",
        "fuzz",
    ];
    let output = Command::new("git").args(["ls-files"]).current_dir(root()).output().expect("apt-get install -y git");
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let top = line.split('/').next().unwrap();
        assert!(agreed.contains(&top), "{line}");
    }
}

#[test]
fn every_dependency_says_why() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains(" = ") && !line.starts_with('#') {
            assert!(line.contains(" # "), "no reason given: {line}");
        }
    }
}

#[test]
fn the_hook_files_name_what_is_installed() {
    for (file, stage, argument) in [("create", "createRuntime", "create-runtime"), ("poststop", "poststop", "poststop")]
    {
        let text = fs::read_to_string(root().join(format!("hooks/60-runsecrets-{file}.json"))).unwrap();
        let hook: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(hook["hook"]["path"], "/usr/libexec/runsecrets/runsecrets-hook");
        assert_eq!(hook["hook"]["args"], serde_json::json!(["runsecrets-hook", argument]));
        assert!(hook["hook"]["env"].as_array().is_some_and(|environment| !environment.is_empty()));
        assert_eq!(hook["stages"], serde_json::json!([stage]));
        assert_eq!(hook["when"]["annotations"]["^io\\.runsecrets\\.service$"], ".");
    }
}
