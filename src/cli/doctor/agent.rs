//! Whether the agent answers, as what, and what it says of itself.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::client::Agent;
use crate::cli::error::CliError;
use crate::finding::Finding;

const SUBJECT: &str = "agent";
/// This program's version, which the agent's should be.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// What the agent says at `/runsecrets/v1/status`, as far as it is judged here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) locked: bool,
    pub(super) secrets: Option<u64>,
    pub(super) services: Option<u64>,
    pub(super) containers: u64,
    pub(super) protection: String,
    pub(super) detached_clones: bool,
    pub(super) root_key: KeyFiles,
    pub(super) config_file: Option<PathBuf>,
    pub(super) state_dir: PathBuf,
    pub(super) sockets: Vec<Socket>,
    pub(super) memory: Memory,
}

/// The root key's files.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyFiles {
    pub(super) file: PathBuf,
    pub(super) clear: Option<KeyFile>,
    pub(super) wrapped: Option<KeyFile>,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyFile {
    #[serde(rename = "UID")]
    pub(super) uid: u32,
    pub(super) mode: String,
}

/// A socket as the agent made it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Socket {
    pub(super) name: String,
    pub(super) mode: String,
}

/// What of the agent's memory is never swapped.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Memory {
    pub(super) arena_locked: bool,
    pub(super) all_locked: bool,
}

/// What asking has brought.
#[derive(Debug)]
pub(super) enum Asked {
    /// Its status.
    Told(Box<Status>),
    /// It answers, and does not know the question; its version.
    Strange(String),
    /// It could not be asked.
    Failed(CliError),
}

impl Asked {
    /// Asks.
    pub(super) fn ask(agent: &Agent) -> Self {
        match agent.get("/runsecrets/v1/status") {
            Ok(told) => match serde_json::from_str(&told.to_json()) {
                Ok(status) => Self::Told(Box::new(status)),
                Err(_) => Self::Strange(told.text_of("Version").to_owned()),
            },
            // An agent of before this endpoint was there.
            Err(CliError::Refused(_)) => match agent.get("/version") {
                Ok(told) => Self::Strange(told.text_of("Version").to_owned()),
                Err(error) => Self::Failed(error),
            },
            Err(error) => Self::Failed(error),
        }
    }

    /// Its status, if it told it.
    pub(super) fn status(&self) -> Option<&Status> {
        if let Self::Told(status) = self { Some(status) } else { None }
    }
}

/// What that means.
pub(super) fn judge(asked: &Asked, socket: &Path) -> Vec<Finding> {
    let restart = "restart it by the same package as this program: systemctl restart runsecrets-agent";
    match asked {
        Asked::Told(status) => {
            let answers = format!("answers at {}", socket.display());
            let mut findings = vec![match status.version.as_str() {
                OURS => Finding::ok(SUBJECT, format!("{answers}, version {OURS}")),
                theirs => {
                    Finding::warning(SUBJECT, format!("{answers}, version {theirs}; this program is {OURS}"), restart)
                }
            }];
            findings.extend(standing(status));
            findings
        }
        Asked::Strange(theirs) => {
            let text = format!(
                "answers at {}, and cannot tell its status: its version is {theirs:?}, this program's {OURS}",
                socket.display()
            );
            vec![Finding::warning(SUBJECT, text, restart)]
        }
        Asked::Failed(CliError::NoAgent { cause, .. }) if cause.kind() == ErrorKind::PermissionDenied => {
            let text = format!("may not be asked at {}, so most checks could not be made: {cause}", socket.display());
            vec![Finding::warning(SUBJECT, text, "run doctor as root or as a member of the group runsecrets")]
        }
        Asked::Failed(CliError::NoAgent { cause, .. }) => {
            let text =
                format!("does not answer at {}: {cause}; no container that claims secrets starts", socket.display());
            vec![Finding::error(
                SUBJECT,
                text,
                "systemctl start runsecrets-agent, then read journalctl -u runsecrets-agent",
            )]
        }
        Asked::Failed(error) => vec![Finding::error(SUBJECT, error.to_string(), "read journalctl -u runsecrets-agent")],
    }
}

