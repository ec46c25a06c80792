//! The module table of `src/lib.rs`: its rows stand in the order of use, and a module names only what stands above it.

use std::collections::BTreeSet;

use super::{Source, none, root, sources};

/// The programs: none of them uses another.
const PROGRAMS: [&str; 4] = ["agent", "hook", "runtime", "cli"];

/// What a module may not name: the table's third column, as far as words can show it.
const FORBIDDEN: [(&str, &[&str]); 11] = [
    ("sys", &["crate::secret", "crate::model", "println!", "eprintln!", "serde"]),
    ("secret", &["std::fs", "std::net", "serde", "derive(Clone", "derive(Debug, Clone"]),
    ("model", &["std::fs", "std::net", "std::os::unix::net", "SystemTime", "Instant", "tokio"]),
    ("wire", &["crate::policy", "crate::secret"]),
    ("policy", &["std::fs", "std::net", "std::os", "SystemTime", "Instant", "crate::sys", "crate::store", "tokio"]),
    ("oci", &["clap", "std::fs", "std::net", "crate::sys", "crate::secret"]),
    ("store", &["aes_gcm_siv", "hkdf", "SecretBytes", "crate::seal", "crate::policy"]),
    ("deliver", &["redb", "tokio", "UnixStream", "UnixListener", "UnixDatagram"]),
    ("hook", &["SecretBytes", "tokio", "clap", "crate::secret"]),
    ("runtime", &["crate::secret", "crate::wire", "SecretBytes", "tokio", "clap"]),
    ("cli", &["redb", "aes_gcm_siv", "hkdf"]),
];

/// Crates that one module alone may name.
const OWNERS: [(&str, &str); 4] =
    [("aes_gcm_siv::", "seal"), ("hkdf::", "seal"), ("redb::", "store"), ("oci_spec::", "oci")];

/// The modules of the table, in its order.
fn table() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let names = rows.flat_map(|row| {
        let first = row.split(" | ").next().unwrap_or_default();
        first
            .split('`')
            .filter(|part| part.chars().all(|c| c.is_ascii_lowercase()))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// The top-level module that a file of `src/` belongs to; none for `lib.rs` and the programs' three lines.
fn module(source: &Source) -> Option<String> {
    let mut parts = source.path.iter().skip(1);
    let first = parts.next()?.to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "bin").then(|| name.to_owned())
}

/// The top-level modules that a text names: by `crate::NAME`, `crate::{NAME, …}`, or `super::` up to the top.
fn named(source: &Source, modules: &[String]) -> BTreeSet<String> {
    let code = source.code();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(group_heads(group));
        } else {
            found.insert(word(rest));
        }
    }
    // `src/policy.rs` and `src/oci/mod.rs` are one `super::` below the top, `src/oci/edit.rs` is two.
    let parts = source.path.iter().count() - 1;
    let depth = if source.path.ends_with("mod.rs") { parts - 1 } else { parts };
    let climb = "super::".repeat(depth);
    found.extend(code.match_indices(&climb).map(|(at, _)| word(&code[at + climb.len()..])));
    found.retain(|name| modules.contains(name));
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The first words of a `use` group's members: `a::{b, c}, d}` has `a` and `d`.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut fresh) = (0, true);
    for (at, character) in group.char_indices() {
        match character {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                heads.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

#[test]
fn the_table_lists_the_modules_in_the_order_of_their_declaration() {
    let table = table();
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect();
    assert_eq!(table, declared);
    let present: BTreeSet<String> = sources(&["src"]).iter().filter_map(module).collect();
    assert_eq!(present, declared.into_iter().collect(), "what lies in src/, and what the table lists");
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let modules = table();
    let rank = |name: &str| modules.iter().position(|module| module == name).unwrap();
    let mut faults = Vec::new();
    let mut uses = 0;
    for source in sources(&["src"]) {
        let Some(own) = module(&source) else { continue };
        for other in named(&source, &modules).into_iter().filter(|other| *other != own) {
            uses += 1;
            let between_programs = PROGRAMS.contains(&own.as_str()) && PROGRAMS.contains(&other.as_str());
            if between_programs || rank(&other) > rank(&own) {
                faults.push(format!("{}: uses {other}, which stands below {own} in the table", source.shown()));
            }
        }
    }
    none("a module uses only what stands above it", &faults);
    assert!(uses > 50, "only {uses} uses were seen: does this test still read the code?");
}

#[test]
fn no_module_names_what_it_may_not_touch() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        // Tests may make files and clocks to test with.
        if source.path.to_string_lossy().ends_with("_tests.rs") {
            continue;
        }
        let Some(own) = module(&source) else { continue };
        let code = source.code();
        let code = code.split("#[cfg(test)]").next().unwrap();
        let forbidden = FORBIDDEN.iter().filter(|(name, _)| *name == own).flat_map(|(_, words)| words.iter());
        faults.extend(
            forbidden.filter(|word| code.contains(**word)).map(|word| format!("{}: names {word}", source.shown())),
        );
        let foreign = OWNERS.iter().filter(|(word, owner)| *owner != own && code.contains(word));
        faults.extend(foreign.map(|(word, owner)| format!("{}: names {word}, which is {owner}'s", source.shown())));
    }
    none("a module does not name what the table says it may not touch", &faults);
}

#[test]
fn a_program_is_three_lines() {
    for source in sources(&["src/bin"]) {
        let code = source.code();
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 6, "{}: {lines} lines of code; the program belongs into its module", source.shown());
    }
}

/// What this test reads must be what the compiler reads.
#[test]
fn uses_are_found_in_every_form() {
    let modules: Vec<String> = ["sys", "model", "oci", "hook"].map(str::to_owned).to_vec();
    let at = |path: &str, text: &str| {
        let source = Source { path: path.into(), text: text.to_owned() };
        named(&source, &modules).into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(at("src/oci/edit.rs", "use crate::model::{escaped, Id};"), "model");
    assert_eq!(at("src/oci/edit.rs", "use crate::{\n    model::{escaped, Id},\n    sys,\n};"), "model sys");
    assert_eq!(at("src/oci/edit.rs", "let a = crate::hook::main();"), "hook");
    assert_eq!(at("src/oci/edit.rs", "use super::super::hook;"), "hook");
    assert_eq!(at("src/oci/mod.rs", "use super::hook;"), "hook");
    assert_eq!(at("src/oci/edit.rs", "use super::hook;"), "");
    assert_eq!(at("src/oci/edit.rs", "// crate::hook\n/// [`crate::sys`]"), "");
}
