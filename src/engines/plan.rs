//! Which files of an engine change, and how: its own, or one of ours that it reads besides. It reads files, and writes
//! none.

use std::path::{Path, PathBuf};

use super::change::{Change, Original};
use super::containerd;
use super::crio;
use super::docker;
use super::error::{ConfigureError, EditError};
use super::hooks_dir::{self, Source};
use super::podman;
use super::survey::{Engine, below, installed_version};
use super::wish::{HOOKS_DIR, RUNTIME, Wish};

/// What stands above our own files.
const HEADER: &str = "# By `runsecrets configure`; taken away by `runsecrets configure --uninstall`.\n";
/// The directory that containerd from 2.2 on names in the `imports` of its default configuration.
const CONTAINERD_DROP_INS: &str = "/etc/containerd/conf.d/*.toml";
/// Our file in it.
const CONTAINERD_DROP_IN: &str = "/etc/containerd/conf.d/99-runsecrets.toml";
/// The first containerd that is known to merge tables of plugins in drop-ins; before, they replaced them.
const CONTAINERD_MERGES: (u32, u32) = (2, 1);
/// The first that keeps the runtime that it has built in, and takes version 3 of the format.
const CONTAINERD_2: (u32, u32) = (2, 0);
/// The directories whose files podman and CRI-O read by themselves.
const READ: [&str; 5] = [
    "/usr/share/containers",
    "/etc/containers",
    "/etc/containers/containers.conf.d",
    "/etc/crio",
    "/etc/crio/crio.conf.d",
];

/// What is to be done.
#[derive(Debug)]
pub(super) struct Task<'t> {
    /// The machine's root directory: `/` but in tests.
    pub(super) root: &'t Path,
    /// The engine.
    pub(super) engine: Engine,
    /// The file to change, where the user says so.
    pub(super) config: Option<&'t Path>,
    /// Whether our parts are to go.
    pub(super) uninstall: bool,
    /// What the engine is to be told.
    pub(super) wish: &'t Wish,
}

/// Changes, of which some may change nothing, and what is to be said about them.
pub(super) type Plan = (Vec<Change>, Vec<String>);

/// What is to be done to which files.
pub(super) fn plan(task: &Task) -> Result<Plan, ConfigureError> {
    let (changes, mut notes) = match task.engine {
        Engine::Docker => plan_docker(task)?,
        Engine::Containerd => plan_containerd(task)?,
        Engine::Podman => plan_podman(task)?,
        Engine::Crio => plan_crio(task)?,
    };
    let hooks = task.engine == Engine::Podman || task.engine == Engine::Crio && !task.wish.as_runtime;
    let needed = if hooks { &task.wish.hooks_dir } else { &task.wish.wrapper };
    if !task.uninstall && !below(task.root, needed).exists() {
        notes.push(format!("{needed} is not there: install runsecrets before {} reads this", task.engine));
    }
    Ok((changes, notes))
}

impl Task<'_> {
    /// The file that is named, or else this one.
    fn file(&self, default: &str) -> PathBuf {
        self.config.map_or_else(|| below(self.root, default), Path::to_owned)
    }
}

fn in_file(path: &Path) -> impl Fn(EditError) -> ConfigureError + use<> {
    let path = path.to_owned();
    move |cause| ConfigureError::Edit { path: path.clone(), cause }
}

fn plan_docker(task: &Task) -> Result<Plan, ConfigureError> {
    let path = task.file(Engine::Docker.config());
    let original = Original::read(&path)?;
    if task.uninstall {
        let add = |text: &str| docker::install(text, task.wish).map(|edited| edited.text);
        let change = original.uninstall(docker::uninstall, add, docker::is_blank).map_err(in_file(&path))?;
        return Ok((vec![change], vec![]));
    }
    let edited = docker::install(original.text(), task.wish).map_err(in_file(&path))?;
    Ok((vec![original.install(edited.text, docker::uninstall)], edited.notes))
}

