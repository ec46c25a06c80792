//! The directories of oci-hooks(5) that an engine reads: whether our two files are there and will be used, what they
//! run, and what other files there do to them and to every container.
//!
//! An engine reads the directories in their order. A file takes the place of one of exactly the same name before it, and
//! what is left runs in the order of the names without regard to case. Source: oci-hooks(5); `pkg/hooks` of
//! container-libs.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::programs::{self, Kind, below};
use crate::engines::survey::Engine;
use crate::finding::{Finding, Known};
use crate::model::{RUN_DIR, SERVICE_ANNOTATION};

const SUBJECT: &str = "hooks.d";
/// The most bytes of such a file.
const MAX_FILE: u64 = 1024 * 1024;
/// The stages that there are; the last is podman's own.
const STAGES: [&str; 7] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", "precreate"];
/// The stages in which mounts of a container are made; an engine makes the first out of the second.
const CREATE: [&str; 2] = ["createRuntime", "prestart"];

/// A file of a hook as an engine would use it.
#[derive(Debug)]
struct Hook {
    /// The file, as the engine has it.
    file: PathBuf,
    /// The program.
    program: PathBuf,
    arguments: Vec<String>,
    has_environment: bool,
    stages: Vec<String>,
    when: Value,
}

impl Hook {
    fn is_ours(&self) -> bool {
        is_our_name(&self.program) || self.arguments.first().is_some_and(|name| is_our_name(Path::new(name)))
    }

    fn runs_in(&self, stages: &[&str]) -> bool {
        self.stages.iter().any(|stage| stages.contains(&stage.as_str()))
    }

    fn told_run_dir(&self) -> &str {
        let mut told = self.arguments.windows(2).filter(|pair| pair[0] == "--run-dir").map(|pair| pair[1].as_str());
        let joined = || self.arguments.iter().find_map(|argument| argument.strip_prefix("--run-dir="));
        told.next().or_else(joined).unwrap_or(RUN_DIR)
    }
}

fn is_our_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "runsecrets-hook")
}

/// Checks the `directories` that `engine` reads, in its order. `wired`: ours should be there.
pub(super) fn check(engine: &str, directories: &[PathBuf], wired: bool, known: &Known) -> Vec<Finding> {
    let mut findings = Vec::new();
    // By the name that decides what masks what.
    let mut hooks: BTreeMap<String, Hook> = BTreeMap::new();
    for directory in directories {
        for (name, file) in files(&known.root, directory, &mut findings) {
            match read(&known.root, &file) {
                Ok(hook) => {
                    findings.extend(writers(&known.root, &hook.file, &hook.program));
                    if let Some(masked) = hooks.insert(name, hook) {
                        findings.extend(mask(&masked, &file));
                    }
                }
                Err(Unread::Gone) => {}
                Err(Unread::Refused(cause)) => {
                    findings.push(Finding::unchecked(SUBJECT, format!("{}: {cause}", file.display())));
                }
                Err(Unread::Broken(cause)) => {
                    let text = format!("{} {cause}: {engine} starts no container at all", file.display());
                    findings.push(Finding::error(SUBJECT, text, format!("repair or remove {}", file.display())));
                }
            }
        }
    }
    let mut hooks: Vec<(String, Hook)> = hooks.into_iter().collect();
    hooks.sort_by_key(|(name, _)| name.to_lowercase());
    let hooks: Vec<Hook> = hooks.into_iter().map(|(_, hook)| hook).collect();
    findings.extend(programs_of(engine, &hooks, &known.root));
    findings.extend(ours(engine, &hooks, wired, known));
    findings
}

/// The files of `directory` that an engine reads, with their names. A directory that is not there is none.
fn files(root: &Path, directory: &Path, findings: &mut Vec<Finding>) -> Vec<(String, PathBuf)> {
    let listing = match std::fs::read_dir(below(root, directory)) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            findings.push(Finding::unchecked(SUBJECT, format!("{}: {error}", directory.display())));
            return Vec::new();
        }
    };
    let names = listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), directory.join(name))).collect()
}