/// Whether it serves, and what it has.
fn standing(status: &Status) -> Vec<Finding> {
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let containers = count(status.containers, "container");
    let config = match &status.config_file {
        Some(file) => format!("its configuration is {}", file.display()),
        None => "it has no configuration file and takes the defaults".to_owned(),
    };
    let held = match (status.locked, status.secrets, status.services) {
        (false, Some(secrets), Some(services)) => Finding::ok(
            SUBJECT,
            format!(
                "keeps {}, {}; {containers} with secrets now",
                count(secrets, "secret"),
                count(services, "service")
            ),
        ),
        _ => Finding::error(
            SUBJECT,
            format!("is locked: no container that claims secrets starts; {containers} with secrets now"),
            "runsecrets unlock",
        ),
    };
    vec![held, Finding::ok(SUBJECT, config)]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::finding::Level;

    /// What an agent says with which all is well; it is this process.
    pub(in super::super) fn status() -> Status {
        let socket = |name: &str| Socket { name: name.to_owned(), mode: "0600".to_owned() };
        Status {
            version: OURS.to_owned(),
            pid: std::process::id(),
            locked: false,
            secrets: Some(1),
            services: Some(2),
            containers: 0,
            protection: "noswap".to_owned(),
            detached_clones: true,
            root_key: KeyFiles {
                file: "/s/root.key".into(),
                clear: Some(KeyFile { uid: 0, mode: "0400".to_owned() }),
                wrapped: None,
            },
            config_file: None,
            state_dir: "/s".into(),
            sockets: vec![socket("agent.sock"), socket("hook.sock")],
            memory: Memory { arena_locked: true, all_locked: true },
        }
    }

    fn judged(asked: &Asked) -> Vec<(Level, String)> {
        let found = judge(asked, Path::new("/r/agent.sock"));
        found.iter().map(|finding| (finding.level(), finding.to_string())).collect()
    }

    #[test]
    fn an_agent_that_serves_is_well() {
        let found = judged(&Asked::Told(Box::new(status())));
        assert!(found.iter().all(|(level, _)| *level == Level::Ok), "{found:?}");
        assert_eq!(found[1].1, "keeps 1 secret, 2 services; 0 containers with secrets now");
    }

    #[test]
    fn another_version_is_a_warning() {
        let found = judged(&Asked::Told(Box::new(Status { version: "0.0.9".to_owned(), ..status() })));
        assert!(found[0].0 == Level::Warning && found[0].1.contains("version 0.0.9; this program is"), "{found:?}");
        assert!(found[0].1.contains("; fix: restart it"), "{found:?}");
        let found = judged(&Asked::Strange("9.9.9".to_owned()));
        assert!(found[0].0 == Level::Warning && found[0].1.contains("\"9.9.9\""), "{found:?}");
    }

    #[test]
    fn a_locked_agent_delivers_nothing() {
        let locked = Status { locked: true, secrets: None, services: None, containers: 1, ..status() };
        let found = judged(&Asked::Told(Box::new(locked)));
        let words =
            "is locked: no container that claims secrets starts; 1 container with secrets now; fix: runsecrets unlock";
        assert_eq!(found[1], (Level::Error, words.to_owned()));
    }

    #[test]
    fn an_agent_that_is_down_is_told_from_one_that_may_not_be_asked() {
        let failed =
            |kind: ErrorKind| Asked::Failed(CliError::NoAgent { socket: "/r/agent.sock".into(), cause: kind.into() });
        assert_eq!(judged(&failed(ErrorKind::NotFound))[0].0, Level::Error);
        assert_eq!(judged(&failed(ErrorKind::ConnectionRefused))[0].0, Level::Error);
        assert_eq!(judged(&failed(ErrorKind::PermissionDenied))[0].0, Level::Warning);
    }
}
