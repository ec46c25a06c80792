//! How one engine is wired to us, by what stands in its files. It reads files only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::containerd;
use super::crio;
use super::docker;
use super::error::EditError;
use super::hooks_dir::{self, Source};
use super::podman;
use super::survey::{Engine, PROGRAM_DIRS, Wired, below};

/// Where engines look for CDI files.
const CDI_DIRS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];
/// The kind of our devices.
const CDI_KIND: &str = "runsecrets.io/service";
/// The name of our hook's program.
const HOOK: &str = "runsecrets-hook";

/// The file that wires `engine`, and how; nothing in it may be ours, and then it is the engine's main file.
pub(super) fn wiring(engine: Engine, root: &Path) -> (PathBuf, Wired) {
    let main = below(root, engine.config());
    let judged = match engine {
        Engine::Docker => {
            files(std::slice::from_ref(&main)).and_then(|files| by_wrapper(&files, docker::wrapper, root))
        }
        Engine::Containerd => {
            containerd_files(root, &main).and_then(|files| by_wrapper(&files, containerd::wrapper, root))
        }
        Engine::Podman => podman::sources(root)
            .map_err(|error| (main.clone(), error.to_string()))
            .and_then(|files| by_hooks(&files, podman::TABLE, &main, root)),
        Engine::Crio => crio::sources(root).map_err(|error| (main.clone(), error.to_string())).and_then(|files| {
            let hooks = by_hooks(&files, crio::TABLE, &main, root)?;
            if hooks.is_some() { Ok(hooks) } else { by_wrapper(&files, crio::wrapper, root) }
        }),
    };
    match judged {
        Ok(Some(found)) => found,
        Ok(None) => cdi(root).map_or((main, Wired::No), |file| (file, Wired::Cdi)),
        Err((file, words)) => (file, Wired::Broken(words)),
    }
}

/// A file and how it wires, or a file and what is wrong with it.
type Judged = Result<Option<(PathBuf, Wired)>, (PathBuf, String)>;

/// By the last of `files` that names our wrapper.
fn by_wrapper(files: &[Source], named: fn(&str) -> Result<Option<String>, EditError>, root: &Path) -> Judged {
    let mut found = None;
    for file in files {
        let program = named(&file.text).map_err(|cause| (file.path.clone(), cause.to_string()))?;
        found = program.map(|program| (file, program)).or(found);
    }
    let Some((file, program)) = found else { return Ok(None) };
    if !is_program(root, &program) {
        let words = format!(
            "it names the runtime {program}, which is not there: every container of it fails; install runsecrets, or say where it is with runsecrets configure --runtime-path"
        );
        return Err((file.path.clone(), words));
    }
    Ok(Some((file.path.clone(), Wired::Runtime { path: program.into() })))
}

/// By a directory of the list that these files come to, with files that call our hook.
fn by_hooks(files: &[Source], table: &[&str], main: &Path, root: &Path) -> Judged {
    let list = hooks_dir::effective(files, table).map_err(|error| (main.to_owned(), error.to_string()))?;
    let naming = |dir: &str| {
        files.iter().rfind(|file| file.text.contains(dir)).map_or_else(|| main.to_owned(), |file| file.path.clone())
    };
    for dir in list.iter().rev() {
        let directory = below(root, dir);
        match hooks_in(&directory) {
            Ok(hooks) if hooks.is_empty() && !dir.contains("runsecrets") => {}
            Ok(hooks) if hooks.is_empty() => {
                let words = format!(
                    "{dir} is in hooks_dir, but no file there calls our hook: containers start without their secrets; install runsecrets"
                );
                return Err((naming(dir), words));
            }
            Ok(hooks) => {
                if let Some((file, hook)) = hooks.into_iter().find(|(_, hook)| !is_program(root, hook)) {
                    let words = format!(
                        "it calls {hook}, which is not there: containers start without their secrets; install runsecrets, or remove the file"
                    );
                    return Err((file, words));
                }
                return Ok(Some((naming(dir), Wired::Hooks { dir: dir.into() })));
            }
            Err(words) => return Err((directory, words)),
        }
    }
    Ok(None)
}

/// The files of `directory` that call our hook, each with the program as it names it.
fn hooks_in(directory: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut hooks = Vec::new();
    for path in hooks_dir::files(directory).map_err(|error| error.to_string())? {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|cause| format!("cannot read {}: {cause}", path.display()))?;
        let file: Value = serde_json::from_str(&text).map_err(|cause| {
            format!("{} is not JSON: {cause}; no container starts: correct or remove it", path.display())
        })?;
        let program = file.get("hook").and_then(|hook| hook.get("path")?.as_str());
        if let Some(program) = program.filter(|program| Path::new(program).file_name().is_some_and(|name| name == HOOK))
        {
            hooks.push((path, program.to_owned()));
        }
    }
    Ok(hooks)
}

/// containerd's main file and what it imports.
fn containerd_files(root: &Path, main: &Path) -> Result<Vec<Source>, (PathBuf, String)> {
    let mut all = files(&[main.to_owned()])?;
    let Some(file) = all.first() else { return Ok(all) };
    let patterns = containerd::imports(&file.text).map_err(|cause| (main.to_owned(), cause.to_string()))?;
    for pattern in patterns.iter().map(Path::new) {
        let directory = below(root, pattern.parent().unwrap_or(Path::new("/")));
        let directory =
            if pattern.is_absolute() { directory } else { main.with_file_name(pattern.parent().unwrap_or(pattern)) };
        // Of patterns, `*.toml` is the one in use.
        let is_imported = |path: &PathBuf| match pattern.file_name().and_then(|name| name.to_str()) {
            Some("*") => true,
            Some(name) => match name.strip_prefix('*') {
                Some(end) => path.to_string_lossy().ends_with(end),
                None => path.file_name().is_some_and(|own| own == name),
            },
            None => false,
        };
        let paths = hooks_dir::files(&directory).map_err(|error| (main.to_owned(), error.to_string()))?;
        all.extend(files(&paths.into_iter().filter(is_imported).collect::<Vec<_>>())?);
    }
    Ok(all)
}

fn files(paths: &[PathBuf]) -> Result<Vec<Source>, (PathBuf, String)> {
    hooks_dir::read(paths).map_err(|error| (paths.first().cloned().unwrap_or_default(), error.to_string()))
}

/// A CDI file with our devices.
fn cdi(root: &Path) -> Option<PathBuf> {
    let files = CDI_DIRS.iter().flat_map(|dir| hooks_dir::files(&below(root, dir)).unwrap_or_default());
    files.into_iter().find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(CDI_KIND)))
}

/// Whether `path` can be run; a bare name is one that the engine looks up itself.
fn is_program(root: &Path, path: &str) -> bool {
    let runs =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if path.contains('/') {
        runs(&below(root, path))
    } else {
        PROGRAM_DIRS.iter().any(|dir| runs(&root.join(dir).join(path)))
    }
}

#[cfg(test)]
#[path = "wiring_tests.rs"]
mod tests;
