//! The wrapper: stands where a container engine calls runc or crun. On `create` and `run` of a container that claims a
//! service it adds our hooks to the bundle's config.json; then it becomes the real runtime, with the very same arguments.
//! It knows no secrets, and a container that claims nothing is not touched, unless `--ask` has the agent judge each. It asks
//! the agent one thing: whether the service wants `$CREDENTIALS_DIRECTORY` in the environment, which no hook can set.
//! On `checkpoint` the agent keeps the container's secrets out of sight of CRIU, and after `restore` it delivers them anew.
#![forbid(unsafe_code)]

mod agent;
mod arguments;
mod bundle;
mod error;
mod options;
mod programs;
mod snapshot;
#[cfg(test)]
#[allow(dead_code, reason = "the program that uses it is for Windows")]
mod windows;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::model::{ClaimRoute, ServiceName};
use crate::oci::Additions;
use arguments::{Dialect, Invocation, Verb};
use error::WrapperError;
use options::Options;

/// Runs the program.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let (options, rest) = match Options::split(&arguments) {
        Ok(split) => split,
        Err(error) => return report(&error, &Invocation::default()),
    };
    let runtime = programs::runtime(&own_name, &options);
    let dialect = runtime.as_ref().map_or(Dialect::Go, |runtime| programs::dialect(runtime));
    let invocation = Invocation::scan(rest, dialect);
    // Returns only if the real runtime could not be started.
    match runtime.and_then(|runtime| run(&runtime, &options, &invocation, rest)) {
        Ok(code) => code,
        Err(error) => report(&error, &invocation),
    }
}

/// The policy of the wrapper. Except after `restore` it returns only if the real runtime could not be started.
fn run(
    runtime: &Path,
    options: &Options,
    invocation: &Invocation,
    arguments: &[OsString],
) -> Result<ExitCode, WrapperError> {
    match invocation.verb {
        Verb::Create => drop(prepare(runtime, options, &invocation.bundle(), invocation.config.as_deref())?),
        Verb::Checkpoint => snapshot::hide(runtime, options, &arguments[invocation.head..])?,
        Verb::Restore => {
            if let Some(code) = snapshot::restore(runtime, options, arguments, invocation.head)? {
                return Ok(code);
            }
        }
        Verb::Other => {}
    }
    let cause = Command::new(runtime).arg0(runtime.file_name().unwrap_or(runtime.as_os_str())).args(arguments).exec();
    Err(WrapperError::Exec { runtime: runtime.to_owned(), cause })
}

/// Adds our hooks to a bundle that makes a claim; the hook's program and its arguments if it does.
fn prepare(
    runtime: &Path,
    options: &Options,
    bundle: &Path,
    other: Option<&Path>,
) -> Result<Option<(PathBuf, Vec<String>)>, WrapperError> {
    let config = bundle::read(bundle, other)?;
    let mut said = options.service.as_ref().map(|service| ("--service", service.clone()));
    let annotated = bundle::claims(&config)?;
    if options.claim_from_environment && said.is_none() && !annotated {
        said = bundle::environment_claim(&config)?.map(|service| ("--service-from-environment", service));
    }
    if said.is_none() && !annotated && !options.ask {
        return Ok(None);
    }
    bundle::is_its_own(bundle, other)?;
    let hook = programs::hook(options)?;
    let route = |flag: &str| if flag == "--service" { ClaimRoute::Argument } else { ClaimRoute::Environment };
    let claimed = said.as_ref().map(|(flag, service)| (route(flag), service));
    let variables = agent::variables(options.run_dir().as_deref(), bundle, &bundle::parsed(&config)?, claimed)?;
    let arguments = hook_arguments(said.as_ref(), options)?;
    let additions = Additions {
        hook: hook.clone(),
        variables,
        arguments: arguments.clone(),
        // crun refuses the container where it cannot open the file that it is told.
        show_on_stderr: programs::is_crun(runtime) && programs::stderr_opens(),
    };
    bundle::add_hooks(bundle, &config, &additions)?;
    Ok(Some((hook, arguments)))
}

fn hook_arguments(said: Option<&(&str, ServiceName)>, options: &Options) -> Result<Vec<String>, WrapperError> {
    let mut arguments = Vec::new();
    if let Some((flag, service)) = said {
        arguments.extend([(*flag).to_owned(), service.to_string()]);
    }
    if options.ask {
        arguments.push("--ask".to_owned());
    }
    if let Some(run_dir) = options.run_dir() {
        let text = run_dir.to_str().filter(|_| run_dir.is_absolute()).ok_or(WrapperError::RunDir)?;
        arguments.extend(["--run-dir".to_owned(), text.to_owned()]);
    }
    Ok(arguments)
}

/// The only place that prints: one line on standard error, and in the log that the engine reads.
fn report(error: &WrapperError, invocation: &Invocation) -> ExitCode {
    let message = format!("runsecrets-runtime: {error}");
    let _ = writeln!(std::io::stderr(), "{message}");
    if let Some(log) = &invocation.log
        && let Ok(mut log) = OpenOptions::new().append(true).create(true).open(log)
    {
        let line = if invocation.log_json {
            serde_json::json!({"level": "error", "msg": message}).to_string()
        } else {
            format!("level=error msg={message:?}")
        };
        let _ = writeln!(log, "{line}");
    }
    ExitCode::from(error.exit_code())
}
