//! The root key's files and the directory of the sealed store: whose they are and who may read them. Nothing in them is
//! opened.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::agent::{KeyFile, KeyFiles, Status};
use crate::finding::Finding;
use crate::model::RUN_DIR;

const SUBJECT: &str = "keys";
/// Where an agent with the default run directory keeps its store.
const STATE_DIR: &str = "/var/lib/runsecrets";
/// The widest mode of a key's file.
const WIDEST: u32 = 0o600;
/// The widest mode of the store's directory.
const WIDEST_DIR: u32 = 0o700;

/// Looks and judges: what the agent has told, or, where it is silent, what is at the default place.
pub(super) fn check(status: Option<&Status>, run_dir: &Path, owner: u32) -> Vec<Finding> {
    match status {
        Some(status) => {
            let mut findings = judge(&status.root_key, owner);
            findings.extend(state_dir(&status.state_dir, look(&status.state_dir), owner));
            findings
        }
        None if run_dir == Path::new(RUN_DIR) => silent(Path::new(STATE_DIR), owner),
        None => vec![Finding::unchecked(SUBJECT, "the root key and the store: only the agent knows where they are")],
    }
}

/// The default place, while no agent says that it is another.
fn silent(directory: &Path, owner: u32) -> Vec<Finding> {
    let mut findings = state_dir(directory, look(directory), owner);
    let file = directory.join("root.key");
    let key = |path: &Path| look(path).map(|(uid, mode)| KeyFile { uid, mode: format!("{mode:04o}") });
    let keys = KeyFiles { clear: key(&file), wrapped: key(&directory.join("root.key.locked")), file };
    if keys.clear.is_some() || keys.wrapped.is_some() {
        findings.extend(judge(&keys, owner));
    } else {
        let text =
            format!("the root key: none can be seen in {}, and only the agent knows where it is", directory.display());
        findings.push(Finding::unchecked(SUBJECT, text));
    }
    findings
}

/// Owner and mode of a file or directory; none where it is not there or may not be looked at.
fn look(path: &Path) -> Option<(u32, u32)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.uid(), found.mode() & 0o7777))
}

fn state_dir(path: &Path, found: Option<(u32, u32)>, owner: u32) -> Vec<Finding> {
    let path = path.display();
    match found {
        None => vec![Finding::unchecked(
            SUBJECT,
            format!("the store's directory {path}: it is not there, or may not be looked at"),
        )],
        Some((uid, _)) if uid != owner => {
            let text = format!("{path} belongs to user {uid}, not to {owner}: the next start refuses it");
            vec![Finding::error(SUBJECT, text, format!("find out why; then chown {owner} {path}"))]
        }
        Some((_, mode)) if mode & !WIDEST_DIR != 0 => {
            let text = format!("{path} has mode {mode:04o}, wider than {WIDEST_DIR:04o}: the next start refuses it");
            vec![Finding::error(SUBJECT, text, format!("chmod {WIDEST_DIR:04o} {path}"))]
        }
        Some((_, mode)) => vec![Finding::ok(SUBJECT, format!("the sealed store is in {path}, {mode:04o}"))],
    }
}

/// What the key's files mean.
fn judge(keys: &KeyFiles, owner: u32) -> Vec<Finding> {
    let file = keys.file.display();
    let mut findings: Vec<Finding> = [(&keys.clear, file.to_string()), (&keys.wrapped, format!("{file}.locked"))]
        .into_iter()
        .filter_map(|(found, file)| exposed(found.as_ref()?, &file, owner))
        .collect();
    let exposed = !findings.is_empty();
    findings.extend(match (&keys.clear, &keys.wrapped) {
        (Some(_), Some(_)) => Some(Finding::warning(
            SUBJECT,
            format!("autolock was begun and not confirmed: the root key still stands in clear in {file}"),
            "runsecrets unlock, with the key that `runsecrets autolock on` has printed",
        )),
        (None, None) => Some(Finding::error(
            SUBJECT,
            format!("the root key {file} is gone: the agent that runs is the last that can open its store"),
            format!("restore {file} from your copy before it stops"),
        )),
        _ if exposed => None,
        (Some(key), None) => {
            Some(Finding::ok(SUBJECT, format!("the root key is {file}, {}; autolock is off", key.mode)))
        }
        (None, Some(_)) => Some(Finding::ok(SUBJECT, "autolock is on: the machine has the root key only wrapped")),
    });
    findings
}

/// What is wrong with a key's file.
fn exposed(found: &KeyFile, file: &str, owner: u32) -> Option<Finding> {
    let consequence = "others may have read it, and the next start refuses it";
    if found.uid != owner {
        let text = format!("{file} belongs to user {}, not to {owner}: {consequence}", found.uid);
        return Some(Finding::error(SUBJECT, text, format!("find out why; then chown {owner} {file}")));
    }
    match u32::from_str_radix(&found.mode, 8) {
        Ok(mode) if mode & !WIDEST == 0 => None,
        _ => {
            let text = format!("{file} has mode {}, wider than {WIDEST:04o}: {consequence}", found.mode);
            Some(Finding::error(SUBJECT, text, format!("find out who has read it; then chmod 0400 {file}")))
        }
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
