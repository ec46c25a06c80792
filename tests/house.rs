//! The rules of the house, each as a test: the map in `src/lib.rs` is true, `unsafe` and ciphers stay where they belong,
//! the hook stays small. What can be read is read; nothing is taken from a list that somebody has to remember.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "house/failpoints.rs"]
mod failpoints;
#[path = "house/imports.rs"]
mod imports;
#[path = "house/tokens.rs"]
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::imports;
use tokens::{Token, tokens};

/// Names that may stand at the top of the repository.
const TOP_LEVEL: [&str; 20] = [
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "benches",
    "clippy.toml",
    "fuzz",
    "hooks",
    "packaging",
    "rustfmt.toml",
    "src",
    "tests",
    "windows",
    ".git",
    "target",
];
/// What a module may not use though it stands above: the last column of the table in src/lib.rs.
const MAY_NOT_USE: [(&str, &[&str]); 9] = [
    ("model", &["sys", "replace", "secret"]),
    ("policy", &["sys", "replace", "secret", "wire"]),
    ("oci", &["sys", "replace", "secret", "wire"]),
    ("cdi", &["sys", "replace", "secret", "wire", "policy", "oci"]),
    ("store", &["secret", "policy", "seal"]),
    ("deliver", &["policy", "seal", "store"]),
    ("finding", &["sys", "replace", "secret", "wire", "policy", "oci", "seal", "store", "deliver"]),
    ("hook", &["secret", "policy", "seal", "store"]),
    ("cli", &["wire", "policy", "oci", "seal", "store", "deliver"]),
];
/// Lines after which a file of the product has a second subject.
const MAX_LINES: usize = 500;
/// Crates that encrypt, authenticate, hash or derive keys; `src/seal` alone may name one.
const CIPHERS: [&str; 14] = [
    "aead",
    "aes",
    "aes_gcm",
    "aes_gcm_siv",
    "argon2",
    "blake2",
    "chacha20poly1305",
    "hkdf",
    "hmac",
    "hpke",
    "ring",
    "scrypt",
    "sha2",
    "x25519_dalek",
];
/// What may not reach the hook, by the beginning of a crate's name.
const NOT_IN_THE_HOOK: [&str; 16] = [
    "aes",
    "clap",
    "etcd",
    "h2",
    "hkdf",
    "hyper",
    "mio",
    "native-tls",
    "oci-spec",
    "openssl",
    "redb",
    "regex",
    "ring",
    "rustls",
    "tokio",
    "tracing",
];
/// The hook is smaller than this, in bytes.
const HOOK_LIMIT: u64 = 1024 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory` of the repository; what .gitignore names is left out.
fn files(directory: &str) -> Vec<PathBuf> {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: Vec<PathBuf> = ignored.lines().map(|line| root().join(line.trim_matches('/'))).collect();
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if ignored.contains(&path) || path == root().join(".git") {
                continue;
            }
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn rust_files(directory: &str) -> Vec<PathBuf> {
    files(directory).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Fails with all of `faults` at once.
#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The rows of the table in src/lib.rs, each with its modules.
fn table() -> Vec<Vec<String>> {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next());
    let modules = |row: &str| {
        row.split(", ").filter_map(|cell| cell.strip_prefix("[`")?.strip_suffix("`]")).map(str::to_owned).collect()
    };
    rows.map(modules).filter(|row: &Vec<String>| !row.is_empty()).collect()
}

/// The modules that src/lib.rs declares, in order.
fn declared() -> Vec<String> {
    let tokens = tokens(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let after_mod = tokens.windows(2).filter(|pair| pair[0].is_word("mod"));
    after_mod.filter_map(|pair| if let Token::Word(name) = &pair[1] { Some(name.clone()) } else { None }).collect()
}

/// The path of modules of a file in src/, or none for files of tests and for the programs' entry points.
fn module_path(file: &Path) -> Option<Vec<String>> {
    let below = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let mut parts: Vec<String> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let last = parts.last().unwrap();
    if parts[0] == "bin" || last == "tests" || last.ends_with("_tests") {
        return None;
    }
    if last == "mod" || last == "lib" {
        parts.pop();
    }
    Some(parts)
}

#[test]
fn the_table_names_every_module_in_order() {
    assert_eq!(table().concat(), declared());
    assert!(table().len() > 5, "no table was found in src/lib.rs");
    let map = tokens::without_tests(&tokens(&fs::read_to_string(root().join("src/lib.rs")).unwrap()));
    let logic = ["fn", "struct", "enum", "impl", "trait", "static"];
    assert!(
        !map.iter().any(|token| logic.iter().any(|word| token.is_word(word))),
        "src/lib.rs is a map, without logic"
    );
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let table = table();
    let row = |module: &str| table.iter().position(|row| row.iter().any(|name| name == module));
    // The programs are the last two rows: the daemon, and those that talk to it.
    let first_program = table.len() - 2;
    let (mut faults, mut judged) = (Vec::new(), 0);
    for file in rust_files("src") {
        let Some(path) = module_path(&file) else { continue };
        let Some(own) = path.first() else { continue };
        let own_row = row(own).unwrap_or_else(|| panic!("{} belongs to no module of the table", shown(&file)));
        for used in imports(&fs::read_to_string(&file).unwrap(), path.len()) {
            if used == *own {
                continue;
            }
            judged += 1;
            let below = row(&used).is_none_or(|row| row >= own_row || row >= first_program);
            let apart = MAY_NOT_USE.iter().any(|(module, others)| module == own && others.contains(&used.as_str()));
            if below || apart {
                faults.push(format!("{}: {own} may not use {used}", shown(&file)));
            }
        }
    }
    none(&faults);
    assert!(judged > 30, "only {judged} uses were found");
}

#[test]
fn unsafe_stays_in_sys() {
    let mut faults = Vec::new();
    let mut in_sys = 0;
    for file in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let count = tokens(&fs::read_to_string(&file).unwrap()).iter().filter(|token| token.is_word("unsafe")).count();
        if file.starts_with(root().join("src/sys")) {
            in_sys += count;
        } else if count > 0 {
            faults.push(format!("{}: {count} unsafe", shown(&file)));
        }
    }
    none(&faults);
    assert!(in_sys > 0, "no unsafe was found at all");
    let forbid = tokens("#![forbid(unsafe_code)]");
    for module in declared().iter().filter(|module| *module != "sys") {
        let roots = [format!("src/{module}.rs"), format!("src/{module}/mod.rs")].map(|path| root().join(path));
        let source = fs::read_to_string(roots.iter().find(|path| path.exists()).unwrap()).unwrap();
        assert!(tokens(&source).starts_with(&forbid), "module {module} does not begin with #![forbid(unsafe_code)]");
    }
}

#[test]
fn every_file_says_what_it_is_for_and_has_one_subject() {
    let mut faults = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let text = fs::read_to_string(&file).unwrap();
        if !text.starts_with("//! ") {
            faults.push(format!("{} does not open with //!", shown(&file)));
        }
        if file.starts_with(root().join("src")) && text.lines().count() > MAX_LINES {
            faults.push(format!("{} is longer than {MAX_LINES} lines", shown(&file)));
        }
        let name = file.file_stem().unwrap().to_str().unwrap();
        if ["util", "utils", "helper", "helpers", "common", "manager", "misc"].contains(&name) {
            faults.push(format!("{}: a name that says nothing", shown(&file)));
        }
    }
    none(&faults);
}

#[test]
fn ciphers_are_named_in_seal_alone() {
    let (mut faults, mut in_seal) = (Vec::new(), 0);
    for file in rust_files("src") {
        let words = tokens(&fs::read_to_string(&file).unwrap());
        let named: Vec<_> = words.iter().filter(|word| CIPHERS.iter().any(|name| word.is_word(name))).collect();
        if file.starts_with(root().join("src/seal")) {
            in_seal += named.len();
        } else if !named.is_empty() {
            faults.push(format!("{}: {:?}", shown(&file), named[0]));
        }
    }
    none(&faults);
    assert!(in_seal > 0, "no cipher was found at all");
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
fn the_hooks_dependencies_are_few_and_small() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-e", "normal", "--no-default-features", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut crates: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    crates.sort_unstable();
    crates.dedup();
    assert!(crates.contains(&"nix") && crates.contains(&"runsecrets"), "{crates:?}");
    let family = |name: &str, start: &str| {
        name == start || name.strip_prefix(start).is_some_and(|rest| rest.starts_with(['-', '_']))
    };
    let unwanted: Vec<_> =
        crates.iter().filter(|name| NOT_IN_THE_HOOK.iter().any(|start| family(name, start))).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
    assert!(crates.len() <= 30, "{} crates: {crates:?}", crates.len());
}

#[test]
fn the_hook_as_released_is_static_and_small() {
    let hook = std::env::var_os("RUNSECRETS_TEST_HOOK").map_or_else(build_the_hook, PathBuf::from);
    let bytes = fs::read(&hook).unwrap_or_else(|error| panic!("{}: {error}", hook.display()));
    assert!((bytes.len() as u64) < HOOK_LIMIT, "the hook has {} bytes", bytes.len());
    assert!(!program_header_types(&bytes).contains(&PT_INTERP), "the hook needs a dynamic linker");
}

/// The hook as `make hook` builds it; `make test` has done so before.
fn build_the_hook() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut make = Command::new("make");
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        make.env_remove(variable);
    }
    make.arg("hook").arg(format!("CARGO={}", env!("CARGO"))).env("CARGO_TARGET_DIR", target).current_dir(root());
    let output = make.output().expect("make is missing; apt-get install -y make");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = fs::read_dir(target).unwrap().map(|entry| entry.unwrap().path().join("hook/runsecrets-hook"));
    let built = built.filter(|path| path.exists());
    built.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).expect("make hook has made no hook")
}

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// The types of the program headers of a 64-bit little-endian ELF file, elf(5).
fn program_header_types(elf: &[u8]) -> Vec<u32> {
    assert_eq!(elf[..6], *b"\x7fELF\x02\x01", "no 64-bit little-endian ELF file");
    let half = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let table = usize::try_from(u64::from_le_bytes(elf[32..40].try_into().unwrap())).unwrap();
    let (size, count) = (half(54), half(56));
    let starts = (0..count).map(|number| table + number * size);
    let types: Vec<u32> = starts.map(|at| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap())).collect();
    assert!(types.contains(&PT_LOAD), "no program header was found");
    types
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

#[test]
fn the_unit_leaves_the_agent_what_it_needs() {
    let unit = fs::read_to_string(root().join("packaging/runsecrets-agent.service")).unwrap();
    let settings: Vec<(&str, &str)> =
        unit.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let bounded = settings.iter().filter(|(key, _)| *key == "CapabilityBoundingSet");
    let mut given: Vec<&str> = bounded.flat_map(|(_, names)| names.split(' ')).collect();
    let hardening = tokens(&fs::read_to_string(root().join("src/agent/hardening.rs")).unwrap());
    let list = hardening.iter().skip_while(|token| !token.is_word("KEPT")).skip_while(|token| !token.is_sign('='));
    let mut needed: Vec<&str> = list
        .take_while(|token| !token.is_sign(';'))
        .filter_map(|token| if let Token::Word(word) = token { Some(word.as_str()) } else { None })
        .filter(|word| word.starts_with("CAP_"))
        .collect();
    needed.push("CAP_SETPCAP"); // to leave the bounding set
    given.sort_unstable();
    needed.sort_unstable();
    assert_eq!(given, needed);
    // The first takes openat2(2) away, the others give a mount namespace; the unit says more.
    for harmful in ["RestrictSUIDSGID", "Protect", "Private", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths"] {
        let found = settings.iter().find(|(key, _)| key.starts_with(harmful));
        assert!(found.is_none(), "{found:?} breaks deliveries");
    }
    assert!(
        settings.contains(&("RuntimeDirectoryPreserve", "yes")),
        "the records of deliveries must outlive a restart"
    );
}

#[test]
fn the_top_of_the_repository_holds_only_what_it_must() {
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TOP_LEVEL.contains(&name.to_str().unwrap()), "{name:?} does not belong at the top of the repository");
    }
    for name in ["README.md", "LICENSE", "CHANGELOG.md", "Makefile", "hooks", "windows", "packaging", "tests", "src"] {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}

#[test]
fn every_dependency_says_why() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (mut section, mut judged) = ("", 0);
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && !line.trim().is_empty() && !line.starts_with('#') {
            // Of an entry of several lines the last one says it.
            if line.ends_with('[') || line.starts_with(' ') {
                continue;
            }
            let reason = line.rsplit_once(" # ").map_or("", |(_, reason)| reason.trim());
            assert!(reason.len() > 10, "Cargo.toml does not say why: {line}");
            judged += 1;
        }
    }
    assert!(judged > 10, "only {judged} dependencies were found");
}

#[test]
fn no_text_names_a_path_of_somebodys_machine() {
    let shared =
        ["/", "/home", "/root", "/tmp", "/var", "/var/tmp", "/usr", "/usr/src", "/opt", "/srv", "/mnt", "/run"];
    let places = root().ancestors().filter_map(Path::to_str).filter(|place| !shared.contains(place));
    let mut places: Vec<String> = places.map(|place| format!("{place}/")).collect();
    places.extend(["home", "Users"].map(|homes| format!("/{homes}/")));
    let mut faults = Vec::new();
    for file in files("") {
        // What is no text names no path.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| names_path(line, place)) {
                faults.push(format!("{}:{}: {line}", shown(&file), number + 1));
            }
        }
    }
    none(&faults);
}

/// Whether `line` has a path that begins with `place`; `/etc/home/x` does not begin with `/home/`.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + place.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}*".contains(c)) && after.is_some_and(char::is_alphanumeric)
    })
}

#[test]
fn only_code_is_judged() {
    let source = "/* unsafe /* unsafe */ */ // unsafe\nlet a = \"unsafe \\\" unsafe\"; r#\"unsafe \" \"#; b'\\''; 'x'; &'a str; '\\u{1}'; safe";
    let words: Vec<_> = tokens(source).into_iter().filter(|token| matches!(token, Token::Word(_))).collect();
    let expected = ["let", "a", "a", "str", "safe"].map(|word| Token::Word(word.to_owned()));
    assert_eq!(words, expected);
    assert!(tokens("x\"y\" unsafe {").contains(&Token::Word("unsafe".to_owned())));
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let source = "use crate::{a::{x, y}, b, c as d}; use super::super::e::f; fn g() { crate::h::i() } use super::j::k; \
                  #[cfg(test)] mod tests { use crate::l; } use crate::m; $crate::n!()";
    assert_eq!(imports(source, 2), ["a", "b", "c", "e", "h", "m", "n"]);
    assert_eq!(imports("use super::a;", 1), ["a"]);
    assert_eq!(imports("pub(crate) fn a() {} pub(in crate::b) fn c() {} // crate::d", 1), ["b"]);
}
