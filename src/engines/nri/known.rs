//! The containers that were there before the plugin: a runtime tells of them in parts when the plugin connects. Of those
//! that claim a service and were made without our hooks, somebody should hear.

use super::adjust::{Wiring, named};
use super::message::{Container, PodSandbox, STOPPED, SynchronizeRequest};

/// The most pods, and the most containers, that are kept while parts are to come; of more, nothing is said.
const MAX_KNOWN: usize = 16 * 1024;

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Known {
    pods: Vec<PodSandbox>,
    containers: Vec<Container>,
}

impl Known {
    /// Takes in a part; with the last one, what is to be said of the containers.
    pub(super) fn add(&mut self, part: SynchronizeRequest, wiring: &Wiring) -> Vec<String> {
        let room = |kept: usize| MAX_KNOWN.saturating_sub(kept);
        self.pods.extend(part.pods.into_iter().take(room(self.pods.len())));
        let alive = part.containers.into_iter().filter(|container| container.state != STOPPED);
        self.containers.extend(alive.take(room(self.containers.len())));
        if part.more {
            return Vec::new();
        }
        let Self { pods, containers } = std::mem::take(self);
        let pods: std::collections::HashMap<_, _> = pods.iter().map(|pod| (&pod.id, pod)).collect();
        let warning = |container: &Container| {
            let pod = pods.get(&container.pod_sandbox_id)?;
            let service = wiring.unmet(pod, container, [container.hooks.as_ref(), None]).ok()??;
            Some(format!(
                "warning: {} claims service {service} and was created without this plugin: it has no secrets; recreate it",
                named(pod, container)
            ))
        };
        containers.iter().filter_map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Hook, Hooks};
    use super::*;

    fn pod(id: &str, annotations: &[(&str, &str)]) -> PodSandbox {
        let annotations = annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        PodSandbox { id: id.to_owned(), name: id.to_owned(), namespace: "shop".to_owned(), annotations }
    }

    fn container(name: &str, pod: &str) -> Container {
        Container { name: name.to_owned(), pod_sandbox_id: pod.to_owned(), ..Container::default() }
    }

    #[test]
    fn containers_without_what_they_claim_are_told_of_at_the_end() {
        let wiring = Wiring { hook: "/h".to_owned(), arguments: vec![] };
        let ours = Hook { path: "/h".to_owned(), ..Hook::default() };
        let hooks = Some(Hooks { create_runtime: vec![ours], ..Hooks::default() });
        let served = Container { hooks, ..container("served", "one") };
        let gone = Container { state: STOPPED, ..container("gone", "one") };
        let mut known = Known::default();
        let first = SynchronizeRequest {
            pods: vec![pod("one", &[("io.runsecrets.service", "web")])],
            containers: vec![served, gone, container("plain", "two")],
            more: true,
        };
        assert_eq!(known.add(first, &wiring), Vec::<String>::new());
        let bad = pod("bad", &[("io.runsecrets.service", "../x")]);
        let last = SynchronizeRequest {
            pods: vec![pod("two", &[]), bad],
            containers: vec![container("missed", "one"), container("strange", "bad"), container("lost", "none")],
            more: false,
        };
        let said = known.add(last, &wiring);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("warning: container missed of pod shop/one claims service web"), "{said:?}");
        assert!(known.pods.is_empty() && known.containers.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut known = Known::default();
        let wiring = Wiring { hook: "/h".to_owned(), arguments: vec![] };
        let pods = vec![pod("one", &[]); MAX_KNOWN + 1];
        known.add(
            SynchronizeRequest { pods, containers: vec![container("a", "one"); MAX_KNOWN + 1], more: true },
            &wiring,
        );
        known.add(SynchronizeRequest { pods: vec![pod("two", &[])], containers: vec![], more: true }, &wiring);
        assert_eq!((known.pods.len(), known.containers.len()), (MAX_KNOWN, MAX_KNOWN));
    }
}