/// The drop-in where the main file imports its directory and the program merges it, else the main file.
fn plan_containerd(task: &Task) -> Result<Plan, ConfigureError> {
    let path = task.file(Engine::Containerd.config());
    let main = Original::read(&path)?;
    let drop_in = below(task.root, CONTAINERD_DROP_IN);
    let strip = containerd::uninstall;
    if task.uninstall {
        let add = |text: &str| containerd::install(text, None, 2, task.wish).map(|edited| edited.text);
        let mut changes = vec![main.uninstall(strip, add, containerd::is_blank).map_err(in_file(&path))?];
        if task.config.is_none() {
            let is_blank = |text: &str| containerd::is_blank(&without_header(text));
            changes.push(Original::read(&drop_in)?.uninstall(strip, add, is_blank).map_err(in_file(&drop_in))?);
        }
        return Ok((changes, vec![]));
    }
    let version = installed_version(Engine::Containerd, task.root);
    let at_least = |first| version.is_some_and(|found| found >= first);
    let format = containerd::format(main.text()).map_err(in_file(&path))?;
    if format == 1 && at_least(CONTAINERD_2) && !containerd::is_blank(main.text()) {
        return Err(in_file(&path)(EditError::Outdated));
    }
    if task.config.is_none() && at_least(CONTAINERD_MERGES) && takes_drop_ins(main.text()).map_err(in_file(&path))? {
        let file = Original::read(&drop_in)?;
        let edited =
            containerd::install(file.text(), Some(main.text()), format, task.wish).map_err(in_file(&drop_in))?;
        let after = headed(file.text(), edited.text);
        return Ok((vec![file.install(after, strip)], edited.notes));
    }
    let fresh = if at_least(CONTAINERD_2) { 3 } else { 2 };
    let edited = containerd::install(main.text(), None, fresh, task.wish).map_err(in_file(&path))?;
    Ok((vec![main.install(edited.text, strip)], edited.notes))
}

/// Whether containerd's main file imports the directory of drop-ins, and has not our runtime itself.
fn takes_drop_ins(main: &str) -> Result<bool, EditError> {
    let imported = containerd::imports(main)?.iter().any(|pattern| pattern == CONTAINERD_DROP_INS);
    Ok(imported && containerd::format(main)? >= 3 && containerd::wrapper(main)?.is_none())
}

fn plan_podman(task: &Task) -> Result<Plan, ConfigureError> {
    let original = Original::read(&task.file(podman::DROP_IN))?;
    let list = List::of(task, &original.path, podman::sources(task.root)?, podman::TABLE)?;
    if task.uninstall {
        return without_ours(original, |text| list.strip(text), |text| list.add(text));
    }
    list.is_last(&original.path)?;
    with_ours(original, |text| list.strip(text), |text| list.add(text))
}

/// CRI-O by the directory with our hook files, or by a runtime: by the one, not by the other.
fn plan_crio(task: &Task) -> Result<Plan, ConfigureError> {
    let original = Original::read(&task.file(crio::DROP_IN))?;
    let sources = crio::sources(task.root)?;
    let list = List::of(task, &original.path, sources.clone(), crio::TABLE)?;
    let strip = |text: &str| list.strip(&crio::uninstall_runtime(text)?);
    let own = || Source { path: original.path.clone(), text: original.text().to_owned() };
    let sources = if is_read(task.root, &original.path) { sources } else { vec![own()] };
    let is_default = crio::is_default(&sources)?;
    if !task.wish.as_runtime || task.uninstall {
        if is_default {
            let in_use = EditError::InUse { key: "default_runtime", name: RUNTIME.to_owned() };
            return Err(in_file(&original.path)(in_use));
        }
        let add = |text: &str| list.add(&crio::uninstall_runtime(text)?);
        if task.uninstall {
            return without_ours(original, strip, add);
        }
        list.is_last(&original.path)?;
        return with_ours(original, strip, add);
    }
    let notes = std::cell::RefCell::new(Vec::new());
    let add = |text: &str| {
        let text = list.strip(text)?;
        let edited = crio::install_runtime(&text, &sources, task.wish)?;
        *notes.borrow_mut() = edited.notes;
        Ok(headed(&text, edited.text))
    };
    let (changes, _) = with_ours(original, strip, add)?;
    Ok((changes, notes.take()))
}

