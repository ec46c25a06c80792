//! A file that is there whole or not at all: written under another name beside its own, then renamed.
//!
//! Whoever opens the path finds the old file or the new one, never a part of one, at whatever instruction this program is
//! killed. The other name is the writer's alone: what one that was killed has left there is removed by the next, and what
//! is written goes to a new file, never through a link. It knows nothing of what is in a file, nor of who reads it.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::sys::here::file::{create_with_mode, sync_dir};

/// What is brought to the disk, and so what is there after a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// Nothing: any of it may be lost. For what no start of the machine leaves there anyway.
    Nothing,
    /// The file before it is renamed: the old one or the new one, whole.
    File,
    /// The directory after that, too: the new one.
    FileAndDirectory,
}

/// Puts what `write` writes in the place of `path`. `make` makes a new file at `fresh`, in the same directory, with its owner
/// and mode, and refuses what is there already.
///
/// # Errors
/// What the system says. `path` is as it was then, and nothing is left beside it; but where only its directory could not be
/// synced, it is the new one.
pub fn replace(
    path: &Path,
    fresh: &Path,
    synced: Synced,
    make: impl Fn(&Path) -> io::Result<File>,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let made = match make(fresh) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(fresh).and_then(|()| make(fresh)),
        made => made,
    };
    // Closed before it is renamed: some file systems let nobody rename what is open.
    let written = made.and_then(|mut file| {
        write(&mut file)?;
        if synced == Synced::Nothing { Ok(()) } else { file.sync_all() }
    });
    written.and_then(|()| fs::rename(fresh, path)).inspect_err(|_| drop(fs::remove_file(fresh)))?;
    match (synced, path.parent()) {
        (Synced::FileAndDirectory, Some(directory)) if directory.as_os_str().is_empty() => sync_dir(Path::new(".")),
        (Synced::FileAndDirectory, Some(directory)) => sync_dir(directory),
        _ => Ok(()),
    }
}

/// Puts `text` in the place of `path`, with the permission bits `mode`; either the old one or the new one is there after a
/// crash. Several programs may do so at one time.
///
/// # Errors
/// Those of [`replace`]; `IsADirectory` where `path` ends in no name.
pub fn replace_text(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let make = |fresh: &Path| create_with_mode(fresh, mode);
    replace(path, &name_of_this_process(path)?, Synced::File, make, |file| file.write_all(text.as_bytes()))
}

/// A name beside `path` for a file that several programs may write at one time: this process's own, and hidden.
///
/// # Errors
/// `IsADirectory` where `path` ends in no name.
pub fn name_of_this_process(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(ErrorKind::IsADirectory)?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.new", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::here::file::create_private;

    /// The names in a directory.
    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let (path, fresh) = (directory.path().join("f"), directory.path().join("f.new"));
        for (number, synced) in [Synced::Nothing, Synced::File, Synced::FileAndDirectory].into_iter().enumerate() {
            let text = format!("{number}");
            replace(&path, &fresh, synced, create_private, |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap(), names(directory.path())), (text, vec!["f".to_owned()]));
        }
    }

    #[test]
    fn what_a_killed_writer_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, fresh) = (directory.path().join("f"), directory.path().join("f.new"));
        fs::write(&fresh, "half of something that was long").unwrap();
        replace(&path, &fresh, Synced::File, create_private, |file| file.write_all(b"new")).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(directory.path())), (b"new".to_vec(), vec!["f".to_owned()]));
    }

    #[test]
    fn an_error_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (path, fresh) = (directory.path().join("f"), directory.path().join("f.new"));
        fs::write(&path, "old").unwrap();
        let half = |file: &mut File| file.write_all(b"ne").and(Err(io::Error::other("enough")));
        assert_eq!(replace(&path, &fresh, Synced::File, create_private, half).unwrap_err().to_string(), "enough");
        assert_eq!((fs::read(&path).unwrap(), names(directory.path())), (b"old".to_vec(), vec!["f".to_owned()]));
        let place = directory.path().join("d");
        fs::create_dir_all(place.join("full")).unwrap();
        replace(&place, &fresh, Synced::Nothing, create_private, |_| Ok(())).unwrap_err();
        assert_eq!(names(directory.path()), ["d", "f"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_link_under_the_other_name_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [path, fresh, elsewhere] = ["f", "f.new", "elsewhere"].map(|name| directory.path().join(name));
        fs::write(&elsewhere, "somebody's").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &fresh).unwrap();
        replace(&path, &fresh, Synced::File, create_private, |file| file.write_all(b"ours")).unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"somebody's");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_process_has_a_name_of_its_own_beside_a_file() {
        let name = name_of_this_process(Path::new("/etc/x.json")).unwrap();
        assert_eq!(name.file_name().unwrap().to_str().unwrap(), format!(".x.json.{}.new", std::process::id()));
        assert!(name_of_this_process(Path::new("/")).is_err());
    }
}
