//! Grants to files, directories and mounts: pure, so that every refusal is tested without root.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::deliver::DeliverError;
use crate::model::{Grant, Grants, Owner, SECRETS_DIR, is_within};
use crate::wire::{Kept, Layout, Mount, MountKind};

use super::existing::MAX_KEPT;
use super::generation::{CURRENT, links};
use super::owners::IdMaps;

/// The directory of our file system that shows at /run/secrets.
pub(super) const DIRECTORY: &str = "dir";
/// The directory of our file system whose files are mounted one by one.
pub(super) const FILES: &str = "files";
/// The unit in which a file takes room, in bytes.
const PAGE: u64 = 4096;
/// Pages and inodes for what is not counted: the root, the two directories, a file in the making.
const SPARE: usize = 8;

/// What a plan is made from.
#[derive(Debug)]
pub struct Request<'a> {
    /// What the container gets.
    pub grants: &'a Grants,
    /// The ids of the names in the grants, in the order that [`owner_names`] gave them.
    pub users: &'a [u32],
    /// Likewise for groups.
    pub groups: &'a [u32],
    /// The container's id maps.
    pub maps: &'a IdMaps,
    /// How /run/secrets is to be made.
    pub layout: &'a Layout,
    /// The container's own mounts, as paths in it.
    pub mounts: &'a [String],
    /// Whether there is a generation directory.
    pub generations: bool,
}

/// One file of the file system to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFile {
    /// Which grant it is for, by index.
    pub grant: usize,
    /// Its path in our file system.
    pub path: String,
    /// The host's uid.
    pub uid: u32,
    /// The host's gid.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl PlannedFile {
    /// Whether it is a mount of its own.
    pub fn is_single(&self) -> bool {
        self.path.strip_prefix(FILES).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// A file system to be filled and the mounts to be made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FillPlan {
    /// Directories, parents first; 0755, container root's.
    pub directories: Vec<String>,
    /// Files with values.
    pub files: Vec<PlannedFile>,
    /// Second names of files, in the generation directory.
    pub links: Vec<(String, String)>,
    /// Empty files on which kept mounts are put back.
    pub places: Vec<String>,
    /// Each mount and the path in our file system that it shows.
    pub mounts: Vec<(Mount, String)>,
    /// The host's ids of container root.
    pub root: (u32, u32),
}

/// How large a file system has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

impl Room {
    /// Room for values of `sizes` at the targets of `grants`, for each to be replaced by a new one of its size, and for
    /// whatever a container may have below /run/secrets that has to be kept. Known before the container is looked at.
    pub fn of(grants: &Grants, sizes: &[usize], generations: bool) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let pages = |size: &usize| count(*size).div_ceil(PAGE).max(1);
        let values: u64 = sizes.iter().map(pages).sum();
        let directories: usize = grants.as_slice().iter().map(|grant| grant.target.as_str().matches('/').count()).sum();
        // A second name takes as much as a file of its own, and the next generation is there beside the current one.
        let named = if generations { 2 * (grants.as_slice().len() + directories + 1) } else { 0 };
        let inodes = 2 * grants.as_slice().len() + directories + named + 2 * MAX_KEPT + SPARE;
        Self { bytes: (2 * values + count(SPARE)).saturating_mul(PAGE), inodes: count(inodes) }
    }
}

/// The user and group names in `grants`, each once, in order of first use.
pub fn owner_names(grants: &Grants) -> (Vec<String>, Vec<String>) {
    let collect = |owner: fn(&Grant) -> &Owner| {
        let mut names: Vec<String> = Vec::new();
        for grant in grants.as_slice() {
            if let Owner::Name(name) = owner(grant)
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names
    };
    (collect(|grant| &grant.uid), collect(|grant| &grant.gid))
}

/// Plans the file system and the mounts of one container.
///
/// # Errors
/// [`DeliverError::TargetTaken`], [`DeliverError::UnmappedOwner`], [`DeliverError::UnknownOwner`].
pub fn plan(request: &Request<'_>) -> Result<FillPlan, DeliverError> {
    refuse_taken_targets(request)?;
    let root = (request.maps.host_uid(0)?, request.maps.host_gid(0)?);
    let keep: &[Kept] = match request.layout {
        Layout::Directory { keep } => keep,
        Layout::Files => &[],
    };
    let (users, groups) = owner_names(request.grants);
    let mut plan = FillPlan { root, ..FillPlan::default() };
    let mut directories = BTreeSet::new();
    let mut singles = Vec::new();
    for (index, grant) in request.grants.as_slice().iter().enumerate() {
        let shared = match (request.layout, grant.target.below_secrets_dir()) {
            // A target inside a kept mount cannot be in our directory: it is mounted on top of what is kept.
            (Layout::Directory { .. }, Some(below))
                if !keep.iter().any(|kept| kept.target.conflicts_with(&grant.target)) =>
            {
                Some(below)
            }
            _ => None,
        };
        let path = match shared {
            Some(below) => format!("{DIRECTORY}/{below}"),
            None => {
                let path = format!("{FILES}/{index}");
                let mount = Mount { at: grant.target.as_str().to_owned(), kind: MountKind::File };
                singles.push((mount, path.clone()));
                path
            }
        };
        add_parents(&mut directories, &path);
        let uid = request.maps.host_uid(number(&grant.uid, &users, request.users, "user")?)?;
        let gid = request.maps.host_gid(number(&grant.gid, &groups, request.groups, "group")?)?;
        plan.files.push(PlannedFile { grant: index, path, uid, gid, mode: grant.mode.bits() });
    }
    if directories.contains(DIRECTORY) {
        plan.mounts.push((Mount { at: SECRETS_DIR.to_owned(), kind: MountKind::Directory }, DIRECTORY.to_owned()));
        for kept in keep {
            let Some(below) = kept.target.below_secrets_dir() else { continue };
            let path = format!("{DIRECTORY}/{below}");
            add_parents(&mut directories, &path);
            match kept.kind {
                MountKind::Directory => drop(directories.insert(path)),
                MountKind::File => plan.places.push(path),
            }
        }
    }
    plan.mounts.extend(singles);
    if request.generations {
        plan.links = links(&plan.files);
        plan.links.iter().for_each(|(_, link)| add_parents(&mut directories, link));
    }
    plan.directories = directories.into_iter().collect();
    Ok(plan)
}

/// A parent sorts before its children, so a sorted set is in the order of making.
fn add_parents(directories: &mut BTreeSet<String>, path: &str) {
    for (end, _) in path.match_indices('/') {
        directories.insert(path[..end].to_owned());
    }
}

fn refuse_taken_targets(request: &Request<'_>) -> Result<(), DeliverError> {
    let current = format!("{SECRETS_DIR}/{CURRENT}");
    for grant in request.grants.as_slice() {
        if request.generations && is_within(grant.target.as_str(), &current) {
            return Err(DeliverError::TargetTaken { target: grant.target.to_string(), mount: current });
        }
        if let Some(mount) = request.mounts.iter().find(|mount| is_within(mount, grant.target.as_str())) {
            return Err(DeliverError::TargetTaken { target: grant.target.to_string(), mount: mount.clone() });
        }
    }
    Ok(())
}

fn number(owner: &Owner, names: &[String], ids: &[u32], what: &'static str) -> Result<u32, DeliverError> {
    match owner {
        Owner::Number(id) => Ok(*id),
        Owner::Name(name) => names
            .iter()
            .position(|known| known == name)
            .and_then(|index| ids.get(index).copied())
            .ok_or_else(|| DeliverError::UnknownOwner { what, name: name.clone() }),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
