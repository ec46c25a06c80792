//! Making, changing and removing services.

use std::collections::BTreeMap;

use super::change::{NewService, ServiceChange};
use super::error::CatalogError;
use super::ledger::{Ledger, Writing, key};
use super::{Catalog, Index};
use crate::model::{Grant, Grants, Labels, SecretName, Service, Timestamp};
use crate::seal::{Kind, Place, SealError, new_id, seal_metadata};

impl Catalog {
    /// Makes a service. A grant's source may be a secret's name (in any case) or full id; it is stored as the name.
    ///
    /// # Errors
    /// [`Status::Conflict`] when the name is taken, [`Status::Invalid`] when a secret is missing, [`Status::Store`].
    ///
    /// [`Status::Conflict`]: super::Status::Conflict
    /// [`Status::Invalid`]: super::Status::Invalid
    /// [`Status::Store`]: super::Status::Store
    pub fn create_service(&self, new: NewService, now: Timestamp) -> Result<Service, CatalogError> {
        let NewService { name, labels, grants, selectors, require_claim, credentials, notify, notify_command, users } =
            new;
        let _turn = self.turn();
        let mut resolved = Grants::default();
        let mut writing = self.begin(|index| {
            index.services.vacant(name.as_str())?;
            resolved = Grants::try_from(index.resolved(grants.into())?)?;
            Ok(())
        })?;
        let service = Service {
            id: new_id()?,
            name,
            labels,
            grants: resolved,
            selectors,
            require_claim,
            credentials,
            notify,
            notify_command,
            users,
            created: now,
            updated: now,
            index: writing.serial(),
        };
        self.ledger.describe_service(&mut writing, &service)?;
        self.commit(writing, |index| index.services.put(service.clone()))?;
        Ok(service)
    }

    /// Changes a service's grants, labels and selectors.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Ambiguous`]; [`Status::OutOfSequence`] when `index` is given and not the current
    /// one; [`Status::Invalid`] when a secret is missing, targets conflict or grants or selectors are too many; [`Status::Store`].
    ///
    /// [`Status::NotFound`]: super::Status::NotFound
    /// [`Status::Ambiguous`]: super::Status::Ambiguous
    /// [`Status::OutOfSequence`]: super::Status::OutOfSequence
    /// [`Status::Invalid`]: super::Status::Invalid
    /// [`Status::Store`]: super::Status::Store
    pub fn update_service(
        &self,
        reference: &str,
        index: Option<u64>,
        change: &ServiceChange,
        now: Timestamp,
    ) -> Result<Service, CatalogError> {
        let _turn = self.turn();
        let mut service = self.service(reference)?;
        if index.is_some_and(|index| index != service.index) {
            return Err(CatalogError::OutOfSequence);
        }
        let mut writing = self.begin(|index| {
            service.grants = changed_grants(index, &service.grants, change)?;
            Ok(())
        })?;
        service.labels = changed_labels(&service.labels, change)?;
        service.users = service.users.changed(&change.user_rm, &change.user_add)?;
        service.selectors = service.selectors.changed(&change.match_rm, &change.match_add)?;
        service.notify = change.notify.unwrap_or(service.notify);
        if let Some(command) = &change.notify_command {
            service.notify_command.clone_from(command);
        }
        service.credentials = change.credentials.unwrap_or(service.credentials);
        service.updated = now;
        service.index = writing.serial();
        self.ledger.describe_service(&mut writing, &service)?;
        self.commit(writing, |index| index.services.put(service.clone()))?;
        Ok(service)
    }

    /// Removes a service; what its running containers have is the deliveries' to revoke.
    ///
    /// # Errors
    /// [`Status::NotFound`](super::Status::NotFound), [`Status::Ambiguous`](super::Status::Ambiguous),
    /// [`Status::Store`](super::Status::Store).
    pub fn remove_service(&self, reference: &str) -> Result<Service, CatalogError> {
        let _turn = self.turn();
        let service = self.service(reference)?;
        let mut writing = self.begin(|_| Ok(()))?;
        writing.delete(key(&self.ledger.keys.name_key(Kind::Service, &service.name.folded())));
        self.commit(writing, |index| index.services.take(&service.id))?;
        Ok(service)
    }
}

fn changed_grants(index: &Index, grants: &Grants, change: &ServiceChange) -> Result<Grants, CatalogError> {
    let named = |source: &String| match index.granted(source) {
        Some(secret) => Some(secret.name.clone()),
        None => SecretName::parse(source).ok(),
    };
    let removed: Vec<SecretName> = change.secret_rm.iter().filter_map(named).collect();
    let added: Vec<Grant> = index.resolved(change.secret_add.clone())?;
    Ok(grants.changed(&removed, added)?)
}

fn changed_labels(labels: &Labels, change: &ServiceChange) -> Result<Labels, CatalogError> {
    let mut map: BTreeMap<String, String> = labels.as_map().clone();
    map.retain(|label, _| !change.label_rm.contains(label));
    map.extend(change.label_add.as_map().clone());
    Ok(Labels::try_from(map)?)
}

impl Ledger {
    fn describe_service(&self, writing: &mut Writing, service: &Service) -> Result<(), SealError> {
        let at = key(&self.keys.name_key(Kind::Service, &service.name.folded()));
        let place = Place { kind: Kind::Service, key: at.as_bytes(), serial: writing.serial() };
        let record = seal_metadata(&self.keys, place, service)?;
        writing.put(at, record);
        Ok(())
    }
}
