//! What a compose file asks for: which secrets, from where, and which services with which grants. Pure: no value is read
//! and nobody is asked.
//!
//! Source: Compose specification, "Secrets" and the `secrets` of a service; defaults and merging as docker compose has them.

use super::environment::Environment;
use super::error::ComposeError;
use super::reading::{Reading, Reference, entries, wrong};
use super::yaml::Node;
use crate::model::{Grant, Grants, Labels, SecretName, ServiceName};

/// The label that says which project made a secret or service.
pub(super) const PROJECT_LABEL: &str = "io.runsecrets.compose.project";
/// What a file asks for.
pub(super) struct Plan {
    /// The secrets that a service has, each once.
    pub(super) secrets: Vec<Declared>,
    /// The services that have secrets.
    pub(super) services: Vec<Claimant>,
}

/// A secret of the top level.
pub(super) struct Declared {
    /// Its name in the file.
    pub(super) key: String,
    /// Its name in the agent.
    pub(super) name: SecretName,
    /// Where its value comes from.
    pub(super) origin: Origin,
    /// Its labels, ours among them.
    pub(super) labels: Labels,
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file.
    File {
        /// As it stands in the compose file, for messages.
        shown: String,
        /// With its variables filled in.
        path: String,
    },
    /// A variable.
    Variable {
        /// As it stands in the compose file, for messages.
        shown: String,
        /// With its variables filled in.
        name: String,
    },
    /// The agent has it already.
    External,
}

/// A service of the file that has secrets.
pub(super) struct Claimant {
    /// Its name in the file.
    pub(super) key: String,
    /// Its name in the agent.
    pub(super) name: ServiceName,
    /// What it is granted, by the names in the agent.
    pub(super) grants: Grants,
    /// Its labels.
    pub(super) labels: Labels,
}

/// Reads the plan of `document` as the project `project`.
///
/// # Errors
/// [`ComposeError`] with the place in the file.
pub(super) fn plan(document: &Node, project: &str, environment: &Environment) -> Result<Plan, ComposeError> {
    let reading = Reading { project, environment };
    if document.get("include").is_some() {
        return Err(wrong("include", "is not followed; give the file that 'docker compose config' prints"));
    }
    let declared = entries(document.get("secrets"), "secrets")?;
    let (mut secrets, mut services) = (Vec::<Declared>::new(), Vec::<Claimant>::new());
    let all = entries(document.get("services"), "services")?;
    for entry in all {
        let wanted = reading.references(entry)?;
        if let Some(base) = reading.base(entry)?
            && let Some(base) = all.iter().find(|other| other.name() == base)
            && base.value.get("secrets").is_some()
        {
            let at = format!("services.{}.extends", entry.name());
            return Err(wrong(&at, "names a service with secrets; give the file that 'docker compose config' prints"));
        }
        if wanted.is_empty() {
            continue;
        }
        let mut grants: Vec<Grant> = Vec::new();
        for wanted in wanted {
            if !secrets.iter().any(|known| known.key == wanted.source) {
                let found = declared.iter().find(|entry| entry.name() == wanted.source);
                let undefined =
                    || ComposeError::Undefined { service: entry.name().to_owned(), secret: wanted.shown.clone() };
                secrets.push(reading.declared(found.ok_or_else(undefined)?)?);
            }
            let Some(secret) = secrets.iter().find(|known| known.key == wanted.source) else { continue };
            let Reference { target, uid, gid, mode, .. } = wanted;
            // Of two for one target the later one wins, as in Compose.
            grants.retain(|grant| grant.target != target);
            grants.push(Grant { source: secret.name.clone(), target, uid, gid, mode, until: None });
        }
        let claimant = reading.claimant(entry, grants)?;
        if services.iter().any(|other| other.name.folded() == claimant.name.folded()) {
            return Err(ComposeError::SameService { name: claimant.name.to_string() });
        }
        services.push(claimant);
    }
    one_name_each(&secrets)?;
    Ok(Plan { secrets, services })
}

/// Refuses two declarations of one name: which of two values were it?
fn one_name_each(secrets: &[Declared]) -> Result<(), ComposeError> {
    for (index, second) in secrets.iter().enumerate() {
        if secrets[..index].iter().any(|first| first.name.folded() == second.name.folded()) {
            return Err(wrong(&format!("secrets.{}", second.key), "has the name of another secret of the file"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
