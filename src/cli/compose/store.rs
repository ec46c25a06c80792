//! From a plan to the agent: secrets sealed, services made, both left alone where they are as they should be. One value at
//! a time is in this process, in locked memory.

use std::fs::File;
use std::path::Path;

use super::environment::Environment;
use super::error::ComposeError;
use super::plan::{Claimant, Declared, Origin, PROJECT_LABEL, Plan};
use super::project::Project;
use crate::cli::args::Filter;
use crate::cli::client::{Agent, encoded};
use crate::cli::error::CliError;
use crate::cli::input;
use crate::cli::object::query;
use crate::cli::report::Report;
use crate::cli::request::{Create, Update};
use crate::cli::template::Value;
use crate::cli::{secret, service, versions};
use crate::model::{Grant, Labels};
use crate::secret::SecretBytes;

/// A version that no object ever has: the agent compares the value first, and then refuses the update as out of sequence.
const NO_VERSION: i64 = 0;
/// The agent's words for a value that is not the stored one (Docker's own).
const OTHER_VALUE: &str = "only updates to Labels are allowed";
/// The agent's words for a version that is not the current one (Docker's own).
const OTHER_VERSION: &str = "update out of sequence";

/// Makes the agent have what `plan` of `project` asks for. Everything that can be refused is looked
/// at before anything is changed. A value that is not the stored one is refused unless `update` asks for it.
///
/// # Errors
/// [`ComposeError::NoExternal`], [`ComposeError::Foreign`], [`ComposeError::Changed`], [`ComposeError::Unset`], and what
/// reading and the agent say.
pub(super) fn store(
    plan: &Plan,
    project: &Project,
    update: bool,
    agent: &Agent,
    report: &mut Report,
) -> Result<(), CliError> {
    let source = Source { directory: &project.directory, environment: &project.environment };
    let project = project.name.as_str();
    let (mut missing, mut present, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for secret in &plan.secrets {
        let found = find(agent, "/secrets", "names", secret.name.as_str(), |found| spec(found).text_of("Name"))?;
        match (&secret.origin, found) {
            (Origin::External, None) => {
                return Err(ComposeError::NoExternal { name: secret.name.to_string() }.into());
            }
            (Origin::External, Some(_)) => {}
            (_, Some(found)) if !is_of(project, spec(&found), secret.name.as_str()) => {
                return Err(ComposeError::Foreign { kind: "secret", name: secret.name.to_string() }.into());
            }
            (_, Some(found)) => {
                let is_changed = !holds(agent, secret, &found, &source.value(secret)?)?;
                if is_changed {
                    changed.push(secret);
                }
                present.push((secret, found, is_changed));
            }
            (_, None) => {
                // What cannot be read is told before anything is stored.
                drop(source.value(secret)?);
                missing.push(secret);
            }
        }
    }
    if !changed.is_empty() && !update {
        let names = changed.iter().map(|secret| secret.name.to_string()).collect();
        return Err(ComposeError::Changed { names }.into());
    }
    let mut services = Vec::new();
    for claimant in &plan.services {
        let found =
            find(agent, "/runsecrets/v1/services", "name", claimant.name.as_str(), |found| found.text_of("Name"))?;
        if found.as_ref().is_some_and(|found| !is_of(project, found, claimant.name.as_str())) {
            return Err(ComposeError::Foreign { kind: "service", name: claimant.name.to_string() }.into());
        }
        services.push((claimant, found));
    }

    for secret in missing {
        create(agent, secret, source.value(secret)?)?;
        report.note(&format!("secret {}: stored", secret.name));
    }
    for (secret, found, is_changed) in present {
        let mut done = relabel(agent, secret, &found)?;
        if is_changed {
            versions::replace(agent, found.text_of("ID"), source.value(secret)?)?;
            done = "given its new value";
        }
        report.note(&format!("secret {}: {done}", secret.name));
    }
    for (claimant, found) in services {
        let done = match found {
            None => make(agent, claimant)?,
            Some(found) => grant(agent, claimant, &found)?,
        };
        report.note(&format!("service {}: {done}", claimant.name));
    }
    left_over(plan, project, agent, report)
}

/// Tells of what the project has made before and the file does not ask for any more: it is the user's to remove.
fn left_over(plan: &Plan, project: &str, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let filter = || Filter { name: "label".to_owned(), value: format!("{PROJECT_LABEL}={project}") };
    let list = |path: &str| match agent.get(&format!("{path}{}", query(&[filter()])))?.typed() {
        Value::List(found) => Ok(found),
        _ => Err(CliError::Answer { path: path.to_owned() }),
    };
    let mut note = |kind: &str, name: &str| {
        report.note(&format!("{kind} {name}: no longer in the file; remove it with: runsecrets {kind} rm {name}"));
    };
    for found in list("/runsecrets/v1/services")? {
        let name = found.text_of("Name");
        if !plan.services.iter().any(|claimant| claimant.name.as_str() == name) {
            note("service", name);
        }
    }
    for found in list("/secrets")? {
        let name = spec(&found).text_of("Name");
        if !plan.secrets.iter().any(|secret| secret.name.as_str() == name) {
            note("secret", name);
        }
    }
    Ok(())
}

/// Where values come from.
struct Source<'a> {
    directory: &'a Path,
    environment: &'a Environment,
}

impl Source<'_> {
    /// The value of a secret that is not external.
    fn value(&self, secret: &Declared) -> Result<SecretBytes, CliError> {
        match &secret.origin {
            Origin::File { shown, path } => input::read_from(File::open(self.directory.join(path)), shown),
            Origin::Variable { shown, name } => self
                .environment
                .value(name)?
                .ok_or_else(|| ComposeError::Unset { secret: secret.key.clone(), variable: shown.clone() }.into()),
            Origin::External => Err(ComposeError::NoExternal { name: secret.name.to_string() }.into()),
        }
    }
}

