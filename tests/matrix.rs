//! `make test-matrix`: the end-to-end tests against the engines of several Debian releases, and a table of it.
//!
//! The test programs are built once, here, and run in a root file system of each release (`.ci/make-root`), entered as a
//! machine of its own (`.ci/enter-root`). It is no part of `cargo test`: it downloads three times a Debian. The roots and
//! the packages are kept, so a second run starts at once.
//!
//! | variable | |
//! |---|---|
//! | `MATRIX_DIR` | where the roots, packages, logs and the table are: `target/matrix` |
//! | `MATRIX_PROGRAMS` | what `cargo test --no-run --message-format=json` said |
//! | `MATRIX_RELEASES`, `MATRIX_SUITES` | only these, with blanks between |
//! | `MATRIX_MIRROR` | the mirror, if it is not that of this machine's apt |

#[path = "matrix/root.rs"]
mod root;
#[path = "matrix/suite.rs"]
mod suite;
#[path = "matrix/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use root::Root;
use suite::{SUITES, Suite};
use table::Column;

/// A release's name in the archive, and for people.
const RELEASES: [(&str, &str); 3] = [("bookworm", "Debian 12"), ("trixie", "Debian 13"), ("forky", "Debian forky")];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("test-matrix: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Every suite in every release, one after another; whether all have passed.
fn run() -> Result<bool, String> {
    let directory =
        PathBuf::from(variable("MATRIX_DIR").ok_or("MATRIX_DIR is not set: start it by `make test-matrix`")?);
    let programs = programs(Path::new(&variable("MATRIX_PROGRAMS").ok_or("MATRIX_PROGRAMS is not set")?))?;
    suite::all_are_placed(programs.keys().map(String::as_str))?;
    let suites: Vec<&Suite> = SUITES.iter().filter(|suite| chosen("MATRIX_SUITES", suite.name)).collect();
    let mut columns = Vec::new();
    for (release, title) in RELEASES.into_iter().filter(|(release, _)| chosen("MATRIX_RELEASES", release)) {
        say(&format!("{title}: {}", directory.join(release).display()));
        let root = Root::make(&directory, release)?;
        let mut outcomes = Vec::new();
        for suite in &suites {
            let log = directory.join("logs").join(format!("{release}-{}", suite.name));
            let outcome = suite.run(&root, &programs, &log)?;
            say(&format!("{title}: {}: {}", suite.name, outcome.words()));
            outcomes.push(outcome);
        }
        columns.push(Column { title, versions: root.versions()?, outcomes });
    }
    let table = table::markdown(&suites, &columns);
    say(&format!("\n{table}"));
    std::fs::write(directory.join("table.md"), &table).map_err(|error| format!("the table: {error}"))?;
    let outcomes: Vec<_> = columns.iter().flat_map(|column| &column.outcomes).collect();
    outcomes.iter().filter(|outcome| !outcome.is_good()).for_each(|bad| say(&format!("see {}", bad.log.display())));
    Ok(!outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.is_good()))
}

/// The test programs by name, of what cargo has said about the build.
fn programs(file: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let tests = messages.filter(|message| message["target"]["kind"][0] == "test");
    let named = tests.filter_map(|test| {
        Some((test["target"]["name"].as_str()?.to_owned(), PathBuf::from(test["executable"].as_str()?)))
    });
    Ok(named.collect())
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the variable names this one, or is not there.
fn chosen(name: &str, one: &str) -> bool {
    variable(name).is_none_or(|names| names.split_whitespace().any(|word| word == one))
}

fn say(line: &str) {
    // Nobody is left to tell when the output is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}
