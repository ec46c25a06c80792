//! The checks of `runsecrets doctor` about engines: which there are, how each is wired, and whether what wires it holds.
//! It reads files and changes none.

mod cdi;
mod hooks_d;
mod programs;

use std::path::{Path, PathBuf};

use super::survey::{Engine, Found, Wired, survey};
use super::{crio, hooks_dir, podman};
use crate::finding::{Finding, Known, Level};

const SUBJECT: &str = "engines";
/// Where the wrapper looks for the hook when it is not beside it.
const INSTALLED_HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";

/// All of them.
pub fn examine(known: &Known) -> Vec<Finding> {
    let engines = survey(&known.root);
    let mut findings = Vec::new();
    if engines.is_empty() {
        findings.push(Finding::note(SUBJECT, "no podman, Docker, containerd or CRI-O is installed"));
    }
    for found in &engines {
        let hooks = hooks(found, known);
        let told = matches!(found.wired, Wired::Broken(_)) && hooks.iter().any(|hook| hook.level() == Level::Error);
        if !told {
            findings.extend(wiring(found, known));
        }
        findings.extend(hooks);
    }
    findings.extend(cdi::check(known));
    findings
}

/// What is in the directories of hooks that an engine reads.
fn hooks(found: &Found, known: &Known) -> Vec<Finding> {
    let engine = found.engine;
    let directories = match engine {
        Engine::Podman => podman::sources(&known.root).and_then(|files| hooks_dir::effective(&files, podman::TABLE)),
        Engine::Crio => crio::sources(&known.root).and_then(|files| hooks_dir::effective(&files, crio::TABLE)),
        Engine::Docker | Engine::Containerd => return Vec::new(),
    };
    let wired = matches!(found.wired, Wired::Hooks { .. });
    match directories {
        Ok(directories) => {
            let directories: Vec<PathBuf> = directories.into_iter().map(PathBuf::from).collect();
            hooks_d::check(engine.name(), &directories, wired, known)
        }
        Err(error) => vec![Finding::unchecked(SUBJECT, format!("the hooks of {engine}: {error}"))],
    }
}

/// How one engine comes to call us.
fn wiring(found: &Found, known: &Known) -> Vec<Finding> {
    let engine = found.engine;
    let name = match &found.version {
        Some(version) => format!("{engine} {version}"),
        None => format!("{engine} ({}, which does not tell its version)", found.program.display()),
    };
    let configure = format!("runsecrets configure {engine}");
    let unwired = |why: &str| {
        let text = format!("{name} is not wired{why}: its containers get no secrets (`{configure}` changes that)");
        vec![Finding::note(SUBJECT, text)]
    };
    match &found.wired {
        Wired::No => unwired(""),
        Wired::Cdi if !has_cdi(engine, found.version.as_deref()) => unwired(", being too old for CDI devices"),
        Wired::Cdi => vec![Finding::ok(SUBJECT, format!("{name} can take CDI devices of {}", found.config.display()))],
        Wired::Broken(why) => {
            vec![Finding::error(SUBJECT, format!("{name}, by {}: {why}", found.config.display()), configure)]
        }
        Wired::Hooks { dir } => {
            vec![Finding::ok(SUBJECT, format!("{name} is wired by the hooks of {}", dir.display()))]
        }
        Wired::Runtime { path } => {
            let (path, config) = (path, found.config.display());
            let mut findings =
                vec![Finding::ok(SUBJECT, format!("{name} is wired by {config}, to {}", path.display()))];
            findings.extend(wrapper(&name, path, &known.root));
            findings
        }
    }
}

/// Whether an engine of this version takes CDI devices; one that does not tell its version may.
fn has_cdi(engine: Engine, version: Option<&str>) -> bool {
    let first = match engine {
        Engine::Docker => (25, 0),
        Engine::Containerd => (1, 7),
        Engine::Podman => (4, 1),
        Engine::Crio => (1, 23),
    };
    let mut numbers = version.unwrap_or_default().split(|sign: char| !sign.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= first,
        _ => true,
    }
}

/// Whether the wrapper is there, and a hook for it.
fn wrapper(engine: &str, path: &Path, root: &Path) -> Vec<Finding> {
    if let Some(fault) = programs::program(root, path) {
        let about = format!("{engine}: the runtime {}", path.display());
        return vec![fault.finding(SUBJECT, &about, ": no container of it starts")];
    }
    let beside = path.with_file_name("runsecrets-hook");
    let hook = if programs::below(root, &beside).exists() { beside } else { INSTALLED_HOOK.into() };
    let about = format!("{engine}: the runtime's hook {}", hook.display());
    let fault = programs::program(root, &hook);
    let consequence = ": it refuses containers that claim secrets";
    fault.map(|fault| fault.finding(SUBJECT, &about, consequence)).into_iter().collect()
}

#[cfg(test)]
#[path = "engines_tests.rs"]
mod tests;
