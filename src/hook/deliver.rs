//! `createRuntime`: from the runtime's state to mounts in the container.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::deliver::linux::{Attached, Existing, look_up};
use crate::failpoint::{Point, reach};
use crate::model::ContainerId;
use crate::oci::{Config, State};
use crate::sys::linux::path::Dir;
use crate::sys::linux::pidfd::{MountNamespace, Process};
use crate::wire::{AgentReply, Deliver, HookRequest, Layout, PROTOCOL, Surroundings};

use super::agent::Agent;
use super::arguments::Arguments;
use super::bundle::{read_config, read_state, rootfs};
use super::claim::{claim, is_sandbox};
use super::error::HookError;
use super::trace::Trace;

/// Delivers the container's secrets; the policy of the hook, from top to bottom.
pub(super) fn deliver(arguments: &Arguments) -> Result<(), HookError> {
    let mut trace = Trace::start(arguments.own.trace.as_deref());
    let state = read_state()?;
    let bundle = state.bundle.as_deref().ok_or(HookError::StateLacks { what: "bundle" })?;
    let config = read_config(bundle)?;
    let claim = claim(arguments.service.as_ref(), &state, Some(&config))?;
    if claim.is_none() && (!arguments.ask || is_sandbox(&state, Some(&config))) {
        return Ok(());
    }
    trace.step("read");
    reach(Point::HookRead);

    // First of all: the agent wakes up while we look at the container.
    let agent = Agent::connect(&arguments.own.run_dir)?;
    reach(Point::HookConnected);
    let init = container_init(&state)?;
    refuse_shared_mount_namespace(&init)?;
    let request = Deliver {
        protocol: PROTOCOL,
        container: ContainerId::parse(&state.id).map_err(HookError::Claim)?,
        bundle: bundle.to_string_lossy().into_owned(),
        annotations: if claim.is_none() { annotations(&state, &config) } else { BTreeMap::new() },
        claim,
        mount_label: config.mount_label().map(str::to_owned),
    };
    agent.tell(&HookRequest::Deliver(request), &[init.as_fd()])?;
    trace.step("claim");
    reach(Point::HookClaimed);

    let (rootfs, existing) = if arguments.own.is_restored {
        // It has gone to its root already, and what it shows as /proc is nothing to rely on.
        (PathBuf::from("/"), Some(Existing::of(&init)?))
    } else {
        (rootfs(bundle, &config)?, None)
    };
    enter(&agent, &init, &rootfs)
        .and_then(|rootfs| attach(&agent, &rootfs, existing, &mut trace))
        .inspect_err(|error| agent.lament(error))
}

/// Enters the container's mount namespace, and opens its root file system there: by the path that the runtime uses, from
/// the root that the runtime has (a runtime in a chroot has another one than the namespace).
fn enter(agent: &Agent, init: &Process, rootfs: &Path) -> Result<Dir, HookError> {
    let failed = |cause| HookError::Enter { cause };
    let root = match init.root() {
        // A user's crun forbids to look at it. The agent may, and has made sure that it is not in a namespace of others.
        Err(cause) if is_denied(&cause) => {
            agent.namespaces()?.enter().map_err(failed)?;
            Dir::root(Path::new("/")).map_err(failed)?
        }
        root => {
            let root = root.map_err(|cause| HookError::Init { pid: init.pid(), cause })?;
            enter_namespaces(init).map_err(failed)?;
            Dir::from(root)
        }
    };
    let opened = root.directory_in_root(rootfs);
    opened.map_err(|cause| HookError::Rootfs { path: rootfs.to_owned(), cause })
}

/// A user that is nobody special enters by the container's user namespace, which is the user's own.
fn enter_namespaces(init: &Process) -> io::Result<()> {
    match init.enter_mount_namespace() {
        Err(cause) if is_denied(&cause) => init.enter_user_and_mount_namespace(),
        other => other,
    }
}

/// Asks for the mounts of a claim that has been made, and attaches them. In the container's mount namespace.
fn attach(agent: &Agent, rootfs: &Dir, existing: Option<Existing>, trace: &mut Trace) -> Result<(), HookError> {
    let existing = existing.map_or_else(|| Existing::below(rootfs), Ok)?;
    let layout = existing.layout(rootfs)?;
    trace.step("enter");
    reach(Point::HookEntered);

    let keep = match &layout {
        Layout::Directory { keep } => keep.clone(),
        Layout::Files => Vec::new(),
    };
    let surroundings = Surroundings { layout, mounts: existing.places() };
    let mut answer = agent.ask(&HookRequest::Surroundings(surroundings))?;
    if let (AgentReply::Lookup { users, groups }, _) = &answer {
        let (users, groups) = look_up(rootfs, users, groups)?;
        answer = agent.ask(&HookRequest::Owners { users, groups })?;
    }
    trace.step("ask");
    reach(Point::HookAnswered);

    let attached = match answer {
        (AgentReply::Nothing, _) => return Ok(()),
        (AgentReply::Mounts { mounts, root }, fds) if mounts.len() == fds.len() => {
            Attached::attach(rootfs, root, &mounts, &fds, &keep)?
        }
        _ => return Err(HookError::Unexpected),
    };
    reach(Point::HookAttached);
    // What is attached is undone when this cannot be said: nobody would scrub it.
    agent.tell(&HookRequest::Attached { made: attached.made().to_vec() }, &[])?;
    attached.keep();
    reach(Point::HookTold);
    trace.step("attach");
    Ok(())
}

/// What the agent may judge a container by that claims nothing.
fn annotations(state: &State, config: &Config) -> BTreeMap<String, String> {
    let stated = if state.annotations.is_empty() { &config.annotations } else { &state.annotations };
    stated.clone()
}

fn container_init(state: &State) -> Result<Process, HookError> {
    let pid = state.pid.ok_or(HookError::StateLacks { what: "pid" })?;
    Process::open(pid).map_err(|cause| HookError::Init { pid, cause })
}

/// A mount made there would be seen on the host, and by every other container of the kind.
fn refuse_shared_mount_namespace(init: &Process) -> Result<(), HookError> {
    let failed = |cause| HookError::Init { pid: init.pid(), cause };
    let own = MountNamespace::own().map_err(failed)?;
    match init.mount_namespace() {
        // Where it may not be looked at, the agent looks.
        Err(cause) if is_denied(&cause) => Ok(()),
        Ok(namespace) if namespace == own => Err(HookError::SharedMountNamespace),
        other => other.map(drop).map_err(failed),
    }
}

fn is_denied(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::PermissionDenied
}
