//! CRI-O's crio.conf: the directory with our oci-hooks(5) files, or a runtime that is our wrapper, in a file of its own
//! that is read last. Text in, text out.

use std::path::{Path, PathBuf};

use toml_edit::{Item, Table, value};

use super::error::{ConfigureError, EditError};
use super::hooks_dir::{self, Source};
use super::tables;
use super::wish::{Edited, RUNTIME, Wish, is_wrapper};

/// The table with `hooks_dir`, crio.conf(5).
pub(super) const TABLE: &[&str] = &["crio", "runtime"];
/// Our file.
pub(super) const DROP_IN: &str = "/etc/crio/crio.conf.d/99-runsecrets.conf";
const MAIN: &str = "etc/crio/crio.conf";
const DIRECTORY: &str = "etc/crio/crio.conf.d";
/// The table with the runtimes.
const RUNTIMES: [&str; 3] = ["crio", "runtime", "runtimes"];
/// Where a runtime that inherits none keeps its state: runc's own place.
const RUNTIME_ROOT: &str = "/run/runc";
/// The type that calls a runc.
const OCI: &str = "oci";

/// The files that CRI-O reads: all of its directory, whatever they are called.
pub(super) fn sources(root: &Path) -> Result<Vec<Source>, ConfigureError> {
    let mut paths: Vec<PathBuf> = vec![root.join(MAIN)];
    paths.extend(hooks_dir::files(&root.join(DIRECTORY))?);
    hooks_dir::read(&paths)
}

/// `text` with our wrapper as a runtime, which inherits the default one of `sources`.
pub(super) fn install_runtime(text: &str, sources: &[Source], wish: &Wish) -> Result<Edited, EditError> {
    let mut notes = Vec::new();
    let mut ours = default_runtime(sources)?;
    let real = tables::text(&ours, "runtime_path").map(str::to_owned);
    let (program, note) = wish.wrapper_in_place_of(real.as_deref());
    notes.extend(note);
    ours.insert("runtime_path", value(program));
    ours.insert("runtime_type", value(OCI));
    if tables::text(&ours, "runtime_root").is_none_or(str::is_empty) {
        ours.insert("runtime_root", value(RUNTIME_ROOT));
    }
    // It would put the default runtime's path over ours.
    ours.remove("inherit_default_runtime");
    let mut document = tables::read(text)?;
    let runtimes = tables::make(&mut document, &RUNTIMES)?;
    let there = runtimes.get(RUNTIME).and_then(Item::as_table_like);
    if there.is_some_and(|there| tables::plain(there) == tables::plain(&ours)) {
        return Ok(Edited { text: text.to_owned(), notes });
    }
    runtimes.insert(RUNTIME, Item::Table(ours));
    Ok(Edited { text: tables::write(&document, text)?, notes })
}

/// `text` without our runtime.
pub(super) fn uninstall_runtime(text: &str) -> Result<String, EditError> {
    let mut document = tables::read(text)?;
    if !tables::remove(&mut document, &[&RUNTIMES[..], &[RUNTIME]].concat()) {
        return Ok(text.to_owned());
    }
    tables::write(&document, text)
}

/// Whether our runtime is the default one of `sources`.
pub(super) fn is_default(sources: &[Source]) -> Result<bool, ConfigureError> {
    for source in sources {
        tables::read(&source.text).map_err(|cause| ConfigureError::Edit { path: source.path.clone(), cause })?;
    }
    Ok(default_name(sources).is_ok_and(|name| name.is_some_and(|name| name == RUNTIME)))
}

/// The wrapper that `text` names as a runtime.
pub(super) fn wrapper(text: &str) -> Result<Option<String>, EditError> {
    let document = tables::read(text)?;
    let Some(runtimes) = tables::table(&document, &RUNTIMES) else { return Ok(None) };
    let programs = runtimes.iter().filter_map(|(name, item)| {
        let program = item.get("runtime_path")?.as_str()?;
        (name == RUNTIME || is_wrapper(program)).then(|| program.to_owned())
    });
    Ok(programs.into_iter().next())
}

fn default_name(sources: &[Source]) -> Result<Option<String>, EditError> {
    let mut name = None;
    for source in sources {
        let document = tables::read(&source.text)?;
        let told = tables::table(&document, TABLE).and_then(|table| tables::text(table, "default_runtime"));
        name = told.filter(|told| !told.is_empty()).map(str::to_owned).or(name);
    }
    Ok(name)
}

/// What the files say about the default runtime: later ones add to earlier ones.
fn default_runtime(sources: &[Source]) -> Result<Table, EditError> {
    let name = default_name(sources)?;
    let mut merged = Table::new();
    for source in sources {
        let document = tables::read(&source.text)?;
        let Some(runtimes) = tables::table(&document, &RUNTIMES) else { continue };
        // Where none is named, it is runc or crun by CRI-O's version.
        let named =
            name.as_deref().map_or_else(|| runtimes.get("crun").or(runtimes.get("runc")), |name| runtimes.get(name));
        let Some(table) = named.and_then(Item::as_table_like) else { continue };
        for (key, item) in tables::copy(table) {
            merged.insert(&key, item);
        }
    }
    match tables::text(&merged, "runtime_type") {
        None | Some("" | OCI) => Ok(merged),
        Some(kind) => Err(EditError::DefaultRuntime { name: name.unwrap_or_default(), kind: kind.to_owned() }),
    }
}

#[cfg(test)]
#[path = "crio_tests.rs"]
mod tests;
