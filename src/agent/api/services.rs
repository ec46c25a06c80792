//! Our own endpoints about services.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::body;
use super::error::ApiError;
use super::filters::Filters;
use super::versions::changed;
use super::{Api, Call};
use crate::agent::catalog::{CatalogError, NewService, ServiceChange};
use crate::agent::clock::{now, rfc3339};
use crate::agent::delivery::{Scope, check_selectors};
use crate::model::{
    Command, Grant, Grants, Labels, Mode, ModelError, Owner, SecretName, Selector, Selectors, Service, ServiceName,
    Signal, Target, Until, Users,
};
use crate::seal::new_token;

/// One grant as it is written in JSON: all but the source may be missing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GrantForm {
    source: String,
    target: Option<String>,
    #[serde(rename = "UID")]
    uid: Option<String>,
    #[serde(rename = "GID")]
    gid: Option<String>,
    mode: Option<String>,
    until: Option<Until>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateForm {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    secrets: Vec<GrantForm>,
    #[serde(default, rename = "Match")]
    selectors: Vec<String>,
    #[serde(default)]
    require_claim: bool,
    #[serde(default)]
    credentials: bool,
    #[serde(default)]
    notify: Option<Signal>,
    #[serde(default)]
    notify_command: Option<Command>,
    #[serde(default)]
    users: Users,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
#[derive(Default)]
struct UpdateForm {
    live: Option<bool>,
    secret_add: Vec<GrantForm>,
    secret_rm: Vec<String>,
    label_add: BTreeMap<String, String>,
    label_rm: Vec<String>,
    match_add: Vec<String>,
    match_rm: Vec<String>,
    credentials: Option<bool>,
    /// A signal, or an empty text for none.
    notify: Option<String>,
    /// A program and its arguments, or an empty list for none.
    notify_command: Option<Vec<String>>,
    user_add: Users,
    user_rm: Users,
}

impl TryFrom<GrantForm> for Grant {
    type Error = ModelError;

    fn try_from(form: GrantForm) -> Result<Self, ModelError> {
        if form.source.is_empty() {
            return Err(ModelError::GrantSource);
        }
        let owner = |text: Option<String>| text.map_or(Ok(Owner::ROOT), |text| Owner::parse(&text));
        Ok(Self {
            target: Target::parse(form.target.as_deref().unwrap_or(&form.source))?,
            source: SecretName::parse(&form.source)?,
            uid: owner(form.uid)?,
            gid: owner(form.gid)?,
            mode: form.mode.map_or(Ok(Mode::DEFAULT), |text| Mode::parse(&text))?,
            until: form.until,
        })
    }
}

impl From<&Grant> for GrantForm {
    fn from(grant: &Grant) -> Self {
        Self {
            source: grant.source.to_string(),
            target: Some(grant.target.to_string()),
            uid: Some(grant.uid.to_string()),
            gid: Some(grant.gid.to_string()),
            mode: Some(grant.mode.to_string()),
            until: grant.until,
        }
    }
}

fn grants(forms: Vec<GrantForm>) -> Result<Vec<Grant>, ModelError> {
    forms.into_iter().map(Grant::try_from).collect()
}

fn selectors(texts: Vec<String>) -> Result<Vec<Selector>, ApiError> {
    let selectors = texts.iter().map(|text| Selector::parse(text)).collect::<Result<Vec<_>, _>>()?;
    check_selectors(&selectors)?;
    Ok(selectors)
}

/// `POST /services/create`.
pub(super) async fn create(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let teller = api.teller(call.peer);
    let form: CreateForm = serde_json::from_slice(&call.body(body::MAX_BODY).await?)?;
    let name = ServiceName::parse(&form.name)?;
    let labels = Labels::try_from(form.labels)?;
    let grants = Grants::try_from(grants(form.secrets)?)?;
    can_end(api, grants.as_slice())?;
    let selectors = Selectors::try_from(selectors(form.selectors)?)?;
    let claim = form.require_claim.then(new_token).transpose().map_err(CatalogError::from)?;
    let (token, require_claim) = claim.unzip();
    let (credentials, notify, notify_command, users) = (form.credentials, form.notify, form.notify_command, form.users);
    let new = NewService { name, labels, grants, selectors, require_claim, credentials, notify, notify_command, users };
    let service = api
        .blocking(move |catalog| {
            let service = catalog.create_service(new, now())?;
            teller.tell_service("create", &service);
            Ok(service)
        })
        .await?;
    let made = match token {
        Some(token) => json!({ "ID": service.id, "Claim": token }),
        None => json!({ "ID": service.id }),
    };
    Ok(Answer::json(StatusCode::CREATED, &made).closing())
}

/// `GET /services`.
pub(super) async fn list(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let filters = Filters::parse(call.query("filters").as_deref())?.only(&["id", "label", "name"])?;
    let mut services = api.blocking(|catalog| Ok(catalog.services())).await?;
    services.retain(|service| {
        filters.any("id", |id| service.id.as_str().starts_with(id.as_str()))
            && filters.any("name", |name| service.name.as_str().starts_with(name.as_str()))
            && filters.all("label", |label| service.labels.matches(label))
    });
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Answer::json(StatusCode::OK, &services.iter().map(shape).collect::<Vec<_>>()))
}

