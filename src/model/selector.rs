//! Selectors: by which of its annotations a container that claims nothing is a service's. Text and its checks; whether a
//! pattern is a regular expression, and whether it matches, is for who has an engine for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// The most selectors of one service.
pub const MAX_SELECTORS: usize = 32;
/// The longest key of a selector, in bytes: Kubernetes' own bound is 253 of prefix, a slash and 63 of name.
const MAX_KEY: usize = 317;
/// The longest pattern of a selector, in bytes.
const MAX_PATTERN: usize = 1024;
/// What goes before a key that somebody else than the engine may have written.
const UNTRUSTED: &str = "untrusted:";

/// An engine that stamps its containers with annotations that nobody else can write there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// containerd's CRI plugin.
    Containerd,
    /// CRI-O.
    CriO,
}

/// Every key that an engine stamps itself, after what a pod, an image or a user has written: a key that is only like these
/// is not here, because CRI-O passes every annotation of a pod on. A key that has been here stays: stores have it.
///
/// Source: containerd `pkg/cri/annotations`, CRI-O `internal/factory/container`; CRI-O takes the last four from kubelet.
const STAMPED: [(Engine, &str); 15] = [
    (Engine::Containerd, "io.kubernetes.cri.container-name"),
    (Engine::Containerd, "io.kubernetes.cri.image-name"),
    (Engine::Containerd, "io.kubernetes.cri.sandbox-id"),
    (Engine::Containerd, "io.kubernetes.cri.sandbox-name"),
    (Engine::Containerd, "io.kubernetes.cri.sandbox-namespace"),
    (Engine::CriO, "io.kubernetes.cri-o.Image"),
    (Engine::CriO, "io.kubernetes.cri-o.ImageName"),
    (Engine::CriO, "io.kubernetes.cri-o.ImageRef"),
    (Engine::CriO, "io.kubernetes.cri-o.Name"),
    (Engine::CriO, "io.kubernetes.cri-o.SandboxID"),
    (Engine::CriO, "io.kubernetes.cri-o.SandboxName"),
    (Engine::CriO, "io.kubernetes.container.name"),
    (Engine::CriO, "io.kubernetes.pod.name"),
    (Engine::CriO, "io.kubernetes.pod.namespace"),
    (Engine::CriO, "io.kubernetes.pod.uid"),
];

/// `KEY=REGEX`: the annotation KEY is there, and its whole value is of the form REGEX. The key is one that an engine
/// stamps; any other is written `untrusted:KEY`, so that whoever reads the service sees what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    stamper: Option<Engine>,
    key: String,
    pattern: String,
}

impl Selector {
    /// Parses `KEY=REGEX` or `untrusted:KEY=REGEX`; the pattern is not looked into.
    ///
    /// # Errors
    /// [`ModelError::SelectorInvalid`]; [`ModelError::SelectorKey`] for a key that no engine stamps.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let invalid = || ModelError::SelectorInvalid(text.to_owned());
        let (key, pattern) = text.split_once('=').ok_or_else(invalid)?;
        let (untrusted, key) = key.strip_prefix(UNTRUSTED).map_or((false, key), |key| (true, key));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        let fine_key = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(allowed);
        let fine_pattern = (1..=MAX_PATTERN).contains(&pattern.len()) && !pattern.contains(char::is_control);
        if !fine_key || !fine_pattern {
            return Err(invalid());
        }
        let stamper = STAMPED.iter().find(|(_, stamped)| *stamped == key).map(|(engine, _)| *engine);
        if stamper.is_none() && !untrusted {
            return Err(ModelError::SelectorKey(key.to_owned()));
        }
        let stamper = stamper.filter(|_| !untrusted);
        Ok(Self { stamper, key: key.to_owned(), pattern: pattern.to_owned() })
    }

    /// The engine whose word this rests on; none: on anybody's.
    pub fn stamper(&self) -> Option<Engine> {
        self.stamper
    }

    /// The annotation's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What its whole value has to be like.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.stamper.is_some() { "" } else { UNTRUSTED };
        write!(f, "{prefix}{}={}", self.key, self.pattern)
    }
}

