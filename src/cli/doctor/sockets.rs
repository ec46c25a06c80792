//! The run directory and the sockets in it: whose they are, who may use them, and who answers on them. A socket is
//! knocked at, and nothing is said.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::agent::Status;
use crate::finding::Finding;
use crate::sys::linux::peer::{self, Peer};
use crate::sys::linux::process::effective_uid;

const SUBJECT: &str = "sockets";
/// The widest mode of the run directory: others pass, and see nothing.
const WIDEST: u32 = 0o711;
const RESTART: &str = "systemctl restart runsecrets-agent";

/// What was seen of the run directory and its sockets.
#[derive(Debug)]
pub(super) struct Doors {
    directory: PathBuf,
    found: Result<Inode, ErrorKind>,
    doors: Vec<Door>,
    /// Who looks: root, or somebody whose own agent it may be.
    me: u32,
}

/// A socket and who is behind it.
#[derive(Debug)]
struct Door {
    path: PathBuf,
    found: Result<Inode, ErrorKind>,
    knock: Knock,
}

/// What is judged of an inode.
#[derive(Debug, Clone, Copy)]
struct Inode {
    uid: u32,
    mode: u32,
    is_socket: bool,
    is_directory: bool,
}

/// What a knock brought.
#[derive(Debug)]
enum Knock {
    /// This process listens.
    Answered(Peer),
    /// Nobody listens.
    Nobody,
    /// We may not connect.
    Denied,
    /// It was no socket, or something else happened.
    Failed(String),
}

impl From<Metadata> for Inode {
    fn from(found: Metadata) -> Self {
        let kind = found.file_type();
        Self { uid: found.uid(), mode: found.mode() & 0o7777, is_socket: kind.is_socket(), is_directory: kind.is_dir() }
    }
}

impl Doors {
    /// Looks at `run_dir`, at the admin `socket` and at the others, which are what the agent tells or else the hook's, and
    /// knocks.
    pub(super) fn look(run_dir: &Path, socket: &Path, status: Option<&Status>) -> Self {
        let told = status.into_iter().flat_map(|status| &status.sockets).map(|socket| socket.name.as_str());
        // Whoever answers does not lead us elsewhere.
        let told = told.filter(|name| *name != "agent.sock" && !name.contains('/'));
        let others: BTreeSet<&str> = told.chain(["hook.sock"]).collect();
        let paths = [socket.to_owned()].into_iter().chain(others.into_iter().map(|name| run_dir.join(name)));
        let doors = paths.map(|path| {
            let found = inode(&path);
            let knock = match found {
                Ok(found) if found.is_socket => knock(&path),
                _ => Knock::Failed("it is no socket".to_owned()),
            };
            Door { path, found, knock }
        });
        let doors = doors.collect();
        Self { directory: run_dir.to_owned(), found: inode(run_dir), doors, me: effective_uid() }
    }

    /// Whose the run directory is, which is the agent's user; root where there is none.
    pub(super) fn owner(&self) -> u32 {
        self.found.map_or(0, |found| found.uid)
    }
}

fn inode(path: &Path) -> Result<Inode, ErrorKind> {
    std::fs::symlink_metadata(path).map(Inode::from).map_err(|error| error.kind())
}

fn knock(path: &Path) -> Knock {
    match UnixStream::connect(path).and_then(|stream| peer::credentials(&stream)) {
        Ok(peer) => Knock::Answered(peer),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Knock::Nobody,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Knock::Denied,
        Err(error) => Knock::Failed(error.to_string()),
    }
}

/// What that means; `status` is what the agent has told, if it has.
pub(super) fn judge(doors: &Doors, status: Option<&Status>) -> Vec<Finding> {
    let mut findings = directory(doors);
    if doors.found.is_err() {
        return findings;
    }
    for door in &doors.doors {
        let faults = judge_door(door, doors.owner(), status);
        findings.extend(faults);
    }
    findings
}

