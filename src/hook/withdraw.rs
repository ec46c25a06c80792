//! `poststop`: a hint that comes once, twice or never; the agent scrubs by itself when the container's process ends.

use std::path::Path;

use crate::deliver::linux::remove_mount_points;
use crate::failpoint::{Point, reach};
use crate::model::ContainerId;
use crate::sys::linux::path::Dir;
use crate::wire::{AgentReply, HookRequest, MadePoint};

use super::agent::Agent;
use super::arguments::Arguments;
use super::bundle::{read_config, read_state, rootfs};
use super::claim::claim;
use super::error::HookError;

/// Withdraws the container's secrets and removes the mount points that were made for them.
pub(super) fn withdraw(arguments: &Arguments) -> Result<(), HookError> {
    let state = read_state()?;
    let bundle = state.bundle.as_deref().ok_or(HookError::StateLacks { what: "bundle" })?;
    // The engine may have taken the bundle away already; without it nobody knows whether there was a claim: ask.
    let config = read_config(bundle).ok();
    if config.is_some() && !arguments.ask && claim(arguments.service.as_ref(), &state, config.as_ref())?.is_none() {
        return Ok(());
    }
    reach(Point::WithdrawRead);
    let container = ContainerId::parse(&state.id).map_err(HookError::Claim)?;
    let request = HookRequest::Withdraw { container, bundle: bundle.to_string_lossy().into_owned() };
    let made = match Agent::connect(&arguments.own.run_dir)?.ask(&request)? {
        (AgentReply::Withdrawn { made }, _) => made,
        _ => return Err(HookError::Unexpected),
    };
    reach(Point::WithdrawAnswered);
    if let Some(config) = config {
        remove_below(&rootfs(bundle, &config)?, &made);
    }
    Ok(())
}

/// A root file system that is gone, or not mounted any more, has nothing left to remove.
fn remove_below(rootfs: &Path, made: &[MadePoint]) {
    if let Ok(rootfs) = Dir::root(rootfs) {
        remove_mount_points(&rootfs, made);
    }
}
