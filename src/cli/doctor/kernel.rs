//! What the kernel offers, which fallback is in force, and what that means. What needs privileges is asked of the agent.

use std::io;

use super::agent::Status;
use crate::finding::Finding;
use crate::sys::linux::mount::{knows_beneath, knows_nosymfollow};
use crate::sys::linux::path::has_openat2;
use crate::sys::linux::pidfd::Process;

const SUBJECT: &str = "kernel";

/// What was found by trying.
#[derive(Debug)]
pub(super) struct Features {
    openat2: bool,
    pidfd: bool,
    /// None where the answer is root's alone.
    nosymfollow: Option<bool>,
    /// The same of mounts beneath mounts.
    beneath: Option<bool>,
}

impl Features {
    /// Tries; nothing is changed.
    pub(super) fn probe() -> Self {
        let own = i32::try_from(std::process::id()).unwrap_or(1);
        Self {
            openat2: has_openat2(),
            pidfd: Process::open(own).is_ok(),
            nosymfollow: told(knows_nosymfollow()),
            beneath: told(knows_beneath()),
        }
    }
}

/// The kernel's answer, where it gives one to this user.
fn told(knows: io::Result<bool>) -> Option<bool> {
    match knows {
        Ok(knows) => Some(knows),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => Some(false),
    }
}

/// What that means.
pub(super) fn judge(features: &Features, status: Option<&Status>) -> Vec<Finding> {
    let mut findings = needed(features, status.is_some());
    match status {
        Some(status) => findings.extend([protection(&status.protection), clones(status.detached_clones)]),
        None => findings.push(Finding::unchecked(
            SUBJECT,
            "tmpfs noswap and clones of detached mounts: the agent tries them at its start, and does not answer",
        )),
    }
    findings.push(beneath(features.beneath));
    findings
}

/// What there is no fallback for; an agent that `runs` has found all of it.
fn needed(features: &Features, runs: bool) -> Vec<Finding> {
    let all = [
        ("openat2", Some(features.openat2)),
        ("pidfd_open", Some(features.pidfd)),
        ("mount_setattr with nosymfollow", features.nosymfollow.or(runs.then_some(true))),
    ];
    let named = |wanted: Option<bool>| {
        let names: Vec<&str> = all.iter().filter(|(_, found)| *found == wanted).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let mut findings = Vec::new();
    let (missing, unknown, there) = (named(Some(false)), named(None), named(Some(true)));
    if !missing.is_empty() {
        let text = format!("has no {missing}, or a filter takes it away: nothing can be delivered");
        findings.push(Finding::error(SUBJECT, text, "use Linux 5.14 or later, and no seccomp filter that refuses it"));
    }
    if !unknown.is_empty() {
        findings.push(Finding::unchecked(SUBJECT, format!("{unknown}: only root may try it")));
    }
    if !there.is_empty() {
        findings.push(Finding::ok(SUBJECT, format!("has {there}")));
    }
    findings
}

fn protection(protection: &str) -> Finding {
    match protection {
        "noswap" => Finding::ok(SUBJECT, "containers get tmpfs with noswap: never swapped, bounded by the kernel"),
        "ramfs" => Finding::note(
            SUBJECT,
            "containers get ramfs, for want of tmpfs noswap (Linux 6.4) or because the configuration says so: never \
             swapped; its size is bounded by the agent alone, while it fills it",
        ),
        "swappable" => Finding::warning(
            SUBJECT,
            "containers get a tmpfs that may be swapped, because allow-swap is true and nothing better could be made",
            "use Linux 6.4 or later, or filesystem = \"auto\" in the configuration, which takes ramfs",
        ),
        other => Finding::unchecked(SUBJECT, format!("containers get {other}, which this program does not know")),
    }
}

fn clones(detached: bool) -> Finding {
    match detached {
        true => Finding::ok(SUBJECT, "clones detached mounts"),
        false => Finding::note(
            SUBJECT,
            "does not clone detached mounts (Linux 6.15): the agent clones in a private mount namespace of a thread, \
             which is as safe and takes a little longer",
        ),
    }
}

fn beneath(knows: Option<bool>) -> Finding {
    match knows {
        Some(true) => {
            Finding::ok(SUBJECT, "mounts beneath a mount: a new value takes the place of a file target's old one")
        }
        Some(false) => Finding::note(
            SUBJECT,
            "does not mount beneath a mount (Linux 6.5): a new value of a file target is mounted on top of the old one, \
             which is emptied and stays below until the container ends",
        ),
        None => Finding::unchecked(SUBJECT, "mounts beneath a mount: only root may try it"),
    }
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
