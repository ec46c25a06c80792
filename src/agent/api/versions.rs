//! Versions of a secret: a new value, an earlier one again, and which there are. A new version is in every container that
//! runs and holds the secret when the answer comes, or the answer says where it is not.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body::{self, Text};
use super::error::ApiError;
use super::{Api, Call};
use crate::agent::catalog::{Catalog, CatalogError, NewValue};
use crate::agent::clock::{now, rfc3339};
use crate::agent::delivery::{Deliveries, Outcome, Scope};
use crate::failpoint::{Point, reach};
use crate::model::SecretInfo;

/// The body of an update.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateForm<'a> {
    /// Whether running containers get it now; otherwise they do when they are started again.
    #[serde(default = "yes")]
    live: bool,
    /// The value, in base64.
    #[serde(borrow, default)]
    data: Text<'a>,
}

/// The body of an update of several secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GroupForm<'a> {
    #[serde(default = "yes")]
    live: bool,
    #[serde(borrow)]
    secrets: Vec<Member<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Member<'a> {
    /// Its name or id.
    name: String,
    /// The value, in base64.
    #[serde(borrow, default)]
    data: Text<'a>,
}

/// The most secrets that are updated together: each value is in locked memory until all are stored.
const MAX_GROUP: usize = 16;

/// The body of a rollback.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RollbackForm {
    #[serde(default = "yes")]
    live: bool,
    /// The version whose value is to be the current one; none: the one before.
    #[serde(default)]
    to: Option<u64>,
}

fn yes() -> bool {
    true
}

/// `POST /runsecrets/v1/secrets/{ref}/update?version=N` `{"Data","Live"}`; `version` may be missing.
pub(super) async fn update(api: &Api, reference: &str, call: Call) -> Result<Answer, ApiError> {
    let index = match call.query("version") {
        Some(text) => Some(text.parse().map_err(|_| ApiError::VersionIndex)?),
        None => None,
    };
    let (reference, teller, keep) = (reference.to_owned(), api.teller(call.peer), api.kept_versions);
    let body = call.body(body::MAX_VALUE_BODY).await?;
    let deliveries = api.deliveries.clone();
    let (secret, rotated) = api
        .blocking(move |catalog| {
            let form: UpdateForm<'_> = serde_json::from_slice(&body)?;
            let data = form.data.0.as_deref().filter(|text| !text.is_empty()).ok_or(ApiError::DataSize)?;
            let (value, live) = (body::value(data)?, form.live);
            drop(form);
            drop(body);
            let scope = Scope::Secrets(vec![catalog.secret(&reference)?.id]);
            let done = changed(&deliveries, catalog, live.then_some(scope), || {
                catalog.update_secret(&reference, index, value, keep, now())
            })?;
            teller.tell_secret("update", &done.0);
            Ok(done)
        })
        .await?;
    Ok(answer(&secret, &rotated).closing())
}

/// `POST /runsecrets/v1/secrets/update` `{"Secrets":[{"Name","Data"}],"Live"}`: all of them or none, in one step where a
/// container has a generation directory.
pub(super) async fn update_group(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let (teller, keep) = (api.teller(call.peer), api.kept_versions);
    let body = call.body(body::MAX_VALUE_BODY).await?;
    let deliveries = api.deliveries.clone();
    let (secrets, outcomes) = api
        .blocking(move |catalog| {
            let form: GroupForm<'_> = serde_json::from_slice(&body)?;
            if form.secrets.len() > MAX_GROUP {
                return Err(ApiError::GroupTooLarge(MAX_GROUP));
            }
            let mut news = Vec::with_capacity(form.secrets.len());
            for member in &form.secrets {
                let data = member.data.0.as_deref().filter(|text| !text.is_empty()).ok_or(ApiError::DataSize)?;
                news.push(NewValue { reference: member.name.clone(), index: None, value: body::value(data)? });
            }
            let live = form.live;
            drop(form);
            drop(body);
            let ids = news.iter().map(|new| Ok(catalog.secret(&new.reference)?.id)).collect::<Result<_, ApiError>>()?;
            let done = changed(&deliveries, catalog, live.then_some(Scope::Secrets(ids)), || {
                catalog.update_secrets(news, keep, now())
            })?;
            done.0.iter().for_each(|secret| teller.tell_secret("update", secret));
            Ok(done)
        })
        .await?;
    let versions: Vec<Value> = secrets.iter().map(|secret| json!({"ID": secret.id, "Name": secret.name})).collect();
    Ok(Answer::json(StatusCode::OK, &json!({ "Secrets": versions, "Containers": outcomes })).closing())
}

/// `POST /runsecrets/v1/secrets/{ref}/rollback` `{"To","Live"}`.
pub(super) async fn rollback(api: &Api, reference: &str, call: Call) -> Result<Answer, ApiError> {
    let (reference, teller, keep) = (reference.to_owned(), api.teller(call.peer), api.kept_versions);
    let form: RollbackForm = serde_json::from_slice(&call.body(body::MAX_BODY).await?)?;
    let deliveries = api.deliveries.clone();
    let (secret, rotated) = api
        .blocking(move |catalog| {
            let scope = Scope::Secrets(vec![catalog.secret(&reference)?.id]);
            let done = changed(&deliveries, catalog, form.live.then_some(scope), || {
                catalog.roll_back_secret(&reference, form.to, keep, now())
            })?;
            teller.tell_secret("update", &done.0);
            Ok(done)
        })
        .await?;
    Ok(answer(&secret, &rotated).closing())
}

/// `GET /runsecrets/v1/secrets/{ref}/history`: the versions that are kept, newest first.
pub(super) async fn history(api: &Api, reference: &str) -> Result<Answer, ApiError> {
    let reference = reference.to_owned();
    let secret = api.blocking(move |catalog| Ok(catalog.secret(&reference)?)).await?;
    let current = secret.current().map(|version| version.number);
    let versions: Vec<Value> = secret
        .versions
        .iter()
        .rev()
        .map(|version| {
            json!({
                "Version": version.number,
                "Size": version.size,
                "CreatedAt": rfc3339(version.created),
                "Current": Some(version.number) == current,
                "From": version.from,
            })
        })
        .collect();
    Ok(Answer::json(StatusCode::OK, &versions))
}

/// Makes a change in the catalog by `commit` and then, with a `scope`, in the containers that run.
pub(super) fn changed<T>(
    deliveries: &Deliveries,
    catalog: &Catalog,
    scope: Option<Scope>,
    commit: impl FnOnce() -> Result<T, CatalogError>,
) -> Result<(T, Vec<Outcome>), ApiError> {
    let Some(scope) = scope else { return Ok((commit()?, Vec::new())) };
    let announced = deliveries.announce(scope).map_err(|error| ApiError::Internal(error.to_string()))?;
    reach(Point::ChangeAnnounced);
    let committed = commit();
    reach(Point::ChangeStored);
    // Also after a failure: it takes the announcement back, and finds nothing to do.
    let outcomes = deliveries.change(catalog, &announced);
    Ok((committed?, outcomes))
}

fn answer(secret: &SecretInfo, rotated: &[Outcome]) -> Answer {
    let version = secret.current().map(|version| version.number);
    Answer::json(StatusCode::OK, &json!({ "ID": secret.id, "Version": version, "Containers": rotated }))
}
