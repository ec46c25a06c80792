//! The parts of a compose file that are about secrets: a service's references, a declaration of the top level, in every
//! form that Compose takes. Pure.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::error::ComposeError;
use super::plan::{Claimant, Declared, Origin, PROJECT_LABEL};
use super::yaml::{Entry, Kind, Node, Style};
use crate::model::{Grant, Grants, Labels, Mode, ModelError, Owner, SecretName, ServiceName, Target};

/// The label with the file's own name of a secret.
const SECRET_LABEL: &str = "io.runsecrets.compose.secret";
/// The label with the file's own name of a service.
const SERVICE_LABEL: &str = "io.runsecrets.compose.service";

/// One secret as a service has it, with the file's own name of it.
pub(super) struct Reference {
    /// The file's own name of the secret.
    pub(super) source: String,
    /// The source as it stands in the file, for messages.
    pub(super) shown: String,
    /// Where its file stands.
    pub(super) target: Target,
    /// The file's user.
    pub(super) uid: Owner,
    /// The file's group.
    pub(super) gid: Owner,
    /// The file's mode.
    pub(super) mode: Mode,
}

/// The parts of a file, read as those of a project.
pub(super) struct Reading<'a> {
    /// The project's name.
    pub(super) project: &'a str,
    /// The variables.
    pub(super) environment: &'a Environment,
}

