//! CDI files: whether ours are as engines take them, name a hook that is there, and have a device for each service.
//!
//! Source: Container Device Interface specification 1.1.0; `pkg/cdi` reads /etc/cdi, then /var/run/cdi, and of two files
//! with one device the second directory's wins, while two in one directory refuse it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::programs::{self, below};
use crate::finding::{Finding, Known};
use crate::model::RUN_DIR;

const SUBJECT: &str = "cdi";
/// The directories that engines read where nothing else is set.
const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];
/// What our devices are.
const KIND: &str = "runsecrets.io/service";
/// The most bytes of such a file: thousands of services.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A file of ours.
#[derive(Debug)]
struct Specification {
    file: PathBuf,
    directory: &'static str,
    devices: Vec<Device>,
}

/// A device of it, as far as it is judged.
#[derive(Debug)]
struct Device {
    name: String,
    hooks: Vec<Hook>,
}

#[derive(Debug)]
struct Hook {
    stage: String,
    program: PathBuf,
    arguments: Vec<String>,
}

/// Checks the files of both directories.
pub(super) fn check(known: &Known) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ours = Vec::new();
    for directory in DIRECTORIES {
        for file in files(&known.root, directory, &mut findings) {
            match read(&known.root, directory, &file) {
                Ok(Some(specification)) => ours.push(specification),
                Ok(None) => {}
                Err(finding) => findings.push(finding),
            }
        }
    }
    for specification in &ours {
        findings.extend(judge(specification, known));
    }
    findings.extend(twice(&ours));
    if !ours.is_empty() {
        findings.extend(missing(&ours, known));
    }
    findings
}

/// The files of `directory` that engines read. A directory that is not there is none.
fn files(root: &Path, directory: &str, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let listing = match std::fs::read_dir(below(root, Path::new(directory))) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            findings.push(Finding::unchecked(SUBJECT, format!("{directory}: {error}")));
            return Vec::new();
        }
    };
    let names = listing.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())));
    let is_read = |name: &PathBuf| name.extension().is_some_and(|end| end == "json" || end == "yaml");
    let mut files: Vec<PathBuf> = names.filter(is_read).map(|name| Path::new(directory).join(name)).collect();
    files.sort();
    files
}

/// The file as one of ours; none if it is another's.
fn read(root: &Path, directory: &'static str, file: &Path) -> Result<Option<Specification>, Finding> {
    let (place, shown) = (below(root, file), file.display());
    let text = match std::fs::metadata(&place) {
        // A pipe would not end.
        Ok(found) if !found.is_file() || found.len() > MAX_FILE => return Ok(None),
        _ => std::fs::read(&place).map_err(|error| Finding::unchecked(SUBJECT, format!("{shown}: {error}")))?,
    };
    let named_ours = file.to_string_lossy().contains("runsecrets");
    match serde_json::from_slice::<Value>(&text) {
        Ok(value) if value["kind"] == KIND => {
            let devices = value["devices"].as_array().into_iter().flatten().map(device).collect();
            Ok(Some(Specification { file: file.to_owned(), directory, devices }))
        }
        Ok(_) => Ok(None),
        Err(error) if named_ours && file.extension().is_some_and(|end| end == "json") => Err(Finding::error(
            SUBJECT,
            format!("{shown} is no JSON ({error}): engines pass it over and refuse its devices"),
            again(file),
        )),
        Err(_) if String::from_utf8_lossy(&text).contains(KIND) => Err(Finding::unchecked(
            SUBJECT,
            format!("{shown} has devices of ours and is no JSON, which is all that is read here"),
        )),
        Err(_) => Ok(None),
    }
}

fn again(file: &Path) -> String {
    format!("runsecrets cdi generate --output {}", file.display())
}

fn device(value: &Value) -> Device {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hook = |value: &Value| Hook {
        stage: text(&value["hookName"]),
        program: text(&value["path"]).into(),
        arguments: value["args"].as_array().into_iter().flatten().map(text).collect(),
    };
    let hooks = value["containerEdits"]["hooks"].as_array().into_iter().flatten().map(hook).collect();
    Device { name: text(&value["name"]), hooks }
}

