//! What is added to a container that claims a service: our hooks, as config.json would have them, and its claim token.
//! Pure. Names and tokens come from the pod's author, who is not the operator: a service that not every pod may have asks
//! for a token.

use std::collections::HashMap;

use super::error::Refusal;
use super::message::{Container, ContainerAdjustment, Hook, Hooks, OptionalInt, PodSandbox};
use crate::model::{
    CLAIM_ANNOTATION, HOOK_ENVIRONMENT, HOOK_TIMEOUT, HookStage, SERVICE_ANNOTATION, ServiceName, escaped,
};

/// How the hook is called on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wiring {
    /// The hook's binary, absolute.
    pub(super) hook: String,
    /// More arguments of it.
    pub(super) arguments: Vec<String>,
}

impl Wiring {
    /// What a container needs to get its service's secrets; nothing where it claims none.
    ///
    /// A container that has our hook already (from its runtime class' base specification) gets only the annotations that
    /// the hook looks for.
    ///
    /// # Errors
    /// The claim names what can be no service: the container must not start.
    pub(super) fn adjustment(
        &self,
        pod: &PodSandbox,
        container: &Container,
    ) -> Result<Option<ContainerAdjustment>, Refusal> {
        let Some(service) = service(pod, container)? else { return Ok(None) };
        let hooked = self.hooked(container.hooks.as_ref());
        let mut annotations = HashMap::new();
        // What is there already is not ours: a runtime refuses two plugins that set one annotation.
        let mut annotate = |key: &str, value: &str| {
            if container.annotations.get(key).is_none_or(|present| present != value) {
                annotations.insert(key.to_owned(), value.to_owned());
            }
        };
        // An annotation that says something else than the hook's argument would be refused by the hook.
        if hooked || container.annotations.contains_key(SERVICE_ANNOTATION) {
            annotate(SERVICE_ANNOTATION, service.as_str());
        }
        if let Some((_, token)) = annotation(CLAIM_ANNOTATION, pod, container) {
            annotate(CLAIM_ANNOTATION, token);
        }
        let hooks = if hooked { None } else { Some(self.hooks(&service)) };
        Ok(Some(ContainerAdjustment { annotations, hooks }))
    }

    /// The service that a container claims although none of these hooks is ours.
    ///
    /// # Errors
    /// As [`Wiring::adjustment`].
    pub(super) fn unmet(
        &self,
        pod: &PodSandbox,
        container: &Container,
        hooks: [Option<&Hooks>; 2],
    ) -> Result<Option<ServiceName>, Refusal> {
        let met = hooks.iter().any(|hooks| self.hooked(*hooks));
        service(pod, container).map(|service| service.filter(|_| !met))
    }

    /// Whether our hook is among these, at a stage at which it delivers.
    fn hooked(&self, hooks: Option<&Hooks>) -> bool {
        let stages = hooks.map(|hooks| [&hooks.create_runtime, &hooks.prestart]);
        stages.into_iter().flatten().flatten().any(|hook| hook.path == self.hook)
    }

    fn hooks(&self, service: &ServiceName) -> Hooks {
        let arguments = self.arguments.iter().map(String::as_str);
        let told: Vec<&str> = ["--service", service.as_str()].into_iter().chain(arguments).collect();
        let entry = |stage: HookStage| Hook {
            path: self.hook.clone(),
            args: stage.arguments(&told).into_iter().map(str::to_owned).collect(),
            env: vec![HOOK_ENVIRONMENT.to_owned()],
            timeout: Some(OptionalInt { value: HOOK_TIMEOUT.into() }),
        };
        Hooks {
            prestart: Vec::new(),
            create_runtime: vec![entry(HookStage::CreateRuntime)],
            poststop: vec![entry(HookStage::Poststop)],
        }
    }
}

/// The service that a container claims.
fn service(pod: &PodSandbox, container: &Container) -> Result<Option<ServiceName>, Refusal> {
    let Some((key, name)) = annotation(SERVICE_ANNOTATION, pod, container) else { return Ok(None) };
    let refusal = |cause| Refusal { container: named(pod, container), annotation: escaped(&key), cause };
    ServiceName::parse(name).map(Some).map_err(refusal)
}

/// The value of an annotation for a container, and the key that has it: `KEY/CONTAINER` of the pod, else `KEY` of the
/// container, else `KEY` of the pod.
fn annotation<'a>(key: &str, pod: &'a PodSandbox, container: &'a Container) -> Option<(String, &'a str)> {
    let own = format!("{key}/{}", container.name);
    let places = [(&pod.annotations, own.as_str()), (&container.annotations, key), (&pod.annotations, key)];
    places.into_iter().find_map(|(annotations, key)| Some((key.to_owned(), annotations.get(key)?.as_str())))
}