/// Why a file is no hook.
enum Unread {
    /// It is not there any more, or is a link to nothing: engines pass it over.
    Gone,
    /// We may not read it.
    Refused(String),
    /// It is not what engines take.
    Broken(String),
}

fn read(root: &Path, file: &Path) -> Result<Hook, Unread> {
    let place = below(root, file);
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Unread::Gone,
        _ => Unread::Refused(error.to_string()),
    };
    let found = std::fs::metadata(&place).map_err(refused)?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(Unread::Broken("is no file of a hook".to_owned()));
    }
    let text = std::fs::read(&place).map_err(refused)?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| Unread::Broken(format!("is no JSON ({error})")))?;
    understand(file, &value).map_err(Unread::Broken)
}

/// The hook that `value` is, by version 1.0.0 of the format, or by the one before, which has no version.
fn understand(file: &Path, value: &Value) -> Result<Hook, String> {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).chain(value.as_str()).map(str::to_owned).collect()
    };
    let (program, arguments, stages) = match value["version"].as_str() {
        Some("1.0.0") => (&value["hook"]["path"], texts(&value["hook"]["args"]), texts(&value["stages"])),
        None | Some("" | "0.1.0") if value.is_object() => {
            (&value["hook"], texts(&value["arguments"]), [&value["stages"], &value["stage"]].map(texts).concat())
        }
        _ => return Err("has no version that engines know".to_owned()),
    };
    let program = program.as_str().filter(|path| !path.is_empty()).ok_or("names no program")?;
    if stages.is_empty() {
        return Err("names no stage".to_owned());
    }
    if let Some(stage) = stages.iter().find(|stage| !STAGES.contains(&stage.as_str())) {
        return Err(format!("names the stage '{stage}', which is none"));
    }
    Ok(Hook {
        file: file.to_owned(),
        program: program.into(),
        arguments,
        has_environment: !texts(&value["hook"]["env"]).is_empty(),
        stages,
        when: value["when"].clone(),
    })
}

/// Who, besides root, can write what engines run as root.
fn writers(root: &Path, file: &Path, program: &Path) -> Option<Finding> {
    let place = below(root, file);
    let found: Metadata = std::fs::metadata(&place).ok()?;
    let fault = programs::roots_alone(&place, &found)?;
    Some(fault.finding(SUBJECT, &format!("{}, by which root runs {},", file.display(), program.display()), ""))
}

/// What it means that `file` takes the place of `masked`.
fn mask(masked: &Hook, file: &Path) -> Option<Finding> {
    masked.is_ours().then(|| {
        let text = format!(
            "{} takes the place of {}, which is ours: the last directory wins",
            file.display(),
            masked.file.display()
        );
        Finding::warning(SUBJECT, text, format!("remove the one that you do not mean; {} is in force", file.display()))
    })
}

/// What is wrong with the programs that these hooks run.
fn programs_of(engine: &str, hooks: &[Hook], root: &Path) -> Vec<Finding> {
    let judged = hooks.iter().filter_map(|hook| Some((hook, programs::program(root, &hook.program)?)));
    judged
        .map(|(hook, fault)| {
            let (file, program) = (hook.file.display(), hook.program.display());
            let about = format!("{file}: {program}");
            match (hook.is_ours(), fault.kind) {
                (true, Kind::Missing) => {
                    let open =
                        format!(", so {engine} passes the file over and starts containers WITHOUT their secrets");
                    fault.finding(SUBJECT, &about, &open)
                }
                (false, Kind::Missing) => {
                    let text = format!("{file}, not ours: {program} {}, so {engine} passes it over", fault.what);
                    Finding::note(SUBJECT, text)
                }
                (false, Kind::Wrong) => {
                    Finding::warning(SUBJECT, format!("{file}, not ours: {program} {}", fault.what), fault.fix)
                }
                (_, Kind::Unseen) | (true, Kind::Wrong) => fault.finding(SUBJECT, &about, ""),
            }
        })
        .collect()
}

