//! The hook runs as root at every container's start: what it is made of, and how large it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::root;

/// The largest hook, in bytes.
const LARGEST: usize = 1024 * 1024;
/// All that may be in its tree at run time; macros at build time are counted too. Add to it only with a reason.
const ALLOWED: [&str; 18] = [
    "bitflags",
    "caps",
    "cfg-if",
    "itoa",
    "libc",
    "memchr",
    "memoffset",
    "nix",
    "proc-macro2",
    "quote",
    "runsecrets",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "syn",
    "unicode-ident",
    "zeroize",
];
/// More that the allowed ones may bring, by version.
const MAY_COME: [&str; 2] = ["ryu", "zmij"];
/// What must never be in it.
const HEAVY: [&str; 8] = ["tokio", "redb", "clap", "hyper", "axum", "rustls", "openssl", "oci-spec"];

/// The crates of a build with `arguments`.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn its_tree_has_nothing_heavy_and_nothing_new() {
    let hook = tree(&["--no-default-features"]);
    for crate_name in HEAVY {
        assert!(!hook.contains(crate_name), "{crate_name} is in the hook's tree");
    }
    let new: Vec<_> = hook.iter().filter(|name| ![&ALLOWED[..], &MAY_COME].concat().contains(&name.as_str())).collect();
    assert!(
        new.is_empty(),
        "new in the hook's tree: {new:?}; does a program that starts with every container need it?"
    );
    // The same question of the whole crate is answered with yes: the test can see what it looks for.
    let whole = tree(&[]);
    assert!(["tokio", "redb", "clap", "hyper"].iter().all(|name| whole.contains(*name)), "{whole:?}");
}

#[test]
fn as_it_is_released_it_is_static_and_small() {
    let path = built();
    let program = fs::read(&path).unwrap();
    assert!(program.len() < LARGEST, "{}: {} bytes", path.display(), program.len());
    assert!(
        !asks_for_a_loader(&program),
        "{}: it is not static: a library path could be used against it",
        path.display()
    );
    // This test program is dynamic on every machine where it matters: the question can be answered with yes.
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    if cfg!(all(target_env = "gnu", not(target_feature = "crt-static"))) {
        assert!(asks_for_a_loader(&own));
    }
}

/// The hook as `make hook` builds it.
fn built() -> PathBuf {
    if let Some(path) = std::env::var_os("RUNSECRETS_TEST_HOOK") {
        return path.into();
    }
    let make = Command::new("make").arg("-C").arg(root()).arg("hook").env_remove("CARGO_TARGET_DIR").output();
    let make = make.expect("make is missing; install it: apt-get install -y --no-install-recommends make");
    assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    root().join("target").join(host).join("hook/runsecrets-hook")
}

/// Whether an ELF64 program of this machine's byte order has a PT_INTERP header (elf(5)).
fn asks_for_a_loader(program: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    assert_eq!(program[..5], *b"\x7fELF\x02", "not a 64-bit ELF file");
    let half = |at: usize| usize::from(u16::from_ne_bytes(program[at..at + 2].try_into().unwrap()));
    let table = usize::try_from(u64::from_ne_bytes(program[32..40].try_into().unwrap())).unwrap();
    let (size, count) = (half(54), half(56));
    assert!(count > 0);
    (0..count)
        .map(|index| table + index * size)
        .any(|at| u32::from_ne_bytes(program[at..at + 4].try_into().unwrap()) == PT_INTERP)
}
