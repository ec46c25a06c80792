//! containerd's config.toml, in each version of its format: the runtime class `runsecrets` of the CRI plugin, with the
//! options of the default one. Text in, text out.

use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::error::EditError;
use super::tables;
use super::wish::{ANNOTATIONS, Edited, RUNTIME, Wish, is_wrapper};

/// The CRI plugin in version 1, where plugins have no full names yet.
const CRI_1: &str = "cri";
/// The CRI plugin in version 2.
const CRI_2: &str = "io.containerd.grpc.v1.cri";
/// The part of it with the runtimes, from version 3.
const CRI_3: &str = "io.containerd.cri.v1.runtime";
/// The newest version that is known here: in 4, other plugins have changed.
const NEWEST: i64 = 4;
/// The type of a runtime that calls a runc.
const RUNC_V2: &str = "io.containerd.runc.v2";
/// The type before that, with the same options.
const RUNC_V1: &str = "io.containerd.runc.v1";
/// The default runtime where none is named.
const RUNC: &str = "runc";
/// Stands above a table of ours that is not named after us.
const MARK: &str =
    "# By runsecrets: once a runtime is named here, containerd before 2.0 forgets the one it has built in.";

/// `text`, which may be empty, with the runtime class.
///
/// `version` is the one that an empty file gets. Where `text` is a drop-in, `main` is the file that imports it: it has
/// the default runtime.
pub(super) fn install(text: &str, main: Option<&str>, version: i64, wish: &Wish) -> Result<Edited, EditError> {
    let start = if text.trim().is_empty() { format!("version = {version}\n") } else { text.to_owned() };
    let mut document = tables::read(&start)?;
    let source = main.map(tables::read).transpose()?;
    let mut notes = Vec::new();
    let source = source.as_ref().unwrap_or(&document);
    if disabled(source) {
        notes.push("the CRI plugin is disabled in this file; ctr and nerdctl do not use it, they take --runc-binary and --runtime".to_owned());
    }
    let cri = tables::table(source, &cri_path(source)?);
    let default = cri.and_then(|cri| tables::text(cri, "default_runtime_name")).unwrap_or(RUNC).to_owned();
    let runtimes = cri.and_then(|cri| cri.get("runtimes")?.as_table_like());
    let ours = runtime(runtimes, &default, wish, &mut notes)?;
    let lead = runtimes.and_then(|runtimes| runtimes.get(&default)).map(tables::header_lead).unwrap_or_default();
    let forgets = main.is_none() && runtimes.is_none() && version_of(source)? < 3;

    let path = [&cri_path(&document)?[..], &["runtimes"]].concat();
    let runtimes = tables::make(&mut document, &path)?;
    let there = runtimes.get(RUNTIME).and_then(Item::as_table_like);
    if there.is_some_and(|there| tables::plain(there) == tables::plain(&ours)) {
        return Ok(Edited { text: text.to_owned(), notes });
    }
    if forgets {
        let mut built_in = Table::new();
        built_in.insert("runtime_type", value(RUNC_V2));
        built_in.decor_mut().set_prefix(format!("\n{MARK}\n"));
        runtimes.insert(RUNC, Item::Table(built_in));
    }
    runtimes.insert(RUNTIME, Item::Table(placed(ours, &lead)));
    Ok(Edited { text: tables::write(&document, text)?, notes })
}

/// `text` without the runtime class.
pub(super) fn uninstall(text: &str) -> Result<String, EditError> {
    let mut document = tables::read(text)?;
    let path = cri_path(&document)?;
    if let Some(name) = tables::table(&document, &path).and_then(|cri| tables::text(cri, "default_runtime_name"))
        && name == RUNTIME
    {
        return Err(EditError::InUse { key: "default_runtime_name", name: name.to_owned() });
    }
    let member = |name: &'static str| [&path[..], &["runtimes", name]].concat();
    if !tables::remove(&mut document, &member(RUNTIME)) {
        return Ok(text.to_owned());
    }
    let built_in =
        tables::table(&document, &member(RUNC)[..path.len() + 1]).and_then(|runtimes| runtimes.get(RUNC)?.as_table());
    let prefix = built_in.and_then(|table| table.decor().prefix()?.as_str()).unwrap_or_default();
    if prefix.contains(MARK) && built_in.is_some_and(|table| table.len() == 1) {
        tables::remove(&mut document, &member(RUNC));
    }
    tables::write(&document, text)
}

/// The wrapper that `text` names in a runtime class.
pub(super) fn wrapper(text: &str) -> Result<Option<String>, EditError> {
    let document = tables::read(text)?;
    let path = [&cri_path(&document)?[..], &["runtimes"]].concat();
    let Some(runtimes) = tables::table(&document, &path) else { return Ok(None) };
    let programs = runtimes.iter().filter_map(|(name, item)| {
        let program = item.get("options")?.get("BinaryName")?.as_str()?;
        (name == RUNTIME || is_wrapper(program)).then(|| program.to_owned())
    });
    Ok(programs.into_iter().next())
}

