//! The OCI hook. It moves descriptors of mounts from the agent into a container; it never holds a byte of a secret.
//!
//! What it does, in this order and nothing else:
//!
//! `createRuntime` (or `prestart`)
//! 1. clears its environment and closes inherited descriptors;
//! 2. reads the state from standard input and config.json from the bundle;
//! 3. exits 0 if the container claims no service: the agent is not asked, unless `--ask` says so;
//! 4. connects to the agent, and makes sure that root is listening there;
//! 5. refuses a container that shares the mount namespace of its runtime; makes the claim, enters the mount namespace;
//! 6. looks at what is mounted, and asks the agent for the service's mounts;
//! 7. attaches them and tells the agent so; undoes everything if it cannot.
//!
//! `restored`, after the runtime has restored the container from a checkpoint: the same.
//!
//! `poststop`
//! 1. tells the agent that the container has stopped;
//! 2. removes the mount points that were made for it;
//! 3. exits 0 whatever happened: a runtime may refuse for ever to delete a container whose poststop hook fails.
//!
//! It may be killed at any instruction: the agent sees the connection close and scrubs what it had filled.
#![forbid(unsafe_code)]

mod agent;
mod arguments;
mod bundle;
mod claim;
mod deliver;
mod error;
mod own;
mod trace;
mod withdraw;

use std::io::Write;

use arguments::{Arguments, Stage};
use error::HookError;

use crate::failpoint::{Point, reach};

/// The hook did its work, or had none.
const DONE: u8 = 0;
/// The hook could not do its work: the runtime gives up the container.
const FAILED: u8 = 1;

/// Runs the hook and returns its exit code.
pub fn main() -> u8 {
    let arguments = Arguments::parse(std::env::args_os().skip(1));
    reach(Point::HookStarted);
    if let Err(cause) = crate::sys::linux::startup::shed_inheritance() {
        return report(&HookError::Startup { cause });
    }
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => return report(&error),
    };
    match arguments.stage {
        Stage::Version => {
            let _ = writeln!(std::io::stdout(), "runsecrets-hook {}", env!("CARGO_PKG_VERSION"));
            DONE
        }
        Stage::Deliver => match deliver::deliver(&arguments) {
            Ok(()) => DONE,
            Err(error) => report(&error),
        },
        Stage::Withdraw => {
            if let Err(error) = withdraw::withdraw(&arguments) {
                report(&error);
            }
            DONE
        }
    }
}

/// The only place that prints: one line on standard error, which runtimes quote to the user.
fn report(error: &HookError) -> u8 {
    let _ = writeln!(std::io::stderr(), "runsecrets-hook: {error}");
    FAILED
}
