//! Links in a container's layer, which the host writes to as SYSTEM and an image has brought: no part of a path is followed
//! that leads elsewhere, each directory is held while the next one is entered, and no link counts that was not read back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::apply::below;
use super::error::WindowsError;
use super::plan::PlannedLink;
use super::seams::{Found, Links};
use super::target::{INTERNAL_DIR, is_within};

/// The root of a container's disk, as the host reaches it: a volume path, by config.json's `root.path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    root: PathBuf,
}

/// What was made in a layer, for the record and for its removal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecord {
    /// The links.
    pub links: Vec<PlannedLink>,
    /// Directories that were not there, parents first, from the root of the layer.
    pub directories: Vec<Vec<String>>,
}

/// Refuses a target that the container would not see: a mount of its own lies there, above it, or where it is to be.
///
/// # Errors
/// [`WindowsError::Hidden`].
pub fn check_mounts(links: &[PlannedLink], mounts: &[String]) -> Result<(), WindowsError> {
    for link in links {
        let target = link.target();
        if let Some(mount) = mounts.iter().find(|mount| is_within(&target, mount) || is_within(mount, &target)) {
            return Err(WindowsError::Hidden { target, mount: mount.clone() });
        }
    }
    Ok(())
}

/// Links in a layer: removed again when dropped, unless kept.
#[must_use]
pub struct MadeLinks<'s> {
    links: &'s dyn Links,
    layer: Layer,
    made: LayerRecord,
}

impl Layer {
    /// The layer whose root is `root`.
    ///
    /// # Errors
    /// [`WindowsError::File`] for a path that is not absolute: the agent has no directory to take it from.
    pub fn at(root: PathBuf) -> Result<Self, WindowsError> {
        match root.is_absolute() {
            true => Ok(Self { root: rooted(root) }),
            false => {
                let cause =
                    io::Error::new(io::ErrorKind::InvalidInput, "root.path in config.json must be a volume path");
                Err(WindowsError::on("use the layer", &root)(cause))
            }
        }
    }

    /// Refuses what could not be linked, before anything is written.
    ///
    /// # Errors
    /// [`WindowsError::TargetExists`], [`WindowsError::Redirected`], [`WindowsError::File`].
    pub fn check(&self, links: &dyn Links, planned: &[PlannedLink]) -> Result<(), WindowsError> {
        for link in planned {
            let walk = self.walk(links, link)?;
            if walk.missing.is_none() {
                self.free_or_left(links, link)?;
            }
        }
        Ok(())
    }