/// What one file says.
fn judge(specification: &Specification, known: &Known) -> Vec<Finding> {
    let Specification { file, devices, .. } = specification;
    let (shown, mut findings) = (file.display(), Vec::new());
    let place = below(&known.root, file);
    if let Some(fault) = std::fs::metadata(&place).ok().and_then(|found| programs::roots_alone(&place, &found)) {
        findings.push(fault.finding(SUBJECT, &format!("{shown}, by which root runs hooks,"), ""));
    }
    let programs: BTreeSet<&Path> =
        devices.iter().flat_map(|device| &device.hooks).map(|hook| &*hook.program).collect();
    for program in programs {
        if let Some(fault) = programs::program(&known.root, program) {
            let about = format!("{shown}: the hook {}", program.display());
            findings.push(fault.finding(SUBJECT, &about, ": no container with a device of it starts"));
        }
    }
    let faulty: Vec<&str> =
        devices.iter().filter(|device| !is_whole(device)).map(|device| device.name.as_str()).collect();
    if !faulty.is_empty() {
        let text =
            format!("{shown}: not made by us: a hook is missing, or names another service, for {}", listed(&faulty));
        findings.push(Finding::error(SUBJECT, text, again(file)));
    }
    let elsewhere = devices.iter().flat_map(|device| &device.hooks).map(run_dir).find(|told| *told != known.run_dir);
    if let Some(told) = elsewhere {
        let text = format!(
            "{shown} asks the agent of {}, and this is about the one of {}",
            told.display(),
            known.run_dir.display()
        );
        findings.push(Finding::warning(SUBJECT, text, "generate it again with --run-dir, or call doctor with it"));
    }
    if let Some(services) = &known.services {
        let gone = devices.iter().map(|device| device.name.as_str()).filter(|name| !services.iter().any(|s| s == name));
        let gone: Vec<&str> = gone.collect();
        if !gone.is_empty() {
            let text = format!(
                "{shown} has devices of services that are gone, which refuse their containers: {}",
                listed(&gone)
            );
            findings.push(Finding::warning(SUBJECT, text, again(file)));
        }
    }
    if findings.is_empty() {
        let count = devices.len();
        findings.push(Finding::ok(SUBJECT, format!("{shown} has {count} device{}", if count == 1 { "" } else { "s" })));
    }
    findings
}

/// Whether a device has both hooks, and both name its service.
fn is_whole(device: &Device) -> bool {
    let names = |hook: &Hook| hook.arguments.windows(2).any(|pair| pair[0] == "--service" && pair[1] == device.name);
    ["createRuntime", "poststop"]
        .iter()
        .all(|stage| device.hooks.iter().any(|hook| hook.stage == *stage && names(hook)))
}

fn run_dir(hook: &Hook) -> &Path {
    let told = hook.arguments.windows(2).find(|pair| pair[0] == "--run-dir");
    Path::new(told.map_or(RUN_DIR, |pair| pair[1].as_str()))
}

/// Devices that two files of one directory have.
fn twice(ours: &[Specification]) -> Vec<Finding> {
    let mut places: BTreeMap<(&str, &str), BTreeSet<&Path>> = BTreeMap::new();
    for specification in ours {
        for device in &specification.devices {
            places.entry((specification.directory, &device.name)).or_default().insert(&specification.file);
        }
    }
    let files: BTreeSet<&BTreeSet<&Path>> = places.values().filter(|files| files.len() > 1).collect();
    let text = |files: &&BTreeSet<&Path>| {
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        format!("{} have the same devices: engines refuse them", names.join(" and "))
    };
    files.iter().map(|files| Finding::error(SUBJECT, text(files), "keep one of them")).collect()
}

/// Services that have no device in any file.
fn missing(ours: &[Specification], known: &Known) -> Option<Finding> {
    let Some(services) = &known.services else {
        let text = "whether each service has a device: the agent does not tell its services";
        return Some(Finding::unchecked(SUBJECT, text));
    };
    let has = |service: &&String| ours.iter().flat_map(|file| &file.devices).any(|device| device.name == **service);
    let missing: Vec<&str> = services.iter().filter(|service| !has(service)).map(String::as_str).collect();
    let text = format!("is older than the services: no device for {}, so engines refuse it", listed(&missing));
    let file = &ours.last()?.file;
    (!missing.is_empty()).then(|| Finding::warning(SUBJECT, format!("{} {text}", file.display()), again(file)))
}

/// At most five names.
fn listed(names: &[&str]) -> String {
    match names.get(..5) {
        Some(first) if names.len() > 5 => format!("{} and {} more", first.join(", "), names.len() - 5),
        _ => names.join(", "),
    }
}

#[cfg(test)]
#[path = "cdi_tests.rs"]
mod tests;
