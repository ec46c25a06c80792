//! What a container that runs would have by other grants: planned as when it was created, with what it has already where it
//! is. Nothing is changed here; `running` does that.

use crate::deliver::DeliverError;
use crate::model::{Grants, SECRETS_DIR, is_within};
use crate::sys::linux::path::Dir;
use crate::wire::{Kept, Layout, Mount, MountKind};

use super::existing::Existing;
use super::owners::{IdMaps, look_up};
use super::plan::{DIRECTORY, FILES, FillPlan, PlannedFile, Request, owner_names, plan};
use super::running::{Running, failed, make_parents};

impl Running<'_> {
    /// Plans what the container would have by `grants`, as it is now; `files` are those that it has.
    ///
    /// # Errors
    /// As for a container that is created: targets that are taken, owners that are not known.
    pub fn plan(&self, grants: &Grants, files: &[PlannedFile]) -> Result<Change, DeliverError> {
        let maps = IdMaps::of(self.process)?;
        let (users, groups) = owner_names(grants);
        let existing = Existing::of(self.process)?;
        let seen = self.inside(|root| {
            let ours: Vec<&str> = self.mounts.iter().map(|mount| mount.at.as_str()).collect();
            let foreign: Vec<String> =
                existing.places().into_iter().filter(|at| !ours.contains(&at.as_str())).collect();
            let has_directory = self.mounts.iter().any(|mount| mount.kind == MountKind::Directory);
            let has_singles_there = ours.iter().any(|at| is_within(at, SECRETS_DIR) && *at != SECRETS_DIR);
            let layout = match (has_directory, has_singles_there) {
                (true, _) => Layout::Directory { keep: existing.kept_below(root, &ours)? },
                (false, true) => Layout::Files,
                (false, false) => existing.layout(root)?,
            };
            Ok::<_, DeliverError>((layout, foreign, look_up(root, &users, &groups)?))
        });
        let (layout, mut foreign, (users, groups)) = seen??;
        if matches!(layout, Layout::Directory { .. }) {
            // What is put back inside our directory is no obstacle, as when the container was created.
            foreign.retain(|at| !is_within(at, SECRETS_DIR));
        }
        let request = Request {
            grants,
            users: &users,
            groups: &groups,
            maps: &maps,
            layout: &layout,
            mounts: &foreign,
            generations: self.generations,
        };
        let mut planned = plan(&request)?;
        keep_paths(&mut planned, grants, files, self.mounts);
        let keep = match layout {
            Layout::Directory { keep } => keep,
            Layout::Files => Vec::new(),
        };
        Ok(Change { plan: planned, keep })
    }
}

/// What a container that runs would have.
#[derive(Debug)]
pub struct Change {
    /// The files and mounts, those that are there already among them.
    pub plan: FillPlan,
    pub(super) keep: Vec<Kept>,
}

impl Change {
    /// The mount that `file` needs and that is not `attached` yet, and the path that it shows.
    pub fn mount_for(&self, file: &PlannedFile, attached: &[Mount]) -> Option<&(Mount, String)> {
        let shows = |(mount, shown): &&(Mount, String)| match mount.kind {
            MountKind::File => *shown == file.path,
            MountKind::Directory => !file.is_single(),
        };
        self.plan.mounts.iter().find(shows).filter(|(mount, _)| !attached.contains(mount))
    }

    /// Makes what the directory mount needs in our file system for what is put back inside it.
    pub(super) fn make_places(&self, top: &Dir) -> Result<(), DeliverError> {
        let make = |path: &str, kind| {
            let (parent, name) = make_parents(top, path, self.plan.root)?;
            match (parent.entry(&name), kind) {
                (Ok(_), _) => Ok(()),
                (Err(_), MountKind::Directory) => make_parents(top, &format!("{path}/."), self.plan.root).map(drop),
                (Err(_), MountKind::File) => parent.make_file(&name, 0o444).map(drop),
            }
        };
        for kept in &self.keep {
            let Some(below) = kept.target.below_secrets_dir() else { continue };
            make(&format!("{DIRECTORY}/{below}"), kept.kind).map_err(failed("make a mount point in RAM"))?;
        }
        Ok(())
    }
}

/// Gives files that the container has already the paths that they have, and new single files paths that are free.
fn keep_paths(planned: &mut FillPlan, grants: &Grants, files: &[PlannedFile], attached: &[Mount]) {
    let taken = |path: &str| files.iter().any(|file| file.path == path);
    let mut next = 0..;
    for file in &mut planned.files {
        let Some(grant) = grants.as_slice().get(file.grant) else { continue };
        if !file.is_single() || attached.iter().any(|mount| mount.at == grant.target.as_str()) {
            continue;
        }
        let free = next.by_ref().map(|number: usize| format!("{FILES}/{number}")).find(|path| !taken(path));
        let path = free.unwrap_or_else(|| file.path.clone());
        if let Some((_, shown)) = planned.mounts.iter_mut().find(|(mount, _)| mount.at == grant.target.as_str()) {
            shown.clone_from(&path);
        }
        file.path = path;
    }
}
