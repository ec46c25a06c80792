//! The adjusted file: the secrets are gone from it and each container that had some claims its service. Everything else
//! stays. Pure.

use super::error::ComposeError;
use super::plan::Claimant;
use super::yaml::{Entry, Kind, Node};
use crate::cdi::KIND;
use crate::model::SERVICE_ANNOTATION;

/// The variable of the claim in the environment.
const VARIABLE: &str = "RUNSECRETS_SERVICE";

/// How a container says which service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Claim {
    /// A CDI device: podman; Docker from 25 (28.3 without a setting) with docker compose from 2.30
    Device,
    /// An annotation, and the runtime `runsecrets`: Docker from 24 with docker compose 2
    Annotation,
    /// A variable, and the runtime `runsecrets-env`: any Docker
    RuntimeEnv,
}

impl Claim {
    /// The runtime of the engine that this way needs.
    pub(super) fn runtime(self) -> Option<&'static str> {
        match self {
            Self::Device => None,
            Self::Annotation => Some("runsecrets"),
            Self::RuntimeEnv => Some("runsecrets-env"),
        }
    }
}

/// Changes `documents`, which say `whole` together, so that each of `services` claims itself in the way `claim`, under the
/// runtime `runtime`. It does so in the last one that has it: no other takes that back.
///
/// # Errors
/// [`ComposeError::Wrong`] where a file says already what would be added.
pub(super) fn adjust_all(
    documents: &mut [&mut Node],
    whole: &Node,
    services: &[Claimant],
    claim: Claim,
    runtime: Option<&str>,
) -> Result<(), ComposeError> {
    let built = built(whole);
    let mut left: Vec<&Claimant> = services.iter().collect();
    // What one of them says may be in the way of what is added to another.
    adjust(&mut whole.clone(), &built, &left, claim, runtime)?;
    for document in documents.iter_mut().rev() {
        let has = |claimant: &&Claimant| {
            let service = document.get("services").and_then(|all| all.get(&claimant.key));
            service.is_some_and(|service| matches!(service.kind, Kind::Mapping(_)))
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = left.into_iter().partition(has);
        adjust(document, &built, &here, claim, runtime)?;
        left = elsewhere;
    }
    Ok(())
}

fn adjust(
    document: &mut Node,
    built: &[String],
    services: &[&Claimant],
    claim: Claim,
    runtime: Option<&str>,
) -> Result<(), ComposeError> {
    keep_for_builds(document, built);
    let Some(Kind::Mapping(all)) = document.get_mut("services").map(|services| &mut services.kind) else {
        return Ok(());
    };
    for Entry { key, value: service } in all {
        service.remove("secrets");
        let Some(claimant) = services.iter().find(|claimant| Some(claimant.key.as_str()) == key.text()) else {
            continue;
        };
        let name = claimant.name.as_str();
        let at = |field: &str| format!("services.{}.{field}", claimant.key);
        match claim {
            Claim::Device => add_device(service, name, &at("devices"))?,
            Claim::Annotation => add_pair(service, "annotations", SERVICE_ANNOTATION, name, &at("annotations"))?,
            Claim::RuntimeEnv => add_pair(service, "environment", VARIABLE, name, &at("environment"))?,
        }
        if let Some(runtime) = runtime {
            set_runtime(service, runtime, &at("runtime"))?;
        }
    }
    Ok(())
}

/// The secrets that an image's build mounts.
fn built(document: &Node) -> Vec<String> {
    let services = document.get("services").and_then(Node::entries).unwrap_or_default();
    let lists = services.iter().filter_map(|entry| entry.value.get("build")?.get("secrets")?.items());
    let source = |item: &Node| item.text().or_else(|| item.get("source")?.text()).map(str::to_owned);
    lists.flatten().filter_map(source).collect()
}

/// Leaves of the top-level secrets those that an image's build mounts: that is the builder's own work.
fn keep_for_builds(document: &mut Node, built: &[String]) {
    if let Some(Kind::Mapping(secrets)) = document.get_mut("secrets").map(|secrets| &mut secrets.kind) {
        secrets.retain(|entry| built.iter().any(|name| name == entry.name()));
    }
    if document.get("secrets").and_then(Node::entries).is_some_and(<[Entry]>::is_empty) {
        document.remove("secrets");
    }
}

fn add_device(service: &mut Node, name: &str, at: &str) -> Result<(), ComposeError> {
    let device = Node::quoted(&format!("{KIND}={name}"));
    let list = field(service, "devices", at, Kind::Sequence(Vec::new()))?;
    let Kind::Sequence(items) = &mut list.kind else { return Err(wrong(at, "is not a list")) };
    if items.iter().any(|item| item.text().is_some_and(|text| text.starts_with(KIND))) {
        return Err(wrong(at, "names a service of runsecrets already; remove it, it is added again"));
    }
    items.push(device);
    Ok(())
}

/// Adds a key and its value to a field that is a mapping or a list of `key=value`.
fn add_pair(service: &mut Node, name: &str, key: &str, value: &str, at: &str) -> Result<(), ComposeError> {
    let already = || wrong(at, "says already which service this is; remove it, it is added again");
    let pairs = field(service, name, at, Kind::Mapping(Vec::new()))?;
    match &mut pairs.kind {
        Kind::Mapping(entries) if entries.iter().any(|entry| entry.name() == key) => Err(already()),
        Kind::Mapping(entries) => {
            entries.push(Entry::new(key, Node::quoted(value)));
            Ok(())
        }
        Kind::Sequence(items) => {
            let is_key = |item: &Node| item.text().is_some_and(|text| text.split('=').next() == Some(key));
            if items.iter().any(is_key) {
                return Err(already());
            }
            items.push(Node::quoted(&format!("{key}={value}")));
            Ok(())
        }
        Kind::Scalar(..) => Err(wrong(at, "is neither a mapping nor a list")),
    }
}

fn set_runtime(service: &mut Node, runtime: &str, at: &str) -> Result<(), ComposeError> {
    match service.get("runtime") {
        Some(own) if own.is_null() => service.remove("runtime"),
        Some(own) if own.text() == Some(runtime) => return Ok(()),
        Some(_) => return Err(wrong(at, "is another runtime; use --claim device, or --runtime '' if it calls ours")),
        None => {}
    }
    service.push("runtime", Node::quoted(runtime));
    Ok(())
}

/// A field of a service; what `empty` makes, where it is missing or nothing.
fn field<'n>(service: &'n mut Node, name: &str, at: &str, empty: Kind) -> Result<&'n mut Node, ComposeError> {
    if service.get(name).is_some_and(|found| found.tag.as_deref() == Some("!reset")) {
        return Err(wrong(at, "is reset here, and so would be what is added; write '!override []' in its place"));
    } else if service.get(name).is_none() {
        service.push(name, Node::of(empty));
    } else if let Some(found) = service.get_mut(name).filter(|found| found.is_null()) {
        found.kind = empty;
    }
    service.get_mut(name).ok_or_else(|| wrong(at, "stands in what is not a mapping"))
}

fn wrong(at: &str, what: &'static str) -> ComposeError {
    ComposeError::Wrong { at: at.to_owned(), what }
}

#[cfg(test)]
#[path = "adjust_tests.rs"]
mod tests;
