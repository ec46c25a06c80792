//! A placeholder in memory with the signatures of the catalog, until the sealed one is merged.

use std::fmt;
use std::sync::Mutex;

use crate::model::{
    Grant, Grants, Id, Labels, SecretInfo, SecretName, SecretVersion, Service, ServiceName, Timestamp, TokenHash,
};
use crate::secret::{MAX_VALUE, SecretBytes};

#[derive(Debug)]
pub struct CatalogError(Status, String);
#[derive(Debug, Clone, Copy)]
pub enum Status {
    NotFound,
    Conflict,
    Invalid,
    Ambiguous,
    InUse,
    OutOfSequence,
    Corrupt,
    Store,
}
impl CatalogError {
    pub fn status(&self) -> Status {
        self.0
    }
}
impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

pub struct ServiceChange {
    pub secret_add: Vec<Grant>,
    pub secret_rm: Vec<SecretName>,
    pub label_add: Labels,
    pub label_rm: Vec<String>,
}

#[derive(Default)]
pub struct Catalog {
    secrets: Mutex<Vec<(SecretInfo, SecretBytes)>>,
    services: Mutex<Vec<Service>>,
}

fn id() -> Id {
    let mut e = [0; 17];
    getrandom::fill(&mut e).unwrap();
    Id::from_entropy(e)
}
fn err<T>(s: Status, t: String) -> Result<T, CatalogError> {
    Err(CatalogError(s, t))
}

impl Catalog {
    pub fn create_secret(
        &self,
        name: SecretName,
        labels: Labels,
        value: SecretBytes,
        now: Timestamp,
    ) -> Result<SecretInfo, CatalogError> {
        let mut all = self.secrets.lock().unwrap();
        if all.iter().any(|s| s.0.name.folded() == name.folded()) {
            return err(Status::Conflict, format!("secret {name} already exists"));
        }
        if value.is_empty() || value.len() > MAX_VALUE {
            return err(Status::Invalid, "secret data must be larger than 0 and less than 512000 bytes".into());
        }
        let info = SecretInfo {
            id: id(),
            name,
            labels,
            versions: vec![SecretVersion { number: 1, size: value.len(), created: now }],
            created: now,
            updated: now,
            index: 1,
        };
        drop(value);
        all.push((info.clone(), SecretBytes::zeroed(1).unwrap()));
        Ok(info)
    }
    fn find(&self, r: &str) -> Result<usize, CatalogError> {
        let all = self.secrets.lock().unwrap();
        if let Some(i) =
            all.iter().position(|s| s.0.id.as_str() == r).or(all.iter().position(|s| s.0.name.as_str() == r))
        {
            return Ok(i);
        }
        let m: Vec<usize> = (0..all.len()).filter(|i| all[*i].0.id.as_str().starts_with(r)).collect();
        match m.as_slice() {
            [i] => Ok(*i),
            [] => err(Status::NotFound, format!("secret {r} not found")),
            m => err(Status::Ambiguous, format!("secret {r} is ambiguous ({} matches found)", m.len())),
        }
    }
    pub fn secret(&self, r: &str) -> Result<SecretInfo, CatalogError> {
        let i = self.find(r)?;
        Ok(self.secrets.lock().unwrap()[i].0.clone())
    }
    pub fn secrets(&self) -> Vec<SecretInfo> {
        self.secrets.lock().unwrap().iter().map(|s| s.0.clone()).collect()
    }
    pub fn remove_secret(&self, r: &str) -> Result<SecretInfo, CatalogError> {
        let i = self.find(r)?;
        Ok(self.secrets.lock().unwrap().remove(i).0)
    }
    pub fn relabel_secret(
        &self,
        r: &str,
        index: u64,
        _name: Option<&str>,
        labels: Labels,
        _data: Option<&SecretBytes>,
        now: Timestamp,
    ) -> Result<SecretInfo, CatalogError> {
        let i = self.find(r)?;
        let mut all = self.secrets.lock().unwrap();
        let s = &mut all[i].0;
        if s.index != index {
            return err(Status::OutOfSequence, "update out of sequence".into());
        }
        s.labels = labels;
        s.index += 1;
        s.updated = now;
        Ok(s.clone())
    }
    pub fn prune_secrets(&self) -> Result<Vec<SecretInfo>, CatalogError> {
        Ok(vec![])
    }
    pub fn create_service(
        &self,
        name: ServiceName,
        labels: Labels,
        grants: Grants,
        require_claim: Option<TokenHash>,
        now: Timestamp,
    ) -> Result<Service, CatalogError> {
        let s = Service { id: id(), name, labels, grants, require_claim, created: now, updated: now, index: 1 };
        self.services.lock().unwrap().push(s.clone());
        Ok(s)
    }
    pub fn service(&self, r: &str) -> Result<Service, CatalogError> {
        self.services
            .lock()
            .unwrap()
            .iter()
            .find(|s| s.name.as_str() == r || s.id.as_str() == r)
            .cloned()
            .ok_or(CatalogError(Status::NotFound, format!("service {r} not found")))
    }
    pub fn services(&self) -> Vec<Service> {
        self.services.lock().unwrap().clone()
    }
    pub fn update_service(
        &self,
        r: &str,
        _index: Option<u64>,
        change: &ServiceChange,
        _now: Timestamp,
    ) -> Result<Service, CatalogError> {
        let mut s = self.service(r)?;
        s.grants = s
            .grants
            .changed(&change.secret_rm, change.secret_add.clone())
            .map_err(|e| CatalogError(Status::Invalid, e.to_string()))?;
        Ok(s)
    }
    pub fn remove_service(&self, r: &str) -> Result<Service, CatalogError> {
        let s = self.service(r)?;
        self.services.lock().unwrap().retain(|x| x.id != s.id);
        Ok(s)
    }
}