/// The patterns of files that `text` imports.
pub(super) fn imports(text: &str) -> Result<Vec<String>, EditError> {
    Ok(tables::texts(tables::read(text)?.as_table(), "imports")?.unwrap_or_default())
}

/// The version of the format that `text` is in.
pub(super) fn format(text: &str) -> Result<i64, EditError> {
    version_of(&tables::read(text)?)
}

/// Whether nothing is left in `text` that anybody would miss: a version alone.
pub(super) fn is_blank(text: &str) -> bool {
    let only_version = |table: &Table| table.iter().all(|(key, _)| key == "version");
    tables::read(text).is_ok_and(|document| only_version(document.as_table())) && !text.contains('#')
}

/// A file without a version is of version 1.
fn version_of(document: &DocumentMut) -> Result<i64, EditError> {
    let Some(item) = document.get("version") else { return Ok(1) };
    let shape = EditError::Shape { key: "version".to_owned(), expected: "a number" };
    match item.as_integer().ok_or(shape)? {
        version @ 1..=NEWEST => Ok(version),
        other => Err(EditError::Version(other.to_string())),
    }
}

/// Where the runtimes are.
fn cri_path(document: &DocumentMut) -> Result<[&'static str; 3], EditError> {
    let plugin = match version_of(document)? {
        1 if tables::table(document, &["plugins", CRI_2]).is_none() => CRI_1,
        1 | 2 => CRI_2,
        _ => CRI_3,
    };
    Ok(["plugins", plugin, "containerd"])
}

/// The runtime class: the default one, but with our program and with the annotations that it must be shown.
fn runtime(
    runtimes: Option<&dyn TableLike>,
    default: &str,
    wish: &Wish,
    notes: &mut Vec<String>,
) -> Result<Table, EditError> {
    let default_table = runtimes.and_then(|runtimes| runtimes.get(default)?.as_table_like());
    let mut ours = default_table.map(tables::copy).unwrap_or_default();
    let lead = default_table.map(tables::value_lead).unwrap_or_default();
    match tables::text(&ours, "runtime_type") {
        None | Some("" | RUNC_V1 | RUNC_V2) => {}
        Some(kind) => {
            return Err(EditError::DefaultRuntime { name: default.to_owned(), kind: kind.to_owned() });
        }
    }
    set(&mut ours, "runtime_type", value(RUNC_V2), &lead);
    for key in ["pod_annotations", "container_annotations"] {
        let mut patterns = tables::texts(&ours, key)?.unwrap_or_default();
        if !patterns.iter().any(|pattern| pattern == ANNOTATIONS) {
            patterns.push(ANNOTATIONS.to_owned());
            set(&mut ours, key, tables::list(patterns.iter().map(String::as_str)), &lead);
        }
    }
    let options = ours.entry("options").or_insert_with(|| Item::Table(Table::new()));
    let shape = || EditError::Shape { key: format!("runtimes.{default}.options"), expected: "a table" };
    let options = options.as_table_like_mut().ok_or_else(shape)?;
    // Where ours is the default, there is no other to stand for.
    let real = tables::text(options, "BinaryName").filter(|real| !is_wrapper(real) && default != RUNTIME);
    let (program, note) = wish.wrapper_in_place_of(real);
    notes.extend(note);
    let lead = if options.is_empty() { lead } else { tables::value_lead(options) };
    match options.get_mut("BinaryName") {
        Some(item) => *item = value(program),
        None => {
            options.insert("BinaryName", value(program));
            if let Some(mut key) = options.key_mut("BinaryName").filter(|_| !lead.is_empty()) {
                key.leaf_decor_mut().set_prefix(lead);
            }
        }
    }
    Ok(ours)
}

fn set(table: &mut Table, key: &str, item: Item, lead: &str) {
    if let Some(there) = table.get_mut(key) {
        *there = item;
        return;
    }
    table.insert(key, item);
    if let Some(mut key) = table.key_mut(key).filter(|_| !lead.is_empty()) {
        key.leaf_decor_mut().set_prefix(lead);
    }
}

/// `table` with an empty line above each of its headers, and these as far in as those of the default runtime.
fn placed(mut table: Table, lead: &str) -> Table {
    table.decor_mut().set_prefix(format!("\n{lead}"));
    for (_, item) in table.iter_mut() {
        if let Item::Table(inner) = item {
            inner.decor_mut().set_prefix(if lead.is_empty() { "\n".to_owned() } else { format!("\n{lead}  ") });
        }
    }
    table
}

/// Whether the CRI plugin is switched off.
fn disabled(document: &DocumentMut) -> bool {
    let names = tables::texts(document.as_table(), "disabled_plugins").ok().flatten().unwrap_or_default();
    names.iter().any(|name| [CRI_1, CRI_2, CRI_3].contains(&name.as_str()))
}

#[cfg(test)]
#[path = "containerd_tests.rs"]
mod tests;
