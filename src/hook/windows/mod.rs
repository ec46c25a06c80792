//! The OCI hook on Windows, for runtimes that have hooks there; it never holds a byte of a secret. `prestart` has the
//! container's secrets put in its directory, or finds that `runsecrets-runtime prepare` has had that done, and binds them to
//! the container's process; `poststop` has them removed, and exits 0 whatever happened. The mount is config.json's, which no
//! hook can change any more: a container without it is refused.
#![forbid(unsafe_code)]

#[path = "../arguments.rs"]
mod arguments;
#[path = "../bundle.rs"]
mod bundle;
#[path = "../claim.rs"]
mod claim;
mod error;
mod own;

use std::collections::BTreeMap;
use std::io::Write;

use crate::model::ContainerId;
use crate::oci::DirectoryMount;
use crate::wire::PROTOCOL;
use crate::wire::windows::{PipeAnswer, PipeDeliver, PipeRequest, ask};

use arguments::{Arguments, Stage};
use bundle::{read_config, read_state, read_windows_config};
use claim::{claim, is_sandbox};
use error::HookError;

/// The hook did its work, or had none.
const DONE: u8 = 0;
/// The hook could not do its work: the runtime gives up the container.
const FAILED: u8 = 1;

/// Runs the hook and returns its exit code.
pub fn main() -> u8 {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => return report(&error),
    };
    match arguments.stage {
        Stage::Version => {
            let _ = writeln!(std::io::stdout(), "runsecrets-hook {}", env!("CARGO_PKG_VERSION"));
            DONE
        }
        Stage::Deliver => deliver(&arguments).map_or_else(|error| report(&error), |()| DONE),
        Stage::Withdraw => {
            if let Err(error) = withdraw(&arguments) {
                report(&error);
            }
            DONE
        }
    }
}

/// The policy of `prestart`.
fn deliver(arguments: &Arguments) -> Result<(), HookError> {
    let state = read_state()?;
    let bundle = state.bundle.as_deref().ok_or(HookError::StateLacks { what: "bundle" })?;
    let (config, windows) = (read_config(bundle)?, read_windows_config(bundle)?);
    let claim = claim(arguments.service.as_ref(), &state, Some(&config))?;
    if claim.is_none() && (!arguments.ask || is_sandbox(&state, Some(&config))) {
        return Ok(());
    }
    let container = ContainerId::parse(&state.id).map_err(HookError::Claim)?;
    let bundle = bundle.to_string_lossy().into_owned();
    let stated = if state.annotations.is_empty() { &config.annotations } else { &state.annotations };
    let request = PipeDeliver {
        protocol: PROTOCOL,
        container: container.clone(),
        bundle: bundle.clone(),
        annotations: if claim.is_none() { stated.clone() } else { BTreeMap::new() },
        claim,
        layer: windows.layer().map(str::to_owned),
        mounts: windows.mounts_over_layer(),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()),
    };
    let (source, at, warnings) = match exchange(arguments, PipeRequest::Deliver(request))? {
        PipeAnswer::Nothing => return Ok(()),
        PipeAnswer::Mount { source, at, warnings } => (source, at, warnings),
        _ => return Err(HookError::Unexpected),
    };
    if !windows.has(&DirectoryMount::read_only(&source, &at)) {
        // The container would not see its secrets, or could write to them. What is told is that.
        let _ = exchange(arguments, PipeRequest::Withdraw { container, bundle });
        return Err(HookError::Unmounted { source, at });
    }
    for warning in warnings {
        let _ = writeln!(std::io::stderr(), "runsecrets-hook: warning: {warning}");
    }
    Ok(())
}

/// The policy of `poststop`.
fn withdraw(arguments: &Arguments) -> Result<(), HookError> {
    let state = read_state()?;
    let bundle = state.bundle.as_deref().ok_or(HookError::StateLacks { what: "bundle" })?;
    let container = ContainerId::parse(&state.id).map_err(HookError::Claim)?;
    let request = PipeRequest::Withdraw { container, bundle: bundle.to_string_lossy().into_owned() };
    match exchange(arguments, request)? {
        PipeAnswer::Withdrawn => Ok(()),
        _ => Err(HookError::Unexpected),
    }
}

fn exchange(arguments: &Arguments, request: PipeRequest) -> Result<PipeAnswer, HookError> {
    let pipe = &arguments.own.pipe;
    let failed = |cause| HookError::Agent { pipe: pipe.to_string_lossy().into_owned(), cause };
    match ask(pipe, request).map_err(failed)? {
        PipeAnswer::Refused { reason } => Err(HookError::Refused { reason }),
        answer => Ok(answer),
    }
}

/// The only place that prints an error: one line on standard error, which runtimes quote to the user.
fn report(error: &HookError) -> u8 {
    let _ = writeln!(std::io::stderr(), "runsecrets-hook: {error}");
    FAILED
}
