//! Whether a file that leads to something being run as root is there, runs, and is root's alone to change. What it says
//! is the second half of a sentence about that file.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::finding::Finding;

/// What is wrong with a file, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) fix: String,
    pub(super) kind: Kind,
}

/// How a file is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is not there.
    Missing,
    /// It could not be looked at.
    Unseen,
    /// It is there, and is wrong.
    Wrong,
}

impl Fault {
    fn wrong(what: String, fix: String) -> Option<Self> {
        Some(Self { what, fix, kind: Kind::Wrong })
    }

    /// The file `about` and what is wrong with it: an error with its `consequence` and the fix, or, where it could not be
    /// looked at, what was not checked.
    pub(super) fn finding(self, subject: &'static str, about: &str, consequence: &str) -> Finding {
        let what = self.what;
        match self.kind {
            Kind::Unseen => Finding::unchecked(subject, format!("{about} {what}")),
            Kind::Missing | Kind::Wrong => Finding::error(subject, format!("{about} {what}{consequence}"), self.fix),
        }
    }
}

/// `path`, which an engine has as absolute, below `root`.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What is wrong with the program `path`, if anything is.
pub(super) fn program(root: &Path, path: &Path) -> Option<Fault> {
    let shown = path.display();
    if !path.is_absolute() {
        return Fault::wrong("is no absolute path".to_owned(), "name the program by its absolute path".to_owned());
    }
    let found = match std::fs::metadata(below(root, path)) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let fix = format!("install {shown}, or remove the files that name it");
            return Some(Fault { what: "is not there".to_owned(), fix, kind: Kind::Missing });
        }
        Err(error) => {
            let what = format!("cannot be looked at: {error}");
            return Some(Fault { what, fix: String::new(), kind: Kind::Unseen });
        }
    };
    if !found.is_file() || found.mode() & 0o100 == 0 {
        return Fault::wrong("is no executable file".to_owned(), format!("install {shown} again"));
    }
    let real = std::fs::canonicalize(below(root, path)).unwrap_or_else(|_| below(root, path));
    roots_alone(&real, &found)
}

/// What lets others than root change the file or directory `path`, which `found` is, or put another in its place.
pub(super) fn roots_alone(path: &Path, found: &Metadata) -> Option<Fault> {
    open_to_others(path, found, false).or_else(|| {
        let parents = path.ancestors().skip(1).map(|parent| (parent, std::fs::metadata(parent)));
        parents.filter_map(|(parent, found)| open_to_others(parent, &found.ok()?, true)).next()
    })
}

/// A sticky directory lets everybody make files, and nobody replace another's.
fn open_to_others(path: &Path, found: &Metadata, is_parent: bool) -> Option<Fault> {
    let shown = path.display();
    let on_the_way = if is_parent {
        format!("is not root's alone: {shown}, on the way to it,")
    } else {
        "is not root's alone: it".to_owned()
    };
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    let group = found.mode() & 0o020 != 0 && found.gid() != 0;
    if found.uid() != 0 {
        let fix = format!("find out why; then chown root {shown}");
        return Fault::wrong(format!("{on_the_way} belongs to user {}", found.uid()), fix);
    }
    if (group || found.mode() & 0o002 != 0) && !sticky {
        let what = format!("{on_the_way} has mode {:04o}, so others may change it", found.mode() & 0o7777);
        return Fault::wrong(what, format!("find out who has; then chmod go-w {shown}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::finding::Level;

    #[test]
    fn a_program_is_there_runs_and_is_roots_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("hook");
        let judged = || program(root.path(), Path::new("/hook"));
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(judged().unwrap().kind, Kind::Missing);
        std::fs::write(&path, "").unwrap();
        set(&path, 0o644);
        assert_eq!(judged().unwrap().what, "is no executable file");
        set(&path, 0o755);
        assert_eq!(judged(), None);
        symlink("hook", root.path().join("link")).unwrap();
        assert_eq!(program(root.path(), Path::new("/link")), None);
        set(&path, 0o757);
        assert!(judged().is_some_and(|fault| fault.what.contains("mode 0757") && fault.fix.contains("chmod go-w")));
        set(&path, 0o755);
        chown(&path, Some(7), None).unwrap();
        assert!(judged().is_some_and(|fault| fault.what.contains("belongs to user 7")));
        chown(&path, Some(0), None).unwrap();
        set(root.path(), 0o777);
        assert!(judged().is_some_and(|fault| fault.what.contains("on the way to it")));
        // Like /tmp.
        set(root.path(), 0o1777);
        assert_eq!(judged(), None);
        assert_eq!(program(root.path(), Path::new("hook")).unwrap().kind, Kind::Wrong);
        let unseen = program(root.path(), Path::new("/hook/below")).unwrap();
        assert_eq!(unseen.kind, Kind::Unseen);
        assert_eq!(unseen.finding("cdi", "x", "y").level(), Level::Unchecked);
    }
}
