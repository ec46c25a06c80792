//! `runsecrets notifier`: runs the commands by which containers are told that their secrets have changed. A program apart
//! from the agent, which has given up what it takes to enter a container: this one has root's rights and no value.
//!
//! It runs programs of one directory that only root can write to, and nothing else: no shell, no path, no program that came
//! with a container. What a program is for (`podman exec`, `runc exec`) is the operator's to write.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;

use super::args::NotifierArguments;
use super::client::Agent;
use super::error::CliError;
use super::report::Report;
use crate::model::{Command as Words, CommandEnd, escaped};
use crate::sys::linux::process::effective_uid;

/// How long one command may run. The agent waits for longer before it takes one for lost.
const TIME: Duration = Duration::from_secs(30);
/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(20);
/// How many commands run at one time.
const WORKERS: usize = 4;
/// How long the agent is left alone when it did not answer.
const RETRY: Duration = Duration::from_secs(1);
/// How often the agent is told again how a command ended that was not there to hear it. It takes a command for lost after
/// a minute of which the command may have had half.
const TELLS: usize = 20;
/// What every command finds its programs by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command to be run now, as the agent says it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Order {
    number: u64,
    command: Words,
    container: String,
    service: String,
    pid: i32,
    bundle: String,
    secrets: String,
}

/// Why a program is not run.
#[derive(Debug)]
enum Unfit {
    Unreadable(PathBuf, io::Error),
    NoProgram(PathBuf),
    Writable(PathBuf),
    NotStarted(io::Error),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| escaped(&path.to_string_lossy());
        match self {
            Self::Unreadable(path, cause) => write!(f, "cannot look at {}: {cause}", shown(path)),
            Self::NoProgram(path) => write!(f, "{} is no program: make it a file, and executable", shown(path)),
            Self::Writable(path) => {
                write!(f, "{} can be written by others than root: chown root, chmod go-w", shown(path))
            }
            Self::NotStarted(cause) => write!(f, "it cannot be started: {cause}"),
        }
    }
}

/// Runs commands until the program is ended.
pub(super) fn run(arguments: &NotifierArguments, socket: &Path, report: &mut Report) -> Result<(), CliError> {
    let (sender, lines) = std::sync::mpsc::channel();
    for _ in 0..WORKERS {
        let agent = Agent::at(socket.to_owned())?;
        let (directory, sender, socket) = (arguments.directory.clone(), sender.clone(), socket.to_owned());
        thread::spawn(move || {
            let mut complaint = String::new();
            loop {
                match serve_one(&agent, &directory, &socket) {
                    Ok(line) => {
                        line.into_iter().for_each(|line| drop(sender.send(line)));
                        complaint.clear();
                    }
                    Err(error) => {
                        // An agent may be away for long: that is said once.
                        let words = format!("{error}; trying again");
                        if words != complaint {
                            complaint.clone_from(&words);
                            let _ = sender.send(words);
                        }
                        thread::sleep(RETRY);
                    }
                }
            }
        });
    }
    lines.iter().for_each(|line| report.line(&line));
    Ok(())
}

/// Waits for a command, runs it, says how it ended; a line about it, if there was one.
fn serve_one(agent: &Agent, directory: &Path, socket: &Path) -> Result<Option<String>, CliError> {
    const NEXT: &str = "/runsecrets/v1/commands/next";
    let answer = agent.post_for::<Order>(NEXT)?;
    let Some(order) = answer else { return Ok(None) };
    let end = match execute(&order, directory, socket) {
        Ok(end) => end,
        Err(unfit) => CommandEnd::NotRun(unfit.to_string()),
    };
    let path = format!("/runsecrets/v1/commands/{}/ended", order.number);
    let mut told = agent.post(&path, serde_json::to_vec(&end).unwrap_or_default());
    for _ in 0..TELLS {
        // An agent that is being restarted: the next one has the command on record as well.
        let Err(CliError::NoAgent { .. } | CliError::Talk { .. }) = told else { break };
        thread::sleep(RETRY);
        told = agent.post(&path, serde_json::to_vec(&end).unwrap_or_default());
    }
    told?;
    Ok(Some(format!("{} {}: {end}", order.container, order.command.program())))
}