/// The object of exactly this name, without case.
fn find(
    agent: &Agent,
    path: &str,
    filter: &str,
    name: &str,
    name_of: impl Fn(&Value) -> &str,
) -> Result<Option<Value>, CliError> {
    let filter = Filter { name: filter.to_owned(), value: name.to_owned() };
    let answer = agent.get(&format!("{path}{}", query(&[filter])))?.typed();
    let Value::List(found) = answer else { return Err(CliError::Answer { path: path.to_owned() }) };
    Ok(found.into_iter().find(|found| name_of(found).eq_ignore_ascii_case(name)))
}

fn spec(secret: &Value) -> &Value {
    secret.field("Spec").unwrap_or(&Value::Nil)
}

fn labels(object: &Value) -> Vec<(&str, &str)> {
    let Some(Value::Map(labels)) = object.field("Labels") else { return Vec::new() };
    labels.iter().map(|(key, value)| (key.as_str(), if let Value::Text(text) = value { text } else { "" })).collect()
}

/// Whether `project` has made it, with this name.
fn is_of(project: &str, object: &Value, name: &str) -> bool {
    object.text_of("Name") == name && labels(object).contains(&(PROJECT_LABEL, project))
}

fn has_labels(object: &Value, wanted: &Labels) -> bool {
    labels(object).into_iter().eq(wanted.as_map().iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn body(secret: &Declared, value: Option<&SecretBytes>) -> Vec<u8> {
    let head = secret::Create { name: secret.name.as_str(), labels: &secret.labels, driver: None, templating: None };
    input::body_with_value(&serde_json::to_vec(&head).unwrap_or_default(), value)
}

/// Whether the agent has this value. Nothing is written: the version that is named is never the current one.
fn holds(agent: &Agent, secret: &Declared, found: &Value, value: &SecretBytes) -> Result<bool, CliError> {
    let path = update_path(found, NO_VERSION);
    match agent.post(&path, body(secret, Some(value))) {
        Err(CliError::Refused(words)) if words.contains(OTHER_VERSION) => Ok(true),
        Err(CliError::Refused(words)) if words.contains(OTHER_VALUE) => Ok(false),
        Err(error) => Err(error),
        Ok(_) => Err(CliError::Answer { path }),
    }
}

fn update_path(found: &Value, version: i64) -> String {
    format!("/secrets/{}/update?version={version}", encoded(found.text_of("ID")))
}

fn create(agent: &Agent, secret: &Declared, value: SecretBytes) -> Result<(), CliError> {
    let body = body(secret, Some(&value));
    drop(value);
    agent.post("/secrets/create", body).map(drop)
}

fn relabel(agent: &Agent, secret: &Declared, found: &Value) -> Result<&'static str, CliError> {
    if has_labels(spec(found), &secret.labels) {
        return Ok("unchanged");
    }
    let Some(Value::Int(index)) = found.field("Version").and_then(|version| version.field("Index")) else {
        return Err(CliError::Answer { path: "/secrets".to_owned() });
    };
    agent.post(&update_path(found, *index), body(secret, None))?;
    Ok("labels updated")
}

fn make(agent: &Agent, claimant: &Claimant) -> Result<&'static str, CliError> {
    let body = Create {
        name: claimant.name.as_str(),
        labels: &claimant.labels,
        secrets: claimant.grants.as_slice().iter().map(Into::into).collect(),
        selectors: &[],
        require_claim: false,
        credentials: false,
        notify: None,
        notify_command: None,
        users: &[],
    };
    agent.post("/runsecrets/v1/services/create", serde_json::to_vec(&body).unwrap_or_default())?;
    Ok("made")
}

/// Gives an existing service the grants that it should have, in one change.
fn grant(agent: &Agent, claimant: &Claimant, found: &Value) -> Result<&'static str, CliError> {
    let Some(Value::List(had)) = found.field("Secrets") else {
        return Err(CliError::Answer { path: service::SERVICES.to_owned() });
    };
    let wanted = claimant.grants.as_slice();
    let is_had = |grant: &&Grant| had.iter().any(|had| is_same(had, grant));
    let is_wanted = |had: &&Value| wanted.iter().any(|grant| is_same(had, grant));
    let mut revoked: Vec<String> =
        had.iter().filter(|had| !is_wanted(had)).map(|had| had.text_of("Source").to_owned()).collect();
    revoked.dedup();
    // A secret is revoked at all its places, so what it keeps is granted again.
    let again = |grant: &&Grant| !is_had(grant) || revoked.iter().any(|name| *name == grant.source.as_str());
    let granted: Vec<_> = wanted.iter().filter(again).map(Into::into).collect();
    if revoked.is_empty() && granted.is_empty() {
        return Ok("unchanged");
    }
    let body = Update {
        secret_add: granted,
        secret_rm: &revoked,
        label_add: claimant.labels.as_map(),
        label_rm: &[],
        match_add: &[],
        match_rm: &[],
        credentials: None,
        notify: None,
        notify_command: None,
        live: true,
        user_add: &[],
        user_rm: &[],
    };
    let path = format!("{}{}/update", service::SERVICES, encoded(found.text_of("ID")));
    versions::all_changed(&agent.post(&path, serde_json::to_vec(&body).unwrap_or_default())?)?;
    Ok("grants updated")
}

fn is_same(had: &Value, grant: &Grant) -> bool {
    had.text_of("Source").eq_ignore_ascii_case(grant.source.as_str())
        && had.text_of("Target") == grant.target.as_str()
        && had.text_of("UID") == grant.uid.to_string()
        && had.text_of("GID") == grant.gid.to_string()
        && had.text_of("Mode") == grant.mode.to_string()
}
