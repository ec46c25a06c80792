//! Removal that reaches files already open: overwrite in place, truncate, unlink; the mounts go when nothing holds them.
//!
//! A descriptor that was opened before sees the same pages, so overwriting and truncating reach it; unlinking or
//! unmounting alone would not.

use std::fs::File;
use std::io;

use crate::deliver::zeroes::zero;
use crate::failpoint::{Point, reach};
use crate::sys::linux::path::Dir;
use crate::sys::linux::place::Kind;

/// How deep a tree is followed: targets are at most 4,095 bytes.
const MAX_DEPTH: usize = 2048;

/// What a scrub did. It never stops at a failure.
#[derive(Debug, Default)]
pub struct Scrubbed {
    /// Files that were emptied.
    pub files: usize,
    /// What could not be done, as `step: cause`; the files' names are not in it.
    pub failures: Vec<String>,
}

/// Empties every file of a container's file system, and removes what it can.
pub fn scrub(root: &Dir) -> Scrubbed {
    let mut scrubbed = Scrubbed::default();
    empty(root, 0, &mut scrubbed);
    scrubbed
}

fn empty(directory: &Dir, depth: usize, scrubbed: &mut Scrubbed) {
    let names = match directory.names() {
        Ok(names) => names,
        Err(cause) => return scrubbed.failures.push(format!("list a directory: {cause}")),
    };
    for name in names {
        let kind = directory.entry(&name).and_then(|entry| Ok((entry.kind()?, entry)));
        let removed = match kind {
            Ok(((Kind::Directory, _), inner)) if depth < MAX_DEPTH => {
                empty(&inner, depth + 1, scrubbed);
                directory.remove_dir(&name)
            }
            Ok(((Kind::File, size), _)) => {
                match directory.write_file(&name).and_then(|file| overwrite(file, size)) {
                    Ok(()) => scrubbed.files += 1,
                    Err(cause) => scrubbed.failures.push(format!("overwrite a file: {cause}")),
                }
                reach(Point::ScrubOverwritten);
                directory.remove_file(&name)
            }
            // Nothing of ours: a container that may mount could have made it.
            _ => directory.remove_file(&name),
        };
        if let Err(cause) = removed {
            scrubbed.failures.push(format!("remove an entry: {cause}"));
        }
    }
}

/// Zeroes the first `size` bytes of `file` and cuts it to nothing.
pub(super) fn overwrite(mut file: File, size: u64) -> io::Result<()> {
    zero(&mut file, size)?;
    file.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::zeroes::ZEROES;
    use std::io::Read;

    #[test]
    fn a_file_that_is_still_open_reads_empty_and_had_zeroes_in_between() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("dir/deep")).unwrap();
        std::fs::write(top.path().join("dir/deep/key"), "hunter2").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", top.path().join("dir/link")).unwrap();
        let mut open = File::open(top.path().join("dir/deep/key")).unwrap();
        let scrubbed = scrub(&Dir::root(top.path()).unwrap());
        assert_eq!((scrubbed.files, scrubbed.failures), (1, Vec::new()));
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 0);
    }

    #[test]
    fn overwriting_covers_every_byte_before_truncating() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("big");
        std::fs::write(&path, vec![7u8; ZEROES.len() * 2 + 5]).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        overwrite(file, (ZEROES.len() * 2 + 5) as u64).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