impl TryFrom<String> for Selector {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        Self::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

/// The selectors of a service: all of them hold for its containers. Without any, no container is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Selector>", into = "Vec<Selector>")]
pub struct Selectors(Vec<Selector>);

impl Selectors {
    /// The selectors, in the order they were given.
    pub fn as_slice(&self) -> &[Selector] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These without the ones that `removed` names, by their key or as they are written, and with `added`.
    ///
    /// # Errors
    /// [`ModelError::TooManySelectors`].
    pub fn changed(&self, removed: &[String], added: &[Selector]) -> Result<Self, ModelError> {
        let named = |selector: &Selector| {
            let text = selector.to_string();
            let (key, _) = text.split_once('=').unwrap_or((&text, ""));
            removed.iter().any(|name| *name == text || name == key)
        };
        let mut kept: Vec<Selector> = self.0.iter().filter(|selector| !named(selector)).cloned().collect();
        for selector in added {
            if !kept.contains(selector) {
                kept.push(selector.clone());
            }
        }
        Self::try_from(kept)
    }
}

impl TryFrom<Vec<Selector>> for Selectors {
    type Error = ModelError;

    fn try_from(selectors: Vec<Selector>) -> Result<Self, ModelError> {
        let count = selectors.len();
        if count > MAX_SELECTORS { Err(ModelError::TooManySelectors(count)) } else { Ok(Self(selectors)) }
    }
}

impl From<Selectors> for Vec<Selector> {
    fn from(selectors: Selectors) -> Self {
        selectors.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Selectors {
        texts.iter().map(|text| Selector::parse(text).unwrap()).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn a_key_that_an_engine_stamps_is_taken_and_its_engine_known() {
        let selector = Selector::parse("io.kubernetes.cri.sandbox-namespace=shop|a=b").unwrap();
        assert_eq!((selector.key(), selector.pattern()), ("io.kubernetes.cri.sandbox-namespace", "shop|a=b"));
        assert_eq!(selector.stamper(), Some(Engine::Containerd));
        assert_eq!(Selector::parse("io.kubernetes.pod.namespace=x").unwrap().stamper(), Some(Engine::CriO));
    }

    #[test]
    fn a_key_that_anybody_can_write_is_refused_unless_it_says_so() {
        for key in ["tier", "io.runsecrets.service", "com.docker.compose.service", "io.kubernetes.cri-o.Namespace"] {
            assert_eq!(Selector::parse(&format!("{key}=x")), Err(ModelError::SelectorKey(key.to_owned())));
            let selector = Selector::parse(&format!("untrusted:{key}=x")).unwrap();
            assert_eq!((selector.stamper(), selector.key()), (None, key));
            assert_eq!(selector.to_string(), format!("untrusted:{key}=x"));
        }
        assert_eq!(Selector::parse("untrusted:io.kubernetes.cri.sandbox-id=x").unwrap().stamper(), None);
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["", "io.kubernetes.pod.name", "=x", "io.kubernetes.pod.name=", "untrusted:=x", "untrusted:a b=x"] {
            assert!(matches!(Selector::parse(text), Err(ModelError::SelectorInvalid(_))), "{text:?}");
        }
        assert!(Selector::parse("io.kubernetes.pod.name=a\nb").is_err());
        assert!(Selector::parse(&format!("io.kubernetes.pod.name={}", "x".repeat(MAX_PATTERN + 1))).is_err());
        let many = vec![Selector::parse("io.kubernetes.pod.name=x").unwrap(); MAX_SELECTORS + 1];
        assert!(matches!(Selectors::try_from(many), Err(ModelError::TooManySelectors(_))));
    }

    #[test]
    fn selectors_go_by_key_or_as_they_are_written() {
        let have = all(&["io.kubernetes.pod.name=a", "io.kubernetes.pod.name=b", "untrusted:tier=c"]);
        let without = |removed: &str| have.changed(&[removed.to_owned()], &[]).unwrap();
        assert_eq!(without("io.kubernetes.pod.name"), all(&["untrusted:tier=c"]));
        assert_eq!(without("io.kubernetes.pod.name=a"), all(&["io.kubernetes.pod.name=b", "untrusted:tier=c"]));
        assert_eq!(without("untrusted:tier").as_slice().len(), 2);
        assert_eq!(have.changed(&["tier".to_owned()], have.as_slice()).unwrap(), have);
    }

    #[test]
    fn selectors_are_a_list_of_texts_in_json() {
        let json = r#"["io.kubernetes.pod.name=a.*","untrusted:tier=b"]"#;
        let read: Selectors = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert!(serde_json::from_str::<Selectors>(r#"["tier=b"]"#).is_err());
    }
}
