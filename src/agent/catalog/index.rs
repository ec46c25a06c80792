//! What is known of the store without reading it: descriptions by id and by name. No value, no key.

use std::collections::BTreeMap;

use super::error::{CatalogError, Sort};
use super::ledger::Written;
use crate::model::{Grant, Id, SecretInfo, SecretName, Service, ServiceName};

/// The descriptions, and what the records in the store must be.
pub(super) struct Index {
    pub(super) secrets: Shelf<SecretInfo>,
    pub(super) services: Shelf<Service>,
    pub(super) written: Written,
}

impl Index {
    pub(super) fn new(written: Written) -> Self {
        Self { secrets: Shelf::default(), services: Shelf::default(), written }
    }

    /// The services that grant `secret`, by name.
    pub(super) fn users_of(&self, secret: &SecretName) -> Vec<ServiceName> {
        let folded = secret.folded();
        let uses = |service: &&Service| service.grants.as_slice().iter().any(|grant| grant.source.folded() == folded);
        self.services.by_name().filter(uses).map(|service| service.name.clone()).collect()
    }

    /// The secret that a grant's source or a removal names: by its name, else by its full id.
    pub(super) fn granted(&self, source: &str) -> Option<&SecretInfo> {
        self.secrets.named(source).or_else(|| self.secrets.by_id(&Id::parse(source).ok()?))
    }

    /// `grants` with each source as the secret's own name; all sources that are missing are named at once.
    pub(super) fn resolved(&self, grants: Vec<Grant>) -> Result<Vec<Grant>, CatalogError> {
        let mut missing: Vec<SecretName> = Vec::new();
        let mut resolved = Vec::with_capacity(grants.len());
        for grant in grants {
            match self.granted(grant.source.as_str()) {
                Some(secret) => resolved.push(Grant { source: secret.name.clone(), ..grant }),
                None if missing.contains(&grant.source) => {}
                None => missing.push(grant.source),
            }
        }
        if missing.is_empty() { Ok(resolved) } else { Err(CatalogError::SourcesMissing(missing)) }
    }
}

/// What a shelf asks of what stands on it.
pub(super) trait Object {
    const SORT: Sort;
    fn id(&self) -> &Id;
    fn name(&self) -> &str;
}

impl Object for SecretInfo {
    const SORT: Sort = Sort::Secret;

    fn id(&self) -> &Id {
        &self.id
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Object for Service {
    const SORT: Sort = Sort::Service;

    fn id(&self) -> &Id {
        &self.id
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }
}

/// Objects of one sort, by id, with their names.
pub(super) struct Shelf<T> {
    objects: BTreeMap<Id, T>,
    /// Folded name to id: names are unique without case.
    names: BTreeMap<String, Id>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl<T: Object> Shelf<T> {
    /// Docker's order: full id, full name, unique id prefix. A secret is found by its name in any case, a service only in
    /// the case it was given in, as in Docker.
    pub(super) fn find(&self, reference: &str) -> Result<&T, CatalogError> {
        let exact = Id::parse(reference).ok().and_then(|id| self.objects.get(&id));
        let any_case = matches!(T::SORT, Sort::Secret);
        let named = || self.named(reference).filter(|object| any_case || object.name() == reference);
        if let Some(object) = exact.or_else(named) {
            return Ok(object);
        }
        let begins = |object: &&T| !reference.is_empty() && object.id().as_str().starts_with(reference);
        let mut matches = self.objects.values().filter(begins);
        match (matches.next(), matches.count()) {
            (None, _) => Err(CatalogError::NotFound { sort: T::SORT, reference: reference.to_owned() }),
            (Some(object), 0) => Ok(object),
            (Some(_), others) => {
                Err(CatalogError::Ambiguous { sort: T::SORT, reference: reference.to_owned(), count: others + 1 })
            }
        }
    }

    /// The object with this name, in any case.
    pub(super) fn named(&self, name: &str) -> Option<&T> {
        self.objects.get(self.names.get(&name.to_ascii_lowercase())?)
    }

    pub(super) fn by_id(&self, id: &Id) -> Option<&T> {
        self.objects.get(id)
    }

    /// Refuses a name that is taken.
    pub(super) fn vacant(&self, name: &str) -> Result<(), CatalogError> {
        match self.named(name) {
            Some(_) => Err(CatalogError::Exists { sort: T::SORT, name: name.to_owned() }),
            None => Ok(()),
        }
    }

    pub(super) fn by_name(&self) -> impl Iterator<Item = &T> {
        self.names.values().filter_map(|id| self.objects.get(id))
    }

    /// Adds an object, or replaces the one with its id.
    pub(super) fn put(&mut self, object: T) {
        self.names.insert(object.name().to_ascii_lowercase(), object.id().clone());
        self.objects.insert(object.id().clone(), object);
    }

    pub(super) fn take(&mut self, id: &Id) {
        if let Some(object) = self.objects.remove(id) {
            self.names.remove(&object.name().to_ascii_lowercase());
        }
    }
}
