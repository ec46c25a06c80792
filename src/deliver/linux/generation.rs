//! The generation directory, `/run/secrets/..current`: a hard link to each file of /run/secrets. Values that are changed
//! together come in a new directory, which takes the place of the old one in one step: whoever opens the directory, and the
//! files from there, has them all of one time. The plain paths change one after another, as ever.
//!
//! Not a symbolic link as in Kubernetes' `..data`: no link is followed on our mounts. The old directory stays, out of the
//! container's sight where that is possible, until those who have it open have read it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::deliver::DeliverError;
use crate::failpoint::{Point, reach};
use crate::secret::SecretBytes;
use crate::sys::linux::path::Dir;
use crate::sys::linux::place::Kind;

use super::plan::{DIRECTORY, PlannedFile};
use super::replace::{FRESH, write};
use super::running::{Running, failed, make_parents};
use super::scrub::overwrite;

/// The directory's name below /run/secrets.
pub const CURRENT: &str = "..current";
/// One in the making.
const NEXT: &str = "..next";
/// The beginning of the names of those that are over.
const OLD: &str = "..old-";

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file that is replaced: which of the container's, as what, by which bytes.
pub type New = (usize, PlannedFile, SecretBytes);

/// A generation that is over, as long as somebody may still be reading it.
#[derive(Debug)]
pub struct OldGeneration {
    top: Dir,
    name: String,
    size: u64,
}

impl OldGeneration {
    /// How many bytes of old values are in it, at most.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Removes it, and overwrites the files that stand nowhere else.
    pub(super) fn scrub(self) -> io::Result<()> {
        discard(&self.top, &self.name)
    }
}

/// The links of a container's first generation: from each file to its second name.
pub(super) fn links(files: &[PlannedFile]) -> Vec<(String, String)> {
    files
        .iter()
        .filter_map(|file| Some((file.path.clone(), format!("{DIRECTORY}/{CURRENT}/{}", below(file)?))))
        .collect()
}

/// The path of `file` below /run/secrets, if it is in that directory's mount.
fn below(file: &PlannedFile) -> Option<&str> {
    file.path.strip_prefix(DIRECTORY)?.strip_prefix('/')
}

impl Running<'_> {
    /// Makes the next generation of `files`, which are all that the container has: with each of `news` in the place of the
    /// one that it is for. The old generation is returned, for whoever has it open still.
    ///
    /// # Errors
    /// Any: then the old generation is the current one, and no plain path has changed, or some have (which is tried again
    /// with the next change).
    pub fn flip(&mut self, files: &[PlannedFile], news: &[New]) -> Result<Option<OldGeneration>, DeliverError> {
        let Some((top, base)) = self.writable.directory().map_err(failed("find a directory in RAM"))? else {
            return Ok(None);
        };
        for (_, _, value) in news {
            self.make_space(&top, value)?;
        }
        let own = format!("{OLD}{}-", std::process::id());
        forget_leftovers(&top, Some(&own)).map_err(failed("remove an old generation"))?;
        let owner = base.owner().map_err(failed("look at a directory in RAM"))?;
        let make = failed("make a generation of secrets");
        make_parents(&top, &format!("{NEXT}/."), owner).map_err(&make)?;
        for (index, file) in files.iter().enumerate() {
            let Some(below) = below(file) else { continue };
            let (parent, name) = make_parents(&top, &format!("{NEXT}/{below}"), owner).map_err(&make)?;
            match news.iter().find(|(new, _, _)| *new == index) {
                Some((_, file, value)) => {
                    write(&top, file, value).and_then(|()| top.rename(FRESH, &parent, &name)).map_err(&make)?;
                }
                None => {
                    let (from, from_name) = make_parents(&base, below, owner).map_err(&make)?;
                    from.link(&from_name, &parent, &name).map_err(&make)?;
                }
            }
        }
        reach(Point::FlipMade);
        let old = self.put_in_place(&top, &base)?;
        let mut size = 0;
        let mut renew = |file: &PlannedFile| -> io::Result<()> {
            let Some(below) = below(file) else { return Ok(()) };
            let (plain, name) = make_parents(&base, below, owner)?;
            size += plain.entry(&name).and_then(|entry| entry.kind()).map_or(0, |(_, size)| size);
            let (current, _) = make_parents(&base, &format!("{CURRENT}/{below}"), owner)?;
            current.link(&name, &top, FRESH).and_then(|()| top.rename(FRESH, &plain, &name))?;
            reach(Point::FlipLinked);
            Ok(())
        };
        let renewed = news.iter().try_for_each(|(_, file, _)| renew(file)).map_err(&make);
        let old = old.map(|name| OldGeneration { top, name, size });
        if let (Err(_), Some(old)) = (&renewed, &old) {
            // Nobody waits for it: it would stay to the container's end.
            let _ = discard(&old.top, &old.name);
        }
        renewed.map(|()| old)
    }

    /// The next generation becomes the current one; the name of the one before.
    fn put_in_place(&self, top: &Dir, base: &Dir) -> Result<Option<String>, DeliverError> {
        let put = failed("put a generation into its place");
        match base.entry(CURRENT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                top.rename(NEXT, base, CURRENT).map_err(put)?;
                Ok(None)
            }
            _ => {
                top.exchange(NEXT, base, CURRENT).map_err(&put)?;
                reach(Point::FlipExchanged);
                let name = format!("{OLD}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
                top.rename(NEXT, top, &name).map_err(put)?;
                reach(Point::FlipNamed);
                Ok(Some(name))
            }
        }
    }
}

/// Removes what an agent left that was killed: a file or a generation in the making, and old generations that nobody waits
/// for any more, which are all but those whose names begin with `own`.
pub(super) fn forget_leftovers(top: &Dir, own: Option<&str>) -> io::Result<()> {
    for name in top.names()?.into_iter().filter(|name| name == FRESH || name == NEXT || name.starts_with(OLD)) {
        if own.is_none_or(|own| !name.starts_with(own)) {
            discard(top, &name)?;
        }
    }
    Ok(())
}

/// Removes `name`, a file or a tree; a file that has no other name is overwritten first.
fn discard(parent: &Dir, name: &str) -> io::Result<()> {
    let entry = match parent.entry(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    match entry.kind()? {
        (Kind::Directory, _) => {
            for inner in entry.names()? {
                discard(&entry, &inner)?;
            }
            parent.remove_dir(name)
        }
        (Kind::File, size) => {
            if entry.names_of_it()? <= 1 {
                overwrite(parent.write_file(name)?, size)?;
            }
            parent.remove_file(name)
        }
        (Kind::Other, _) => parent.remove_file(name),
    }
}
