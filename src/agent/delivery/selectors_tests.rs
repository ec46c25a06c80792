//! Selectors against annotations as engines stamp them, and as others forge them.

use super::*;
use crate::model::{Grants, ID_ENTROPY, Id, Labels, Selectors, Timestamp};

const NAMESPACE: &str = "io.kubernetes.cri.sandbox-namespace";
const NAME: &str = "io.kubernetes.cri.container-name";
/// What containerd stamps on a container.
const CONTAINERD: [(&str, &str); 3] =
    [("io.kubernetes.cri.container-type", "container"), (NAMESPACE, "shop"), (NAME, "web")];
/// What CRI-O stamps on a container, with kubelet's labels.
const CRIO: [(&str, &str); 4] = [
    ("io.container.manager", "cri-o"),
    ("io.kubernetes.cri-o.ContainerType", "container"),
    ("io.kubernetes.pod.namespace", "shop"),
    ("io.kubernetes.container.name", "web"),
];

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

fn service(name: &str, selectors: &[&str]) -> Service {
    let selectors = selectors.iter().map(|text| selector(text)).collect::<Vec<_>>();
    Service {
        id: Id::from_entropy([7; ID_ENTROPY]),
        name: ServiceName::parse(name).unwrap(),
        labels: Labels::default(),
        grants: Grants::default(),
        selectors: Selectors::try_from(selectors).unwrap(),
        require_claim: None,
        credentials: false,
        notify: None,
        notify_command: None,
        users: Default::default(),
        created: Timestamp(1),
        updated: Timestamp(1),
        index: 1,
    }
}

fn found(selectors: &[&str], annotations: &[(&str, &str)]) -> bool {
    let annotations = annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    !selected(&[service("web", selectors)], &annotations).unwrap().is_empty()
}

fn with<'a>(annotations: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [annotations, more].concat()
}

#[test]
fn all_selectors_of_a_service_hold_or_it_is_not_found() {
    let [in_shop, web] = [format!("{NAMESPACE}=shop"), format!("{NAME}=w.b")];
    assert!(found(&[&in_shop], &CONTAINERD) && found(&[&in_shop, &web], &CONTAINERD));
    assert!(!found(&[&in_shop, &format!("{NAME}=api")], &CONTAINERD));
    assert!(!found(&[&in_shop, "io.kubernetes.cri.image-name=.*"], &CONTAINERD), "it has no such annotation");
    assert!(!found(&[&format!("{NAME}=web"), &format!("{NAME}=web2?"), &format!("{NAME}=x")], &CONTAINERD));
    assert!(!found(&[], &CONTAINERD), "a service without selectors");
}

#[test]
fn a_pattern_is_for_the_whole_value() {
    for pattern in ["shop", "sh.p", "(?i)SHOP", "s.*", "shop|other", "other|shop", r"\w+", "[^a]{4}"] {
        assert!(found(&[&format!("{NAMESPACE}={pattern}")], &CONTAINERD), "{pattern}");
    }
    for pattern in ["sho", "hop", "s", "sho|hop", "", "shop\\b.", "SHOP", "(?m)^shop$x?y"] {
        let text = format!("{NAMESPACE}={pattern}");
        assert!(Selector::parse(&text).is_err() || !found(&[&text], &CONTAINERD), "{pattern}");
    }
    let two_lines = [CONTAINERD[0], (NAMESPACE, "x\nshop")];
    assert!(
        !found(&[&format!("{NAMESPACE}=(?m)^shop$")], &two_lines)
            && !found(&[&format!("{NAMESPACE}=.*shop")], &two_lines)
    );
}

#[test]
fn what_is_no_pattern_is_refused_in_one_line() {
    for pattern in ["(", "a)|(b", "[z-a]", "(?x)a#", r"\p{Greek}", "a{1000}{1000}", "*"] {
        let words = check(&[selector(&format!("{NAME}={pattern}"))]).unwrap_err().to_string();
        assert!(words.contains("regular expression") && !words.contains('\n') && words.len() < 250, "{words}");
    }
    assert!(check(&[selector(&format!("{NAME}=[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?"))]).is_ok());
}

#[test]
fn an_engine_is_believed_about_its_own_keys_only() {
    let [of_containerd, of_crio] = [format!("{NAMESPACE}=shop"), "io.kubernetes.pod.namespace=shop".to_owned()];
    assert!(found(&[&of_crio], &CRIO) && !found(&[&of_crio], &CONTAINERD) && !found(&[&of_containerd], &CRIO));
    // A pod of the one engine that would be of the other.
    for both in [with(&CRIO, &CONTAINERD), with(&CONTAINERD, &CRIO[1..])] {
        assert!(!found(&[&of_containerd], &both) && !found(&[&of_crio], &both));
    }
    // podman passes the annotations of an image on, and says that it is podman.
    assert!(!found(&[&of_containerd], &with(&CONTAINERD, &[("io.container.manager", "libpod")])));
    // Without the engine's mark, nobody has stamped anything.
    assert!(!found(&[&of_containerd], &CONTAINERD[1..]) && !found(&[&of_crio], &CRIO[2..]));
}

#[test]
fn the_sandbox_of_a_pod_is_no_container_of_it() {
    let mut sandbox = CONTAINERD;
    sandbox[0].1 = "sandbox";
    assert!(!found(&[&format!("{NAMESPACE}=shop")], &sandbox));
    let mut sandbox = CRIO;
    sandbox[1].1 = "sandbox";
    assert!(!found(&["io.kubernetes.pod.namespace=shop"], &sandbox));
}

#[test]
fn a_key_of_anybodys_is_believed_where_the_service_says_so() {
    assert!(found(&["untrusted:tier=front"], &[("tier", "front")]));
    assert!(found(&[&format!("untrusted:{NAMESPACE}=shop")], &CONTAINERD[1..]));
    let long = "x".repeat(MAX_VALUE + 1);
    assert!(!found(&["untrusted:tier=x+"], &[("tier", long.as_str())]));
}
