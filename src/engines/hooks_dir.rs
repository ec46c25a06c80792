//! `hooks_dir` as podman and CRI-O have it: a list of directories with oci-hooks(5) files, where the list of a later file
//! takes the place of those before. But for the reading of these files: text in, text out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{Item, Value};

use super::error::{ConfigureError, EditError};
use super::tables;
use super::wish::Wish;

/// What both read where nothing is set.
const DEFAULT: &str = "/usr/share/containers/oci/hooks.d";
const KEY: &str = "hooks_dir";

/// A configuration file of the engine.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The file.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
}

/// The files of a directory in the order of their names; none where it is not there.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, ConfigureError> {
    let failed = |cause| ConfigureError::Read { path: directory.to_owned(), cause };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let mut files: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_file()).collect();
    files.sort_unstable();
    Ok(files)
}

/// Reads those of `paths` that are there.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Source>, ConfigureError> {
    let mut sources = Vec::new();
    for path in paths {
        match fs::read_to_string(path) {
            Ok(text) => sources.push(Source { path: path.clone(), text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(ConfigureError::Read { path: path.clone(), cause }),
        }
    }
    Ok(sources)
}

/// The list that these files, read in their order, come to; `table` is where it stands in each.
pub(super) fn effective(sources: &[Source], table: &[&str]) -> Result<Vec<String>, ConfigureError> {
    let mut list = vec![DEFAULT.to_owned()];
    for source in sources {
        list = after(list, &source.text, table)
            .map_err(|cause| ConfigureError::Edit { path: source.path.clone(), cause })?;
    }
    Ok(list)
}

/// Whether `text` has a list of its own, which replaces those before.
pub(super) fn replaces(text: &str, table: &[&str]) -> Result<bool, EditError> {
    let document = tables::read(text)?;
    Ok(tables::table(&document, table).is_some_and(|table| table.get(KEY).is_some_and(|item| !appends(item))))
}

/// `text`, which may be empty, with our directory behind those that its list, or else `inherited`, has.
pub(super) fn install(text: &str, table: &[&str], inherited: &[String], wish: &Wish) -> Result<String, EditError> {
    let mut document = tables::read(text)?;
    if after(inherited.to_vec(), text, table)?.contains(&wish.hooks_dir) {
        return Ok(text.to_owned());
    }
    let place = tables::make(&mut document, table)?;
    match place.get_mut(KEY).and_then(Item::as_array_mut) {
        Some(list) => {
            // Before podman's {append=true}, which stands last.
            let at = list.iter().take_while(|item| item.is_str()).count();
            list.insert(at, wish.hooks_dir.as_str());
        }
        None => {
            let all = inherited.iter().chain([&wish.hooks_dir]).map(String::as_str);
            place.insert(KEY, tables::list(all));
        }
    }
    tables::write(&document, text)
}

/// `text` without our directories, which are those in `known`; without the list, where nothing but `inherited` is left.
pub(super) fn uninstall(
    text: &str,
    table: &[&str],
    inherited: &[String],
    known: &[String],
) -> Result<String, EditError> {
    let mut document = tables::read(text)?;
    let Some(list) = tables::table(&document, table).and_then(|table| table.get(KEY)?.as_array()) else {
        return Ok(text.to_owned());
    };
    let is_ours = |value: &Value| value.as_str().is_some_and(|dir| known.iter().any(|known| known == dir));
    if !list.iter().any(is_ours) {
        return Ok(text.to_owned());
    }
    let left: Vec<&str> = list.iter().filter(|value| !is_ours(value)).filter_map(Value::as_str).collect();
    let path = [table, &[KEY]].concat();
    if left == inherited {
        tables::remove(&mut document, &path);
    } else if let Some(list) = tables::make(&mut document, table)?.get_mut(KEY).and_then(Item::as_array_mut) {
        list.retain(|value| !is_ours(value));
    }
    tables::write(&document, text)
}

/// `text` without the list.
pub(super) fn without_list(text: &str, table: &[&str]) -> Result<String, EditError> {
    let mut document = tables::read(text)?;
    tables::remove(&mut document, &[table, &[KEY]].concat());
    // The table is ours, too, where nothing else is in it.
    if tables::table(&document, table).is_some_and(|table| table.is_empty()) {
        tables::remove(&mut document, table);
    }
    tables::write(&document, text)
}

/// The list after a file with `text`.
fn after(before: Vec<String>, text: &str, table: &[&str]) -> Result<Vec<String>, EditError> {
    let document = tables::read(text)?;
    let Some(item) = tables::table(&document, table).and_then(|table| table.get(KEY)) else { return Ok(before) };
    let shape = || EditError::Shape { key: [table, &[KEY]].concat().join("."), expected: "a list of strings" };
    let list = item.as_array().ok_or_else(shape)?;
    let own = list.iter().filter(|value| !value.is_inline_table());
    let own = own.map(|value| value.as_str().map(str::to_owned).ok_or_else(shape)).collect::<Result<Vec<_>, _>>()?;
    Ok(if appends(item) { [before, own].concat() } else { own })
}

/// podman's `{append=true}`, containers.conf(5): the list adds to those before.
fn appends(list: &Item) -> bool {
    let attributes = list.as_array().into_iter().flatten().filter_map(Value::as_inline_table);
    attributes.filter_map(|table| table.get("append")?.as_bool()).last().unwrap_or(false)
}

#[cfg(test)]
#[path = "hooks_dir_tests.rs"]
mod tests;
