//! podman's containers.conf: the directory with our oci-hooks(5) files, in a file of its own that is read last.

use std::path::{Path, PathBuf};

use super::error::ConfigureError;
use super::hooks_dir::{self, Source};

/// The table with `hooks_dir`, containers.conf(5).
pub(super) const TABLE: &[&str] = &["engine"];
/// Our file.
pub(super) const DROP_IN: &str = "/etc/containers/containers.conf.d/99-runsecrets.conf";
/// What podman reads as root, in its order: those in a directory by their names.
const FILES: [&str; 2] = ["usr/share/containers/containers.conf", "etc/containers/containers.conf"];
const DIRECTORY: &str = "etc/containers/containers.conf.d";

/// The files that podman reads.
pub(super) fn sources(root: &Path) -> Result<Vec<Source>, ConfigureError> {
    let mut paths: Vec<PathBuf> = FILES.iter().map(|file| root.join(file)).collect();
    let drop_ins = hooks_dir::files(&root.join(DIRECTORY))?;
    paths.extend(drop_ins.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")));
    hooks_dir::read(&paths)
}
