//! Docker's secrets, as Docker behaves: one suite, taken from the tests of moby, swarmkit and the Docker client, that
//! must hold for our agent through our CLI, for our agent through the unmodified Docker client, and for Docker itself.
//!
//! `RUNSECRETS_CONFORMANCE` names the target: `runsecrets`, `docker-cli` or `docker-swarm`. Without it the first two
//! run; `docker-swarm` starts a private dockerd, and shows that what the suite says is true of Docker. Where we differ on
//! purpose the case says why, and asserts what each side does. Needs root, as the agent does.
//!
//! | file | what is there |
//! |---|---|
//! | `conformance/target.rs` | the three targets: start, drive, ask by HTTP, clean, stop |
//! | `conformance/command.rs` | one command: run it, judge how it ended |
//! | `conformance/object.rs` | the secret object: names, sizes, look-up, labels, what is never shown |
//! | `conformance/client.rs` | the command line: shapes, words, exit status |
//! | `conformance/api.rs` | the HTTP API: status codes, filters, updates, events |
//! | `conformance/reference.rs` | secrets on services: syntax, defaults, conflicts, in use |
//! | `conformance/same.rs` | our client and Docker's side by side, byte for byte |

#[path = "conformance/api.rs"]
mod api;
#[path = "conformance/client.rs"]
mod client;
#[path = "conformance/command.rs"]
mod command;
#[path = "conformance/object.rs"]
mod object;
#[path = "conformance/reference.rs"]
mod reference;
#[path = "conformance/same.rs"]
mod same;
#[path = "conformance/target.rs"]
mod target;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use target::{Kind, Target};

/// A case: it finds an empty target.
type Case = (&'static str, fn(&Target));

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases: Vec<Case> = [object::CASES, client::CASES, api::CASES, reference::CASES, same::CASES].concat();
    if arguments.iter().any(|argument| argument == "--list") {
        cases.iter().for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    // Flags are libtest's, and the value of one is no name.
    let named = |argument: &&String| !argument.starts_with('-') && argument.contains(char::is_alphabetic);
    let filter = arguments.iter().find(named).cloned().unwrap_or_default();
    let chosen: Vec<&Case> = cases.iter().filter(|(name, _)| name.contains(&filter)).collect();
    if chosen.is_empty() && arguments.is_empty() {
        say("there are no cases");
        return ExitCode::FAILURE;
    }
    // The message and where it comes from are enough.
    std::panic::set_hook(Box::new(|failure| say(&format!("  {failure}"))));
    let failed: usize = Kind::chosen().into_iter().map(|kind| run(kind, &chosen)).sum();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the cases against one target; gives the number of those that failed.
fn run(kind: Kind, cases: &[&Case]) -> usize {
    say(&format!("\nrunning {} cases against {}", cases.len(), kind.words()));
    let target = Target::start(kind);
    let mut failed = 0;
    for (name, case) in cases {
        let passed = catch_unwind(AssertUnwindSafe(|| {
            target.clean();
            case(&target);
        }));
        say(&format!("case {name} ... {}", if passed.is_ok() { "ok" } else { "FAILED" }));
        failed += usize::from(passed.is_err());
    }
    say(&format!("{}: {} passed; {failed} failed", kind.words(), cases.len() - failed));
    failed
}

pub(crate) fn say(line: &str) {
    // Nobody is left to tell when the output is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}
