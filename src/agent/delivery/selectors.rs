//! The services' selectors against the annotations of a container that claims nothing. It believes an annotation on the
//! word of the engine that stamps it, and of no other.

use std::collections::BTreeMap;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::agent::catalog::Catalog;
use crate::model::{CLAIM_ANNOTATION, Claim, ClaimRoute, Engine, Selector, Service, ServiceName, escaped};

use super::DeliveryError;

/// Bytes of a compiled pattern, which also bound how long a match takes.
const MAX_COMPILED: usize = 256 * 1024;
/// The longest value that is looked at, in bytes: what engines stamp are names. A longer one matches nothing.
const MAX_VALUE: usize = 4096;
/// By which CRI-O and podman say that a container is theirs.
const MANAGER: &str = "io.container.manager";

/// The pattern of a selector is no regular expression, or one that is too large.
#[derive(Debug)]
pub struct PatternError {
    selector: String,
    cause: regex::Error,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = escaped(&self.selector);
        match &self.cause {
            regex::Error::CompiledTooBig(_) => {
                write!(f, "the regular expression of selector '{selector}' is too large; repeat less in it")
            }
            // The cause draws a picture over several lines: its last one says what is wrong.
            cause => {
                let text = cause.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                write!(f, "the regular expression of selector '{selector}' cannot be read: {}", escaped(reason))
            }
        }
    }
}

impl std::error::Error for PatternError {}

/// Whether every pattern among `selectors` can be used.
///
/// # Errors
/// The first that cannot.
pub fn check(selectors: &[Selector]) -> Result<(), PatternError> {
    selectors.iter().try_for_each(|selector| compiled(selector).map(drop))
}

/// The one service whose selectors a container with these annotations fulfils, as its claim. A token is no finding of
/// ours: it has to be among the annotations.
///
/// # Errors
/// [`DeliveryError::TwoSelected`] when there is more than one.
pub(super) fn claim(catalog: &Catalog, annotations: &BTreeMap<String, String>) -> Result<Option<Claim>, DeliveryError> {
    let mut found = selected(&catalog.services(), annotations)?;
    let Some(service) = found.pop() else { return Ok(None) };
    if !found.is_empty() {
        found.push(service);
        return Err(DeliveryError::TwoSelected(found));
    }
    let token = annotations.get(CLAIM_ANNOTATION).cloned();
    Ok(Some(Claim { service, route: ClaimRoute::Selector, token }))
}

/// The services that have selectors, all of which hold.
fn selected(services: &[Service], annotations: &BTreeMap<String, String>) -> Result<Vec<ServiceName>, PatternError> {
    let engine = engine(annotations);
    let mut found = Vec::new();
    for service in services.iter().filter(|service| !service.selectors.is_empty()) {
        if all_hold(service, engine, annotations)? {
            found.push(service.name.clone());
        }
    }
    Ok(found)
}

fn all_hold(
    service: &Service,
    engine: Option<Engine>,
    annotations: &BTreeMap<String, String>,
) -> Result<bool, PatternError> {
    for selector in service.selectors.as_slice() {
        let believed = selector.stamper().is_none() || selector.stamper() == engine;
        let value = annotations.get(selector.key()).filter(|value| believed && value.len() <= MAX_VALUE);
        let Some(value) = value else { return Ok(false) };
        let fits = if is_literal(selector.pattern()) {
            value == selector.pattern()
        } else {
            compiled(selector)?.is_match(value.as_bytes())
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which engine has stamped these annotations on a container of a pod; the sandbox of a pod is none. Marks of two engines
/// are nobody's: CRI-O passes the annotations of a pod on, containerd those that its configuration names, and each sets
/// its own over them, but not the other's.
fn engine(annotations: &BTreeMap<String, String>) -> Option<Engine> {
    let value = |key: &str| annotations.get(key).map(String::as_str);
    match (value(MANAGER), value("io.kubernetes.cri.container-type"), value("io.kubernetes.cri-o.ContainerType")) {
        (None, Some("container"), None) => Some(Engine::Containerd),
        (Some("cri-o"), None, Some("container")) => Some(Engine::CriO),
        _ => None,
    }
}

/// Whether a pattern has only characters that stand for themselves: most are a name, and are not worth compiling.
fn is_literal(pattern: &str) -> bool {
    pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/:".contains(&byte))
}

/// The pattern, for a whole value. Bytes are compared; `\w` and its like are ASCII, as in what engines stamp.
fn compiled(selector: &Selector) -> Result<Regex, PatternError> {
    let build = |pattern: &str| RegexBuilder::new(pattern).unicode(false).size_limit(MAX_COMPILED).build();
    let pattern = selector.pattern();
    // By itself first: what is no expression alone could be one inside of our parentheses.
    let whole = build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z")));
    whole.map_err(|cause| PatternError { selector: selector.to_string(), cause })
}

#[cfg(test)]
#[path = "selectors_tests.rs"]
mod tests;