fn execute(order: &Order, directory: &Path, socket: &Path) -> Result<CommandEnd, Unfit> {
    let program = program(directory, order.command.program())?;
    let mut command = Command::new(program);
    command
        .args(order.command.arguments())
        .current_dir("/")
        .env_clear()
        .env("PATH", PATH)
        .env("RUNSECRETS_RUN_DIR", socket.parent().unwrap_or(socket))
        .env("RUNSECRETS_CONTAINER", &order.container)
        .env("RUNSECRETS_SERVICE", &order.service)
        .env("RUNSECRETS_PID", order.pid.to_string())
        .env("RUNSECRETS_BUNDLE", &order.bundle)
        .env("RUNSECRETS_SECRETS", &order.secrets)
        .stdin(Stdio::null())
        // What it prints is for the journal, and stands beside our own lines.
        .stdout(io::stderr())
        .process_group(0);
    let child = command.spawn().map_err(Unfit::NotStarted)?;
    Ok(end_of(wait(child).map_err(Unfit::NotStarted)?))
}

/// The end of `child`, none when it had to be killed, with all that it has started in its group.
fn wait(mut child: Child) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + TIME;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            if let Ok(group) = i32::try_from(child.id()) {
                // Its number is its own until we have waited for it.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            // It may have left its group.
            let _ = child.kill();
            return child.wait().map(|_| None);
        }
        thread::sleep(PERIOD);
    }
}

fn end_of(status: Option<ExitStatus>) -> CommandEnd {
    match status.map(|status| (status.code(), status.signal())) {
        None => CommandEnd::TimedOut,
        Some((Some(code), _)) => CommandEnd::Exit(code),
        Some((None, signal)) => CommandEnd::Signal(signal.unwrap_or_default()),
    }
}

/// The program `name` of `directory`, if nobody but root (or who we are) could have written it.
fn program(directory: &Path, name: &str) -> Result<PathBuf, Unfit> {
    let directory = fs::canonicalize(directory).map_err(|cause| Unfit::Unreadable(directory.to_owned(), cause))?;
    for ancestor in directory.ancestors().skip(1) {
        // In a directory like /tmp others cannot rename what is not theirs.
        check(ancestor, true)?;
    }
    check(&directory, false)?;
    let path = directory.join(name);
    let found = check(&path, false)?;
    match found.is_file() && found.permissions().mode() & 0o111 != 0 {
        true => Ok(path),
        false => Err(Unfit::NoProgram(path)),
    }
}

/// Nobody but root (or who we are) can write to `path`, which is no symbolic link.
fn check(path: &Path, sticky_will_do: bool) -> Result<fs::Metadata, Unfit> {
    const STICKY: u32 = 0o1000;
    let found = fs::symlink_metadata(path).map_err(|cause| Unfit::Unreadable(path.to_owned(), cause))?;
    let ours = found.uid() == 0 || found.uid() == effective_uid();
    let closed = found.mode() & 0o022 == 0 || sticky_will_do && found.mode() & STICKY != 0;
    match ours && (closed || found.is_symlink()) {
        true => Ok(found),
        false => Err(Unfit::Writable(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(mode: u32) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("reload"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(place.path().join("reload"), fs::Permissions::from_mode(mode)).unwrap();
        place
    }

    #[test]
    fn only_what_root_alone_can_write_is_run() {
        let good = place(0o755);
        assert_eq!(program(good.path(), "reload").unwrap(), good.path().canonicalize().unwrap().join("reload"));
        for (mode, word) in [(0o775, "chmod go-w"), (0o757, "chmod go-w"), (0o644, "executable")] {
            let refused = program(place(mode).path(), "reload").unwrap_err().to_string();
            assert!(refused.contains(word), "{mode:o}: {refused}");
        }
        fs::set_permissions(good.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(program(good.path(), "reload"), Err(Unfit::Writable(_))));
        // The sticky bit keeps others from renaming, not from adding.
        fs::set_permissions(good.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(matches!(program(good.path(), "reload"), Err(Unfit::Writable(_))));
    }

    #[test]
    fn a_link_is_no_program() {
        let good = place(0o755);
        std::os::unix::fs::symlink("/bin/sh", good.path().join("sh")).unwrap();
        assert!(matches!(program(good.path(), "sh"), Err(Unfit::NoProgram(_))));
        assert!(matches!(program(good.path(), "nothing"), Err(Unfit::Unreadable(..))));
    }
}