fn with_ours(
    original: Original,
    strip: impl Fn(&str) -> Result<String, EditError>,
    add: impl Fn(&str) -> Result<String, EditError>,
) -> Result<Plan, ConfigureError> {
    let after = add(original.text()).map_err(in_file(&original.path))?;
    let is_needed = original.text.is_some() || !after.is_empty();
    Ok((if is_needed { vec![original.install(after, strip)] } else { vec![] }, vec![]))
}

fn without_ours(
    original: Original,
    strip: impl Fn(&str) -> Result<String, EditError>,
    add: impl Fn(&str) -> Result<String, EditError>,
) -> Result<Plan, ConfigureError> {
    let failed = in_file(&original.path);
    let is_blank = |text: &str| without_header(text).trim().is_empty();
    Ok((vec![original.uninstall(strip, add, is_blank).map_err(failed)?], vec![]))
}

/// `hooks_dir` in one file of podman or CRI-O, as the others leave it.
struct List<'t> {
    table: &'static [&'static str],
    wish: &'t Wish,
    /// What the files before come to.
    inherited: Vec<String>,
    /// The files behind.
    later: Vec<Source>,
}

impl<'t> List<'t> {
    /// A file that the engine does not read by itself stands alone.
    fn of(
        task: &Task<'t>,
        path: &Path,
        sources: Vec<Source>,
        table: &'static [&'static str],
    ) -> Result<Self, ConfigureError> {
        let sources = if is_read(task.root, path) { sources } else { Vec::new() };
        let others = sources.into_iter().filter(|source| source.path != path);
        let (before, later): (Vec<_>, Vec<_>) =
            others.partition(|source| order(task.root, &source.path) < order(task.root, path));
        let inherited = hooks_dir::effective(&before, table)?;
        Ok(Self { table, wish: task.wish, inherited, later })
    }

    fn add(&self, text: &str) -> Result<String, EditError> {
        hooks_dir::install(text, self.table, &self.inherited, self.wish).map(|after| headed(text, after))
    }

    fn strip(&self, text: &str) -> Result<String, EditError> {
        if text.starts_with(HEADER) {
            return hooks_dir::without_list(text, self.table);
        }
        let known = [self.wish.hooks_dir.clone(), HOOKS_DIR.to_owned()];
        hooks_dir::uninstall(text, self.table, &self.inherited, &known)
    }

    /// Whether no later file puts its list in the place of that in `path`.
    fn is_last(&self, path: &Path) -> Result<(), ConfigureError> {
        for source in &self.later {
            if hooks_dir::replaces(&source.text, self.table).map_err(in_file(&source.path))? {
                return Err(in_file(path)(EditError::Overridden { by: source.path.clone() }));
            }
        }
        Ok(())
    }
}

fn is_read(root: &Path, path: &Path) -> bool {
    READ.iter().any(|directory| path.parent() == Some(&below(root, directory)))
}

/// Where a file stands among those that an engine reads: those of /usr, the main file, drop-ins by their names.
fn order(root: &Path, path: &Path) -> (bool, bool, PathBuf) {
    let is_drop_in = path.parent().is_some_and(|parent| parent.extension().is_some_and(|extension| extension == "d"));
    (is_drop_in, !path.starts_with(below(root, "/usr")), path.to_owned())
}

/// A file that is ours alone says so.
fn headed(before: &str, after: String) -> String {
    if before.is_empty() && !after.is_empty() { format!("{HEADER}{after}") } else { after }
}

fn without_header(text: &str) -> String {
    text.replacen(HEADER, "", 1)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