    /// Makes every link and the directories for them, and reads each link back.
    ///
    /// # Errors
    /// [`WindowsError`]; what was made before is removed.
    pub fn link<'s>(&self, links: &'s dyn Links, planned: &[PlannedLink]) -> Result<MadeLinks<'s>, WindowsError> {
        let mut made = MadeLinks { links, layer: self.clone(), made: LayerRecord::default() };
        for link in planned {
            let _held = self.make_parents(links, link, &mut made.made)?;
            let (path, left) = (below(&self.root, &link.at), self.free_or_left(links, link)?);
            // On record before it is there: its removal asks whether it is ours.
            made.made.links.push(link.clone());
            if left.as_ref() != Some(&link.to) {
                if let Some(to) = left {
                    links.remove(&path, &to).map_err(WindowsError::on("remove the link", &path))?;
                }
                links.make(&path, &link.to).map_err(|cause| WindowsError::Link { target: link.target(), cause })?;
            }
            if self.found(links, link)? != Found::Link(link.to.clone()) {
                return Err(WindowsError::LinkMissing { target: link.target() });
            }
        }
        Ok(made)
    }

    /// Whether every link is still there and leads where it should.
    ///
    /// # Errors
    /// [`WindowsError::LinkMissing`], and what comes of looking.
    pub fn verify(&self, links: &dyn Links, made: &LayerRecord) -> Result<(), WindowsError> {
        for link in &made.links {
            let walk = self.walk(links, link)?;
            if walk.missing.is_some() || self.found(links, link)? != Found::Link(link.to.clone()) {
                return Err(WindowsError::LinkMissing { target: link.target() });
            }
        }
        Ok(())
    }

    /// Removes the links that are still ours, and the directories that were made for them and are empty. Goes on after a
    /// failure; says each. A layer that is gone has nothing left to remove.
    pub fn unlink(&self, links: &dyn Links, made: &LayerRecord) -> Vec<String> {
        let mut failures = Vec::new();
        if self.root.symlink_metadata().is_err() {
            return failures;
        }
        for link in made.links.iter().rev() {
            let removed = self.walk(links, link).and_then(|walk| match walk.missing {
                Some(_) => Ok(()),
                // What is the container's own by now stays.
                None => {
                    let path = below(&self.root, &link.at);
                    links.remove(&path, &link.to).map_err(WindowsError::on("remove the link", &path))
                }
            });
            failures.extend(removed.err().map(|error| error.to_string()));
        }
        for directory in made.directories.iter().rev() {
            // One with something in it, or that leads elsewhere by now, stays; those above it are held while it goes.
            let itself = PlannedLink { at: directory.clone(), to: String::new() };
            let plain = |path: &Path| matches!(links.hold(path), Ok(Some(_)));
            let path = below(&self.root, directory);
            if let Ok(Walk { missing: None, held: _held }) = self.walk(links, &itself)
                && plain(&path)
            {
                let _ = std::fs::remove_dir(path);
            }
        }
        failures
    }

    /// Whether there is nothing at the target, or a link that an earlier start of this container has left in its layer: where
    /// that leads. Nothing else leads to where only secrets show.
    fn free_or_left(&self, links: &dyn Links, link: &PlannedLink) -> Result<Option<String>, WindowsError> {
        match self.found(links, link)? {
            Found::Nothing => Ok(None),
            Found::Link(to) if to.strip_prefix(INTERNAL_DIR).is_some_and(|rest| rest.starts_with('\\')) => Ok(Some(to)),
            _ => Err(WindowsError::TargetExists { target: link.target() }),
        }
    }

    fn found(&self, links: &dyn Links, link: &PlannedLink) -> Result<Found, WindowsError> {
        let path = below(&self.root, &link.at);
        links.read(&path).map_err(WindowsError::on("look at", &path))
    }

    /// Enters the directories above `link`, as far as they are there.
    fn walk(&self, links: &dyn Links, link: &PlannedLink) -> Result<Walk, WindowsError> {
        let parents = link.at.len().saturating_sub(1);
        let mut walk = Walk { held: Vec::with_capacity(parents + 1), missing: None };
        for depth in 0..=parents {
            let path = below(&self.root, &link.at[..depth]);
            match links.hold(&path) {
                Ok(Some(directory)) => walk.held.push(directory),
                Ok(None) => {
                    let part = format!("C:\\{}", link.at[..depth].join("\\"));
                    return Err(WindowsError::Redirected { target: link.target(), part });
                }
                Err(cause) if cause.kind() == io::ErrorKind::NotFound && depth > 0 => {
                    walk.missing = Some(depth);
                    return Ok(walk);
                }
                Err(cause) => return Err(WindowsError::on("enter", &path)(cause)),
            }
        }
        Ok(walk)
    }

    /// Makes the directories above `link` that are missing, and holds all of them.
    fn make_parents(
        &self,
        links: &dyn Links,
        link: &PlannedLink,
        made: &mut LayerRecord,
    ) -> Result<Vec<File>, WindowsError> {
        loop {
            let walk = self.walk(links, link)?;
            let Some(depth) = walk.missing else { return Ok(walk.held) };
            let path = below(&self.root, &link.at[..depth]);
            std::fs::create_dir(&path).map_err(WindowsError::on("make the directory", &path))?;
            made.directories.push(link.at[..depth].to_vec());
        }
    }
}

/// `\\?\Volume{…}`, as engines may write it, is the volume and no directory; the directory at its root has a backslash behind.
fn rooted(root: PathBuf) -> PathBuf {
    match root.to_str() {
        Some(text) if text.starts_with(r"\\") && text.ends_with(['}', ':']) => PathBuf::from(format!("{text}\\")),
        _ => root,
    }
}

/// The directories above a target, held; and the depth of the first that is not there.
struct Walk {
    held: Vec<File>,
    missing: Option<usize>,
}

impl MadeLinks<'_> {
    /// What was made.
    pub fn made(&self) -> &LayerRecord {
        &self.made
    }

    /// Leaves the links where they are.
    pub fn keep(mut self) -> LayerRecord {
        std::mem::take(&mut self.made)
    }
}

impl Drop for MadeLinks<'_> {
    fn drop(&mut self) {
        // What cannot be removed leads to a file that is not there.
        let _ = self.layer.unlink(self.links, &self.made);
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