/// A container's name for people.
pub(super) fn named(pod: &PodSandbox, container: &Container) -> String {
    format!("container {} of pod {}/{}", escaped(&container.name), escaped(&pod.namespace), escaped(&pod.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiring() -> Wiring {
        Wiring { hook: "/h".to_owned(), arguments: vec!["--run-dir".to_owned(), "/r".to_owned()] }
    }

    fn pairs(of: &[(&str, &str)]) -> HashMap<String, String> {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn pod(annotations: &[(&str, &str)]) -> PodSandbox {
        let (id, name, namespace) = ("p1".to_owned(), "p".to_owned(), "shop".to_owned());
        PodSandbox { id, name, namespace, annotations: pairs(annotations) }
    }

    fn container(annotations: &[(&str, &str)]) -> Container {
        Container { id: "c1".into(), name: "app".into(), annotations: pairs(annotations), ..Container::default() }
    }

    fn claimed(pod_says: &[(&str, &str)], container_says: &[(&str, &str)]) -> Option<String> {
        service(&pod(pod_says), &container(container_says)).unwrap().map(String::from)
    }

    #[test]
    fn a_container_that_claims_a_service_gets_both_hooks() {
        let adjustment = wiring().adjustment(&pod(&[(SERVICE_ANNOTATION, "web")]), &container(&[])).unwrap().unwrap();
        assert_eq!(adjustment.annotations, HashMap::new());
        let hooks = adjustment.hooks.unwrap();
        let [create, stop] = [&hooks.create_runtime[0], &hooks.poststop[0]];
        assert_eq!(create.args, ["runsecrets-hook", "create-runtime", "--service", "web", "--run-dir", "/r"]);
        assert_eq!(stop.args, ["runsecrets-hook", "poststop", "--service", "web", "--run-dir", "/r"]);
        for hook in [create, stop] {
            assert_eq!((hook.path.as_str(), hook.env[0].as_str()), ("/h", "PATH=/usr/sbin:/usr/bin"));
            assert_eq!(hook.timeout, Some(OptionalInt { value: 60 }));
        }
    }

    #[test]
    fn a_container_that_claims_nothing_is_left_alone() {
        for annotations in [&[][..], &[("other", "web")], &[("io.runsecrets.service/sidecar", "web")]] {
            assert_eq!(wiring().adjustment(&pod(annotations), &container(&[])).unwrap(), None, "{annotations:?}");
        }
    }

    #[test]
    fn the_claim_for_one_container_wins() {
        let (all, own) = ((SERVICE_ANNOTATION, "all"), ("io.runsecrets.service/app", "own"));
        assert_eq!(claimed(&[all], &[]).unwrap(), "all");
        assert_eq!(claimed(&[all, own], &[]).unwrap(), "own");
        assert_eq!(claimed(&[all], &[(SERVICE_ANNOTATION, "its")]).unwrap(), "its");
        assert_eq!(claimed(&[own], &[(SERVICE_ANNOTATION, "its")]).unwrap(), "own");
        // What the hook would read in config.json says the same as its argument.
        let adjustment = wiring().adjustment(&pod(&[own]), &container(&[all])).unwrap().unwrap();
        assert_eq!(adjustment.annotations, pairs(&[(SERVICE_ANNOTATION, "own")]));
    }

    #[test]
    fn the_token_goes_along_with_a_claim_only() {
        let (service, token) = ((SERVICE_ANNOTATION, "web"), (CLAIM_ANNOTATION, "t"));
        let adjustment = wiring().adjustment(&pod(&[service, token]), &container(&[])).unwrap().unwrap();
        assert_eq!(adjustment.annotations, pairs(&[token]));
        let own = pod(&[service, token, ("io.runsecrets.claim/app", "own")]);
        let adjustment = wiring().adjustment(&own, &container(&[])).unwrap().unwrap();
        assert_eq!(adjustment.annotations, pairs(&[(CLAIM_ANNOTATION, "own")]));
        assert_eq!(wiring().adjustment(&pod(&[token]), &container(&[])).unwrap(), None);
    }

    #[test]
    fn a_second_plugin_has_nothing_to_add() {
        let (service, token) = ((SERVICE_ANNOTATION, "web"), (CLAIM_ANNOTATION, "t"));
        let pod = pod(&[service, token]);
        let first = wiring().adjustment(&pod, &container(&[service])).unwrap().unwrap();
        assert_eq!(first.annotations, pairs(&[token]));
        let after = Container { hooks: first.hooks, ..container(&[service, token]) };
        let second = wiring().adjustment(&pod, &after).unwrap().unwrap();
        assert_eq!(second, ContainerAdjustment::default());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "../x", "a b", &"x".repeat(64)] {
            let refusal = wiring().adjustment(&pod(&[(SERVICE_ANNOTATION, name)]), &container(&[])).unwrap_err();
            let words = refusal.to_string();
            assert!(words.starts_with("container app of pod shop/p claims a service by its annotation io."), "{words}");
        }
    }

    #[test]
    fn a_hook_that_is_there_is_not_added_again_and_is_told_the_service() {
        let ours = Hook { path: "/h".to_owned(), ..Hook::default() };
        let base = Hooks { create_runtime: vec![ours], ..Hooks::default() };
        let hooked = Container { hooks: Some(base.clone()), ..container(&[]) };
        let claiming = pod(&[(SERVICE_ANNOTATION, "web")]);
        let adjustment = wiring().adjustment(&claiming, &hooked).unwrap().unwrap();
        assert_eq!(adjustment.hooks, None);
        assert_eq!(adjustment.annotations, pairs(&[(SERVICE_ANNOTATION, "web")]));
        assert_eq!(wiring().unmet(&claiming, &hooked, [None, Some(&base)]).unwrap(), None);
        let other = Hooks { poststop: base.create_runtime.clone(), ..Hooks::default() };
        let unmet = wiring().unmet(&claiming, &hooked, [None, Some(&other)]).unwrap();
        assert_eq!(unmet.unwrap().as_str(), "web");
        assert_eq!(wiring().unmet(&pod(&[]), &hooked, [None, None]).unwrap(), None);
    }
}
