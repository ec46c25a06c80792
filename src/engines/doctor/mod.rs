//! The checks of `runsecrets doctor` about engines: which there are, how each is wired, and whether what wires it holds.
//! It reads files and changes none.

mod cdi;
mod hooks_d;
mod programs;

use std::path::{Path, PathBuf};

use super::survey::{Engine, Found, Wired, survey};
use crate::finding::{Finding, Known};

const SUBJECT: &str = "engines";
/// Where the wrapper looks for the hook when it is not beside it.
const INSTALLED_HOOK: &str = "/usr/libexec/runsecrets/runsecrets-hook";
/// What podman and CRI-O read where nothing is set.
const DEFAULT_HOOKS_DIR: &str = "/usr/share/containers/oci/hooks.d";

/// All of them.
pub fn examine(known: &Known) -> Vec<Finding> {
    let engines = survey(&known.root);
    let mut findings = Vec::new();
    if engines.is_empty() {
        findings.push(Finding::note(SUBJECT, "no podman, Docker, containerd or CRI-O is installed"));
    }
    for found in &engines {
        findings.extend(wiring(found, known));
    }
    for found in engines.iter().filter(|found| matches!(found.engine, Engine::Podman | Engine::Crio)) {
        let wired = matches!(found.wired, Wired::Hooks { .. });
        findings.extend(hooks_d::check(found.engine.name(), &hook_directories(found), wired, known));
    }
    findings.extend(cdi::check(known));
    findings
}

/// The directories of hooks that an engine reads, in its order.
fn hook_directories(found: &Found) -> Vec<PathBuf> {
    let mut directories = vec![PathBuf::from(DEFAULT_HOOKS_DIR)];
    if let Wired::Hooks { dir } = &found.wired
        && !directories.contains(dir)
    {
        directories.push(dir.clone());
    }
    directories
}

/// How one engine comes to call us.
fn wiring(found: &Found, known: &Known) -> Vec<Finding> {
    let engine = found.engine;
    let name = match &found.version {
        Some(version) => format!("{engine} {version}"),
        None => format!("{engine} ({}, which does not tell its version)", found.program.display()),
    };
    let configure = format!("runsecrets configure {engine}");
    match &found.wired {
        Wired::No => {
            let text = format!("{name} is not wired: its containers get no secrets (`{configure}` changes that)");
            vec![Finding::note(SUBJECT, text)]
        }
        Wired::Broken(why) => vec![Finding::error(SUBJECT, format!("{name}: {why}"), configure)],
        Wired::Hooks { dir } => {
            vec![Finding::ok(SUBJECT, format!("{name} is wired by the hooks of {}", dir.display()))]
        }
        Wired::Cdi => vec![Finding::ok(SUBJECT, format!("{name} is wired by CDI devices"))],
        Wired::Runtime { path } => {
            let mut findings = vec![Finding::ok(SUBJECT, format!("{name} is wired by {}", found.config.display()))];
            findings.extend(wrapper(&name, path, &known.root));
            findings
        }
    }
}

/// Whether the wrapper is there, and a hook for it.
fn wrapper(engine: &str, path: &Path, root: &Path) -> Vec<Finding> {
    if let Some(fault) = programs::program(root, path) {
        let text = format!("{engine}: the runtime {} {}: no container of it starts", path.display(), fault.what);
        return vec![Finding::error(SUBJECT, text, fault.fix)];
    }
    let beside = path.with_file_name("runsecrets-hook");
    let hook = if programs::below(root, &beside).exists() { beside } else { INSTALLED_HOOK.into() };
    let fault = programs::program(root, &hook);
    let finding = fault.map(|fault| {
        let text = format!(
            "{engine}: the runtime's hook {} {}: it refuses containers that claim secrets",
            hook.display(),
            fault.what
        );
        Finding::error(SUBJECT, text, fault.fix)
    });
    finding.into_iter().collect()
}