/// Whether our two hooks are among those in force, and as they should be.
fn ours(engine: &str, hooks: &[Hook], wired: bool, known: &Known) -> Vec<Finding> {
    let create = hooks.iter().position(|hook| hook.is_ours() && hook.runs_in(&CREATE));
    let withdraw = hooks.iter().find(|hook| hook.is_ours() && hook.runs_in(&["poststop"]));
    let configure = format!("runsecrets configure {engine}");
    let Some(at) = create else {
        let wanted = wired || withdraw.is_some();
        let text = format!(
            "{engine} reads no file that runs our hook at createRuntime: containers start WITHOUT their secrets"
        );
        return wanted.then(|| Finding::error(SUBJECT, text, configure)).into_iter().collect();
    };
    let mut findings = Vec::new();
    match withdraw {
        Some(withdraw) => {
            let files = format!("{} and {}", hooks[at].file.display(), withdraw.file.display());
            findings.push(Finding::ok(SUBJECT, format!("{engine} runs our hook by {files}")));
        }
        None => {
            let text = format!(
                "{engine} reads no file that runs our hook at poststop: the agent scrubs all the same, and empty \
                 directories are left in containers"
            );
            findings.push(Finding::warning(SUBJECT, text, configure));
        }
    }
    for hook in [Some(&hooks[at]), withdraw].into_iter().flatten() {
        findings.extend(manners(engine, hook, known));
    }
    for hook in hooks[..at].iter().filter(|hook| !hook.is_ours() && hook.runs_in(&CREATE)) {
        let text = format!("{} runs before ours, and sees no secrets in the container", hook.file.display());
        findings.push(Finding::note(SUBJECT, text));
    }
    findings
}

/// Whether a file of ours says what it must.
fn manners(engine: &str, hook: &Hook, known: &Known) -> Vec<Finding> {
    let file = hook.file.display();
    let again = "take the file that comes with this version from /usr/share/runsecrets/hooks.d";
    let mut findings = Vec::new();
    let told = hook.told_run_dir();
    if Path::new(told) != known.run_dir {
        let text = format!("{file} asks the agent of {told}, and this is about the one of {}", known.run_dir.display());
        findings.push(Finding::warning(SUBJECT, text, "give the hook's arguments --run-dir, or call doctor with it"));
    }
    if engine == Engine::Podman.name() && hook.arguments.iter().any(|argument| argument == "--ask") {
        let text = format!(
            "{file} has --ask among its arguments, and podman passes the annotations of an image on: an image can be \
             taken for any service"
        );
        findings.push(Finding::error(
            SUBJECT,
            text,
            format!("take --ask out of {file}; it is for engines that stamp annotations"),
        ));
    }
    if !hook.has_environment {
        let text = format!("{file} sets no env, so runc and crun give the hook all of the engine's");
        findings.push(Finding::warning(SUBJECT, text, again));
    }
    if !matches_claims(&hook.when) {
        let text =
            format!("{file} has no condition that a container with {SERVICE_ANNOTATION} meets: it never runs for one");
        findings.push(Finding::error(SUBJECT, text, again));
    }
    findings
}

/// Whether `when` may hold for a container that claims a service. Regular expressions are looked at, not run.
fn matches_claims(when: &Value) -> bool {
    let annotations = when["annotations"].as_object();
    let of_ours = |key: &String| key.replace('\\', "").contains("io.runsecrets") || key == ".*" || key == ".";
    match annotations {
        Some(annotations) if !annotations.is_empty() => annotations.keys().any(of_ours),
        _ => {
            when["always"] == true
                || when["hasBindMounts"] == true
                || when["commands"].as_array().is_some_and(|commands| !commands.is_empty())
        }
    }
}

#[cfg(test)]
#[path = "hooks_d_tests.rs"]
mod tests;
