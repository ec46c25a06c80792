//! The steps of the program, each told by its error; what was put there is taken back where a later step fails.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::oci::DirectoryMount;
use crate::wire::PROTOCOL;
use crate::wire::windows::{HOOK_PIPE, PipeAnswer, PipeDeliver, PipeRequest, ask};

use super::arguments::{Arguments, Verb};
use super::bundle::Bundle;
use super::error::PrepareError;

/// Runs the program: the one place that prints and picks the exit code.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new("--version")) {
        let _ = writeln!(std::io::stdout(), "runsecrets-runtime {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let parsed = Arguments::parse(std::env::args_os().skip(1));
    let done = parsed.and_then(|arguments| match arguments.verb {
        Verb::Prepare => prepare(&arguments),
        Verb::Release => release(&arguments).map(|()| Vec::new()),
    });
    match done {
        Ok(warnings) => {
            for warning in warnings {
                let _ = writeln!(std::io::stderr(), "runsecrets-runtime: warning: {warning}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "runsecrets-runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The policy of `prepare`; what the agent has put there is taken back when config.json cannot be edited.
fn prepare(arguments: &Arguments) -> Result<Vec<String>, PrepareError> {
    let bundle = Bundle::read(&arguments.bundle)?;
    let claim = bundle.claim(arguments.service.as_ref())?;
    if claim.is_none() && !arguments.ask {
        return Ok(Vec::new());
    }
    let request = PipeDeliver {
        protocol: PROTOCOL,
        container: arguments.container()?,
        bundle: absolute(&arguments.bundle),
        annotations: if claim.is_none() { bundle.config.annotations.clone() } else { BTreeMap::new() },
        claim,
        layer: bundle.windows.layer().map(str::to_owned),
        mounts: bundle.windows.mounts_over_layer(),
        pid: None,
    };
    match exchange(arguments, PipeRequest::Deliver(request))? {
        PipeAnswer::Nothing => Ok(Vec::new()),
        PipeAnswer::Mount { source, at, warnings } => {
            bundle.add_mount(&DirectoryMount::read_only(&source, &at)).inspect_err(|_| {
                // The error that is told is the one above.
                let _ = release(arguments);
            })?;
            Ok(warnings)
        }
        _ => Err(PrepareError::Unexpected),
    }
}

fn release(arguments: &Arguments) -> Result<(), PrepareError> {
    let request = PipeRequest::Withdraw { container: arguments.container()?, bundle: absolute(&arguments.bundle) };
    match exchange(arguments, request)? {
        PipeAnswer::Withdrawn => Ok(()),
        _ => Err(PrepareError::Unexpected),
    }
}

fn exchange(arguments: &Arguments, request: PipeRequest) -> Result<PipeAnswer, PrepareError> {
    let pipe = arguments.pipe.as_deref().unwrap_or(OsStr::new(HOOK_PIPE));
    let failed = |cause: &dyn std::fmt::Display| PrepareError::Agent {
        pipe: pipe.to_string_lossy().into_owned(),
        cause: cause.to_string(),
    };
    match ask(pipe, request).map_err(|cause| failed(&cause))? {
        PipeAnswer::Refused { reason } => Err(PrepareError::Refused { reason }),
        answer => Ok(answer),
    }
}

/// The bundle as the agent knows it again; it opens nothing there.
fn absolute(bundle: &Path) -> String {
    std::path::absolute(bundle).unwrap_or_else(|_| bundle.to_owned()).to_string_lossy().into_owned()
}