impl Reading<'_> {
    /// The secrets of one service.
    pub(super) fn references(&self, service: &Entry) -> Result<Vec<Reference>, ComposeError> {
        let at = format!("services.{}.secrets", service.name());
        if service.value.entries().is_none() {
            return Err(wrong(&format!("services.{}", service.name()), "is not a mapping"));
        }
        let Some(list) = service.value.get("secrets") else { return Ok(Vec::new()) };
        let items = list.items().ok_or_else(|| wrong(&at, "is not a list"))?;
        items.iter().map(|item| self.reference(item, &at)).collect()
    }

    fn reference(&self, item: &Node, at: &str) -> Result<Reference, ComposeError> {
        if item.text().is_some() {
            let source = self.text(item, at)?;
            let target = checked(item, at, Target::parse(&source))?;
            let shown = item.text().unwrap_or_default().to_owned();
            return Ok(Reference { source, shown, target, uid: Owner::ROOT, gid: Owner::ROOT, mode: Mode::DEFAULT });
        }
        let fields = item.entries().ok_or_else(|| wrong(at, "holds neither names nor mappings"))?;
        let source = item.get("source").filter(|source| !source.is_null());
        let source_text = self.text(source.ok_or_else(|| wrong(at, "holds a mapping without 'source'"))?, at)?;
        let target = item.get("target").filter(|target| !target.is_null()).or(source).unwrap_or(item);
        let mut reference = Reference {
            target: checked(target, at, Target::parse(&self.text(target, at)?))?,
            shown: source.and_then(Node::text).unwrap_or_default().to_owned(),
            source: source_text,
            uid: Owner::ROOT,
            gid: Owner::ROOT,
            mode: Mode::DEFAULT,
        };
        for Entry { key, value } in fields {
            match key.text().unwrap_or_default() {
                "source" | "target" => {}
                "uid" => reference.uid = checked(value, at, Owner::parse(&self.text(value, at)?))?,
                "gid" => reference.gid = checked(value, at, Owner::parse(&self.text(value, at)?))?,
                "mode" => reference.mode = self.mode(value, at)?,
                name if name.starts_with("x-") => {}
                _ => return Err(wrong(at, "takes source, target, uid, gid and mode")),
            }
        }
        Ok(reference)
    }

    /// A mode: `0440`, `0o440`, or text in octal. A plain number without the zero is decimal to YAML and octal to people.
    fn mode(&self, value: &Node, at: &str) -> Result<Mode, ComposeError> {
        let text = self.text(value, at)?;
        let is_plain = matches!(value.kind, Kind::Scalar(_, Style::Plain));
        if is_plain && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') {
            return Err(wrong(
                at,
                "has a mode that Compose reads as a decimal number; write it in octal with a zero: 0440",
            ));
        }
        checked(value, at, Mode::parse(&text))
    }

    /// The service of the same file that this one extends.
    pub(super) fn base(&self, service: &Entry) -> Result<Option<String>, ComposeError> {
        let at = format!("services.{}.extends", service.name());
        match service.value.get("extends") {
            Some(extends) if extends.text().is_some() => self.text(extends, &at).map(Some),
            Some(extends) if extends.get("file").is_none() => {
                extends.get("service").map(|service| self.text(service, &at)).transpose()
            }
            _ => Ok(None),
        }
    }

    pub(super) fn claimant(&self, service: &Entry, grants: Vec<Grant>) -> Result<Claimant, ComposeError> {
        let key = service.name().to_owned();
        let at = format!("services.{key}");
        let field = |cause| ComposeError::Field { at: at.clone(), cause };
        let name = ServiceName::parse(&format!("{}_{key}", self.project)).map_err(field)?;
        let grants = Grants::try_from(grants).map_err(field)?;
        let labels = [(PROJECT_LABEL, self.project), (SERVICE_LABEL, &key)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = Labels::try_from(BTreeMap::from(labels)).map_err(field)?;
        Ok(Claimant { key, name, grants, labels })
    }

    /// A secret of the top level.
    pub(super) fn declared(&self, secret: &Entry) -> Result<Declared, ComposeError> {
        let key = secret.name().to_owned();
        let at = format!("secrets.{key}");
        let (mut origins, mut name, mut labels) = (Vec::new(), None, BTreeMap::new());
        for Entry { key: field, value } in entries(Some(&secret.value), &at)? {
            match field.text().unwrap_or_default() {
                _ if value.is_null() => {}
                "file" => {
                    let shown = value.text().unwrap_or_default().to_owned();
                    origins.push(Origin::File { shown, path: self.text(value, &at)? });
                }
                "environment" => {
                    let shown = value.text().unwrap_or_default().to_owned();
                    origins.push(Origin::Variable { shown, name: self.text(value, &at)? });
                }
                "external" => {
                    if let Some(named) = value.get("name") {
                        name = Some((named, self.text(named, &at)?));
                        origins.push(Origin::External);
                    } else if is_true(&self.text(value, &at)?)
                        .ok_or_else(|| wrong(&at, "'external' is true or false"))?
                    {
                        origins.push(Origin::External);
                    }
                }
                "name" => name = Some((value, self.text(value, &at)?)),
                "labels" => labels = self.labels(value, &at)?,
                "driver" | "driver_opts" | "template_driver" => {
                    return Err(wrong(&at, "has a driver; drivers and templates of secrets are not supported"));
                }
                "content" => {
                    return Err(wrong(
                        &at,
                        "has its value in the file; put it into a file of its own, and name that with 'file:'",
                    ));
                }
                field if field.starts_with("x-") => {}
                _ => return Err(wrong(&at, "takes file, environment, external, name and labels")),
            }
        }
        let [origin] = <[Origin; 1]>::try_from(origins)
            .map_err(|_| wrong(&at, "takes exactly one of 'file', 'environment' and 'external: true'"))?;
        let name = match (name, &origin) {
            (Some((node, name)), _) => checked(node, &at, SecretName::parse(&name))?,
            (None, Origin::External) => checked(&secret.key, &at, SecretName::parse(&key))?,
            (None, _) => checked(&secret.key, &at, SecretName::parse(&format!("{}_{key}", self.project)))?,
        };
        labels.insert(PROJECT_LABEL.to_owned(), self.project.to_owned());
        labels.insert(SECRET_LABEL.to_owned(), key.clone());
        let labels = Labels::try_from(labels).map_err(|cause| ComposeError::Field { at, cause })?;
        Ok(Declared { key, name, origin, labels })
    }

    /// Labels as a mapping, or as a list of `key=value`.
    fn labels(&self, value: &Node, at: &str) -> Result<BTreeMap<String, String>, ComposeError> {
        match &value.kind {
            Kind::Mapping(entries) => {
                entries.iter().map(|entry| Ok((entry.name().to_owned(), self.text(&entry.value, at)?))).collect()
            }
            Kind::Sequence(items) => {
                let texts = items.iter().map(|item| self.text(item, at)).collect::<Result<Vec<_>, _>>()?;
                let labels = Labels::parse(texts.iter().map(String::as_str));
                labels.map(Into::into).map_err(|_| wrong(at, "has a label that is none"))
            }
            _ => Err(wrong(at, "has labels that are neither a mapping nor a list")),
        }
    }

    /// A scalar with its variables filled in.
    fn text(&self, node: &Node, at: &str) -> Result<String, ComposeError> {
        let text = node.text().ok_or_else(|| wrong(at, "has a list or a mapping where text is expected"))?;
        self.environment.fill(text).map_err(|error| match error {
            ComposeError::Interpolation { what } => wrong(at, what),
            other => other,
        })
    }
}

/// The keys of a mapping that may be missing.
pub(super) fn entries<'n>(node: Option<&'n Node>, at: &str) -> Result<&'n [Entry], ComposeError> {
    node.map_or(Ok(&[]), |node| node.entries().ok_or_else(|| wrong(at, "is not a mapping")))
}

/// The result of a check of `node`'s text; its words quote the text only where it stands so in the file.
fn checked<T>(node: &Node, at: &str, result: Result<T, ModelError>) -> Result<T, ComposeError> {
    result.map_err(|cause| match node.text() {
        Some(text) if text.contains('$') => wrong(at, "has a variable whose value is not valid there"),
        _ => ComposeError::Field { at: at.to_owned(), cause },
    })
}

/// YAML's words for a truth value, those of 1.1 as well.
fn is_true(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Something stands where it cannot be used.
pub(super) fn wrong(at: &str, what: &'static str) -> ComposeError {
    ComposeError::Wrong { at: at.to_owned(), what }
}
