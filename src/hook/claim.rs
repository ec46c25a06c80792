//! Which service a container is, by the operator's argument or by its annotation.

use crate::model::{CLAIM_ANNOTATION, Claim, ClaimRoute, SERVICE_ANNOTATION, ServiceName};
use crate::oci::{Config, State};

use super::error::HookError;

/// By which containerd and CRI-O say that a container is the sandbox of a pod.
const SANDBOX: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

/// The claim of a container, or none: then it gets nothing, and the agent is asked only if the hook was told to. The
/// sandbox of a pod has the pod's annotations, and is no container of it that would want secrets.
///
/// # Errors
/// The name cannot be a service's, or argument and annotation differ.
pub(super) fn claim(
    argument: Option<&(ServiceName, ClaimRoute)>,
    state: &State,
    config: Option<&Config>,
) -> Result<Option<Claim>, HookError> {
    let annotation = |key| annotation(key, state, config);
    let annotated = annotation(SERVICE_ANNOTATION)
        .filter(|_| !is_sandbox(state, config))
        .map(ServiceName::parse)
        .transpose()
        .map_err(HookError::Claim)?;
    let (service, route) = match (argument, annotated) {
        (None, None) => return Ok(None),
        (Some((argument, _)), Some(annotated)) if argument.folded() != annotated.folded() => {
            return Err(HookError::TwoClaims { argument: argument.to_string(), annotation: annotated.to_string() });
        }
        (Some((argument, route)), _) => (argument.clone(), *route),
        (None, Some(annotated)) => (annotated, ClaimRoute::Annotation),
    };
    Ok(Some(Claim { service, route, token: annotation(CLAIM_ANNOTATION).map(str::to_owned) }))
}

/// Whether the container is the sandbox of a pod.
pub(super) fn is_sandbox(state: &State, config: Option<&Config>) -> bool {
    SANDBOX.iter().any(|key| annotation(key, state, config) == Some("sandbox"))
}

/// The runtime's word goes before config.json.
fn annotation<'a>(key: &str, state: &'a State, config: Option<&'a Config>) -> Option<&'a str> {
    let configured = || config.and_then(|config| config.annotations.get(key));
    state.annotations.get(key).or_else(configured).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(argument: Option<&str>, annotations: &str) -> Result<Option<Claim>, HookError> {
        let state = State::parse(format!(r#"{{"id":"c","annotations":{annotations}}}"#).as_bytes()).unwrap();
        let argument = argument.map(|name| (ServiceName::parse(name).unwrap(), ClaimRoute::Argument));
        claim(argument.as_ref(), &state, None)
    }

    #[test]
    fn nothing_said_is_no_claim() {
        assert_eq!(claimed(None, "{}").unwrap(), None);
        assert_eq!(claimed(None, r#"{"other":"x"}"#).unwrap(), None);
    }

    #[test]
    fn the_operators_argument_is_worth_more() {
        let claim = claimed(Some("web"), r#"{"io.runsecrets.service":"web"}"#).unwrap().unwrap();
        assert_eq!(claim.route, ClaimRoute::Argument);
        let claim = claimed(None, r#"{"io.runsecrets.service":"web","io.runsecrets.claim":"t"}"#).unwrap().unwrap();
        assert_eq!((claim.route, claim.token.as_deref()), (ClaimRoute::Annotation, Some("t")));
    }

    #[test]
    fn the_sandbox_of_a_pod_claims_nothing_by_the_pods_annotation() {
        let sandbox = r#"{"io.runsecrets.service":"web","io.kubernetes.cri.container-type":"sandbox"}"#;
        assert_eq!(claimed(None, sandbox).unwrap(), None);
        assert_eq!(claimed(None, &sandbox.replace("sandbox", "container")).unwrap().unwrap().service.as_str(), "web");
        assert!(claimed(Some("web"), sandbox).unwrap().is_some(), "an annotation takes nothing from the operator");
    }

    #[test]
    fn two_services_and_impossible_ones_are_refused() {
        assert!(matches!(claimed(Some("a"), r#"{"io.runsecrets.service":"b"}"#), Err(HookError::TwoClaims { .. })));
        assert!(matches!(claimed(None, r#"{"io.runsecrets.service":"../b"}"#), Err(HookError::Claim(_))));
    }

    #[test]
    fn config_json_is_asked_where_the_state_says_nothing() {
        let state = State::parse(br#"{"id":"c"}"#).unwrap();
        let config = Config::parse(br#"{"annotations":{"io.runsecrets.service":"web"}}"#).unwrap();
        assert!(claim(None, &state, Some(&config)).unwrap().is_some());
    }
}