/// `GET /services/{ref}`.
pub(super) async fn inspect(api: &Api, reference: &str) -> Result<Answer, ApiError> {
    Ok(Answer::json(StatusCode::OK, &shape(&find(api, reference).await?)))
}

/// `POST /services/{ref}/update?version=N`; without `version` the change applies to what is there.
pub(super) async fn update(api: &Api, reference: &str, call: Call) -> Result<Answer, ApiError> {
    let index = match call.query("version") {
        Some(text) => Some(text.parse().map_err(|_| ApiError::VersionIndex)?),
        None => None,
    };
    let (reference, teller) = (reference.to_owned(), api.teller(call.peer));
    let form: UpdateForm = serde_json::from_slice(&call.body(body::MAX_BODY).await?)?;
    let change = ServiceChange {
        secret_add: grants(form.secret_add)?,
        secret_rm: form.secret_rm,
        label_add: Labels::try_from(form.label_add)?,
        label_rm: form.label_rm,
        match_add: selectors(form.match_add)?,
        match_rm: form.match_rm,
        credentials: form.credentials,
        notify: match form.notify.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(name) => Some(Some(Signal::parse(name)?)),
        },
        notify_command: match form.notify_command {
            None => None,
            Some(words) if words.is_empty() => Some(None),
            Some(words) => Some(Some(Command::try_from(words)?)),
        },
        user_add: form.user_add,
        user_rm: form.user_rm,
    };
    can_end(api, &change.secret_add)?;
    let (deliveries, live) = (api.deliveries.clone(), form.live != Some(false));
    let (service, outcomes) = api
        .blocking(move |catalog| {
            let scope = Scope::Service(catalog.service(&reference)?.id);
            let done = changed(&deliveries, catalog, live.then_some(scope), || {
                catalog.update_service(&reference, index, &change, now())
            })?;
            teller.tell_service("update", &done.0);
            Ok(done)
        })
        .await?;
    let mut updated = shape(&service);
    updated["Containers"] = json!(outcomes);
    Ok(Answer::json(StatusCode::OK, &updated))
}

/// `DELETE /services/{ref}?live=false`: what its containers have is revoked, unless told otherwise. The answer has what became
/// of that where there were any.
pub(super) async fn remove(api: &Api, reference: &str, call: Call) -> Result<Answer, ApiError> {
    let live = call.query("live").as_deref() != Some("false");
    let (reference, deliveries, teller) = (reference.to_owned(), api.deliveries.clone(), api.teller(call.peer));
    let outcomes = api
        .blocking(move |catalog| {
            let scope = Scope::Service(catalog.service(&reference)?.id);
            let (service, outcomes) =
                changed(&deliveries, catalog, live.then_some(scope), || catalog.remove_service(&reference))?;
            teller.tell_service("remove", &service);
            Ok(outcomes)
        })
        .await?;
    if outcomes.is_empty() {
        return Ok(Answer::nothing());
    }
    Ok(Answer::json(StatusCode::OK, &json!({ "Containers": outcomes })))
}

/// Refuses grants whose end nobody would see.
fn can_end(api: &Api, grants: &[Grant]) -> Result<(), ApiError> {
    match grants.iter().any(|grant| grant.until == Some(Until::Read)) {
        true => api.deliveries.sees_reads().map_err(|error| ApiError::Until(error.to_string())),
        false => Ok(()),
    }
}

/// The service that `reference` names.
pub(super) async fn find(api: &Api, reference: &str) -> Result<Service, ApiError> {
    let reference = reference.to_owned();
    api.blocking(move |catalog| Ok(catalog.service(&reference)?)).await
}

fn shape(service: &Service) -> Value {
    json!({
        "ID": service.id,
        "Name": service.name,
        "Labels": service.labels.as_map(),
        "Secrets": service.grants.as_slice().iter().map(GrantForm::from).collect::<Vec<_>>(),
        "Match": service.selectors,
        "RequireClaim": service.require_claim.is_some(),
        "Credentials": service.credentials,
        "Notify": service.notify,
        "NotifyCommand": service.notify_command,
        "Users": service.users,
        "CreatedAt": rfc3339(service.created),
        "UpdatedAt": rfc3339(service.updated),
        "Version": {"Index": service.index},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Result<Grant, ModelError> {
        Grant::try_from(serde_json::from_str::<GrantForm>(text).unwrap())
    }

    #[test]
    fn a_grant_in_json_has_the_defaults_of_a_grant_in_csv() {
        assert_eq!(grant(r#"{"Source":"db"}"#), Grant::parse("db"));
        assert_eq!(
            grant(r#"{"Source":"db","Target":"/etc/db","UID":"999","GID":"redis","Mode":"440","Until":"read"}"#),
            Grant::parse("source=db,target=/etc/db,uid=999,gid=redis,mode=0440,until=read")
        );
        assert_eq!(grant(r#"{"Source":""}"#), Err(ModelError::GrantSource));
        assert!(serde_json::from_str::<GrantForm>(r#"{"Source":"db","Tagret":"x"}"#).is_err());
    }

    #[test]
    fn a_grant_survives_its_way_out_and_in() {
        let given = Grant::parse("source=db,target=sub/db,uid=1,gid=2,mode=0400,until=90s").unwrap();
        let form = serde_json::to_string(&GrantForm::from(&given)).unwrap();
        assert_eq!(grant(&form), Ok(given));
    }
}
