//! `checkpoint` and `restore`: CRIU writes what a container has in RAM to a disk, where no value may be, and makes it again
//! without our hooks (crun) or undoes what they did (runc). So the agent takes the secrets out of its sight for as long as
//! the runtime has the connection that it is given here, and they are delivered anew when it has restored the container.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::model::ContainerId;
use crate::wire::HookRequest;

use super::arguments::{Dialect, matching, option, takes_value};
use super::error::WrapperError;
use super::options::Options;
use super::{agent, prepare, programs};

/// Options of `checkpoint` and `restore` that take a value.
const WITH_VALUE: [&str; 14] = [
    "image-path",
    "work-path",
    "parent-path",
    "page-server",
    "status-fd",
    "manage-cgroups-mode",
    "empty-ns",
    "network-lock",
    "bundle",
    "b",
    "pid-file",
    "console-socket",
    "lsm-profile",
    "lsm-mount-context",
];
/// Options that take none and whose names others could be taken for.
const ALONE: [&str; 4] = ["detach", "d", "pre-dump", "no-pivot"];

/// What such a call says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    container: Option<ContainerId>,
    bundle: Option<PathBuf>,
    detach: bool,
}

impl Call {
    /// Scans what follows the subcommand. An id that is not found leaves the secrets where they are, and CRIU refuses.
    fn scan(arguments: &[OsString], dialect: Dialect) -> Self {
        let mut call = Self::default();
        let mut arguments = arguments.iter().map(OsString::as_os_str);
        while let Some(argument) = arguments.next() {
            let Some((name, inline)) = option(argument) else {
                let id = || ContainerId::parse(argument.to_str()?).ok();
                call.container = call.container.or_else(id);
                continue;
            };
            // crun's short options stand together: `-db DIR`.
            let cluster = dialect == Dialect::Argp && !argument.as_bytes().starts_with(b"--");
            let (name, inline) = match name {
                [b'd', b'b', rest @ ..] if cluster => {
                    call.detach = true;
                    (&b"b"[..], Some(rest).filter(|rest| !rest.is_empty()).map(std::ffi::OsStr::from_bytes))
                }
                [b'b', rest @ ..] if cluster && !rest.is_empty() => {
                    (&b"b"[..], Some(std::ffi::OsStr::from_bytes(rest)))
                }
                _ => (name, inline),
            };
            let takes_next = inline.is_none() && takes_value(name, dialect, &WITH_VALUE, &ALONE).unwrap_or_default();
            let value = if takes_next { arguments.next() } else { inline };
            match matching(name, dialect, &WITH_VALUE).chain(matching(name, dialect, &ALONE)).next() {
                Some("bundle" | "b") => call.bundle = value.map(PathBuf::from),
                Some("detach" | "d") => call.detach = inline.is_none_or(|inline| inline == "true"),
                _ => {}
            }
        }
        call
    }
}

/// `checkpoint`: has the agent take the container's secrets off, and leaves the connection to the runtime, which is about to
/// take our place. They are put back when the last process that has it is gone, whatever became of it.
pub(super) fn hide(runtime: &Path, options: &Options, arguments: &[OsString]) -> Result<(), WrapperError> {
    let Some(container) = Call::scan(arguments, programs::dialect(runtime)).container else { return Ok(()) };
    let request = HookRequest::Checkpoint { container };
    // Without an agent they stay, and CRIU refuses a container that has any.
    let Some(connection) = agent::announce(options.run_dir().as_deref(), &request)? else { return Ok(()) };
    leave_open(connection)
}

fn leave_open(connection: UnixStream) -> Result<(), WrapperError> {
    let kept = fcntl(&connection, FcntlArg::F_SETFD(FdFlag::empty()));
    kept.map_err(|cause| WrapperError::Hand { cause: cause.into() })?;
    // It ends with the runtime.
    std::mem::forget(connection);
    Ok(())
}

/// `restore`: of a container that makes a claim. None where it makes none, and nothing is to be done.
pub(super) fn restore(
    runtime: &Path,
    options: &Options,
    arguments: &[OsString],
    head: usize,
) -> Result<Option<ExitCode>, WrapperError> {
    let (before, after) = arguments.split_at(head);
    let call = Call::scan(after, programs::dialect(runtime));
    let bundle = call.bundle.unwrap_or_else(|| PathBuf::from("."));
    let Some((hook, hook_arguments)) = prepare(runtime, options, &bundle, None)? else { return Ok(None) };
    // The runtime will say what is wrong with a call that has no id.
    let Some(container) = call.container else { return Ok(None) };
    if !call.detach {
        return Err(WrapperError::Foreground);
    }
    let text = bundle.canonicalize().unwrap_or(bundle).to_string_lossy().into_owned();
    let request = HookRequest::Restore { container: container.clone(), bundle: text };
    let coming = agent::announce(options.run_dir().as_deref(), &request)?.ok_or(WrapperError::NoAgent)?;

    let failed = |cause| WrapperError::Exec { runtime: runtime.to_owned(), cause };
    let name = runtime.file_name().unwrap_or(runtime.as_os_str());
    let status = Command::new(runtime).arg0(name).args(arguments).status().map_err(failed)?;
    if !status.success() {
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        return Ok(Some(ExitCode::from(code)));
    }
    let globals = &before[..before.len().saturating_sub(1)];
    let other = |verb: &[&str]| {
        let mut command = Command::new(runtime);
        command.arg0(name).args(globals).args(verb).arg(container.as_str()).stdin(Stdio::null());
        command
    };
    let delivered = other(&["state"]).output().map_err(|cause| cause.to_string()).and_then(|state| {
        if !state.status.success() {
            return Err(String::from_utf8_lossy(&state.stderr).trim().to_owned());
        }
        call_hook(&hook, &hook_arguments, &state.stdout)
    });
    drop(coming);
    if let Err(cause) = delivered {
        // A container without what it was granted does not run.
        for verb in [&["kill"][..], &["delete", "--force"]] {
            let mut command = other(verb);
            if verb == ["kill"] {
                command.arg("KILL");
            }
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        return Err(WrapperError::NotDelivered { cause });
    }
    Ok(Some(ExitCode::SUCCESS))
}

/// Has the hook deliver to the container of `state`, which runs.
fn call_hook(hook: &Path, arguments: &[String], state: &[u8]) -> Result<(), String> {
    let mut command = Command::new(hook);
    command.arg0("runsecrets-hook").arg("restored").args(arguments).env_clear();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = piped.map_err(|cause| cause.to_string())?;
    let told = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(state));
    let output = child.wait_with_output().map_err(|cause| cause.to_string())?;
    match told {
        _ if !output.status.success() => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        told => told.map_err(|cause| cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_bundle_are_found_as_engines_write_them() {
        let all = Call { container: ContainerId::parse("id").ok(), bundle: Some("/b".into()), detach: true };
        for line in [
            "--image-path /i --work-path /w --bundle /b --detach --pid-file /p id",
            "--manage-cgroups-mode ignore -d -b /b id",
            "--tcp-established --image-path=/i --bundle=/b --detach=true id",
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            for dialect in [Dialect::Go, Dialect::Argp] {
                assert_eq!(Call::scan(&words, dialect), all, "{line} ({dialect:?})");
            }
        }
        for line in ["-db /b id", "-db/b id", "id --det --bund /b"] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(Call::scan(&words, Dialect::Argp), all, "{line}");
        }
    }
}