fn directory(doors: &Doors) -> Vec<Finding> {
    let path = doors.directory.display();
    let found = match doors.found {
        Err(ErrorKind::NotFound) => {
            return vec![Finding::note(SUBJECT, format!("{path} is not there: no agent has run here since boot"))];
        }
        Err(kind) => {
            return vec![Finding::unchecked(SUBJECT, format!("cannot look at {path}: {}", io::Error::from(kind)))];
        }
        Ok(found) => found,
    };
    let mut faults = Vec::new();
    if !found.is_directory {
        faults.push(Finding::error(
            SUBJECT,
            format!("{path} is no directory"),
            "find out whose it is and remove it; then restart the agent",
        ));
    }
    if found.uid != 0 && found.uid != doors.me {
        let text = format!("{path} belongs to user {}, who can put a socket of another agent there", found.uid);
        faults.push(Finding::error(
            SUBJECT,
            text,
            format!("find out why; then chown root {path} and restart the agent"),
        ));
    }
    if found.is_directory && found.mode & !WIDEST != 0 {
        let text = format!("{path} has mode {:04o}, wider than {WIDEST:04o}: the next start refuses it", found.mode);
        faults.push(Finding::error(SUBJECT, text, format!("chmod {WIDEST:04o} {path}")));
    }
    if faults.is_empty() {
        faults.push(Finding::ok(SUBJECT, format!("{path} is user {}'s alone, {:04o}", found.uid, found.mode)));
    }
    faults
}

fn judge_door(door: &Door, owner: u32, status: Option<&Status>) -> Vec<Finding> {
    let path = door.path.display();
    let impostor = "find out whose it is and stop it; remove the socket and restart the agent";
    let found = match (door.found, status) {
        (Err(ErrorKind::NotFound), None) => {
            return vec![Finding::note(SUBJECT, format!("{path} is not there: no agent runs"))];
        }
        (Err(ErrorKind::NotFound), Some(_)) => {
            let text = format!("{path} was removed while the agent runs: nobody can reach it there");
            return vec![Finding::error(SUBJECT, text, RESTART)];
        }
        (Err(kind), _) => {
            return vec![Finding::unchecked(SUBJECT, format!("cannot look at {path}: {}", io::Error::from(kind)))];
        }
        (Ok(found), _) => found,
    };
    if !found.is_socket {
        return vec![Finding::error(
            SUBJECT,
            format!("{path} is no socket, or a link to one: not the agent's"),
            impostor,
        )];
    }
    let mut findings = Vec::new();
    if found.uid != owner {
        let text = format!("{path} belongs to user {}, not to {owner} as its directory: not the agent's", found.uid);
        findings.push(Finding::error(SUBJECT, text, impostor));
    }
    if let Some(made) = made_mode(door, status)
        && made != found.mode
    {
        let text = format!("{path} has mode {:04o}, and the agent made it with {made:04o}", found.mode);
        findings.push(Finding::error(SUBJECT, text, format!("find out who changed it; then chmod {made:04o} {path}")));
    }
    match &door.knock {
        Knock::Answered(peer) if peer.uid != owner => {
            let text =
                format!("user {} answers at {path} (process {}), not the agent's user {owner}", peer.uid, peer.pid);
            findings.push(Finding::error(SUBJECT, text, impostor));
        }
        // A process of another pid namespace has the number 0 here.
        Knock::Answered(peer) if status.is_some_and(|status| peer.pid != 0 && !is_pid(peer.pid, status.pid)) => {
            let text = format!("process {} answers at {path}, not the agent", peer.pid);
            findings.push(Finding::error(SUBJECT, text, impostor));
        }
        Knock::Answered(peer) if findings.is_empty() => {
            findings.push(Finding::ok(
                SUBJECT,
                format!("{path} is the agent's (process {}), {:04o}", peer.pid, found.mode),
            ));
        }
        Knock::Answered(_) => {}
        Knock::Nobody => {
            let text = format!("nobody answers at {path}: it was left by an agent that was killed");
            findings.push(Finding::error(
                SUBJECT,
                text,
                "start the agent, which replaces it: systemctl start runsecrets-agent",
            ));
        }
        Knock::Denied => {
            findings.push(Finding::unchecked(
                SUBJECT,
                format!("who answers at {path}: only root or its group may connect"),
            ));
        }
        Knock::Failed(cause) => findings.push(Finding::unchecked(SUBJECT, format!("who answers at {path}: {cause}"))),
    }
    findings
}

fn is_pid(pid: i32, agent: u32) -> bool {
    u32::try_from(pid) == Ok(agent)
}

/// The mode that the agent says it gave this socket.
fn made_mode(door: &Door, status: Option<&Status>) -> Option<u32> {
    let name = door.path.file_name()?.to_str()?;
    let socket = status?.sockets.iter().find(|socket| socket.name == name)?;
    u32::from_str_radix(&socket.mode, 8).ok()
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
