//! Docker's secrets: create, list, inspect, relabel, remove; and our prune. A value comes in by create (and is compared
//! by relabel); no answer has one.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body::{self, Text};
use super::error::ApiError;
use super::filters::Filters;
use super::{Api, Call};
use crate::agent::clock::{now, rfc3339};
use crate::model::{Labels, SecretInfo, SecretName};
use crate::secret::SecretBytes;

/// Docker's `SecretSpec`, borrowed from the request's body. Fields that are not known are passed over, as Docker does.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    labels: Option<BTreeMap<String, Option<String>>>,
    #[serde(borrow)]
    data: Text<'a>,
    driver: Option<Driver>,
    templating: Option<Driver>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Driver {
    name: String,
}

impl Spec<'_> {
    fn name(&self) -> &str {
        self.name.0.as_deref().unwrap_or("")
    }

    /// The labels, and the check that nothing is asked for that we do not have.
    fn labels(&mut self) -> Result<Labels, ApiError> {
        match &self.driver {
            Some(driver) if driver.name.is_empty() => return Err(ApiError::DriverName),
            Some(driver) => return Err(ApiError::Driver(driver.name.clone())),
            None => {}
        }
        if let Some(templating) = &self.templating {
            return Err(ApiError::Templating(templating.name.clone()));
        }
        let labels = self.labels.take().unwrap_or_default();
        let labels: BTreeMap<_, _> = labels.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
        Ok(Labels::try_from(labels)?)
    }

    fn value(&self) -> Result<Option<SecretBytes>, ApiError> {
        self.data.0.as_deref().filter(|text| !text.is_empty()).map(body::value).transpose()
    }
}

/// `POST /secrets/create`.
pub(super) async fn create(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let teller = api.teller(call.peer);
    let body = call.body(body::MAX_VALUE_BODY).await?;
    let secret = api
        .blocking(move |catalog| {
            let mut spec: Spec<'_> = serde_json::from_slice(&body)?;
            let name = SecretName::parse(spec.name())?;
            let labels = spec.labels()?;
            let value = spec.value()?.ok_or(ApiError::DataSize)?;
            // The clear text goes before the disk is waited for; the allocator wipes it.
            drop(spec);
            drop(body);
            let secret = catalog.create_secret(name, labels, value, now())?;
            teller.tell_secret("create", &secret);
            Ok(secret)
        })
        .await?;
    Ok(Answer::json(StatusCode::CREATED, &json!({ "ID": secret.id })).closing())
}

/// `GET /secrets`.
pub(super) async fn list(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let filters = Filters::parse(call.query("filters").as_deref())?.only(&["id", "label", "name", "names"])?;
    let mut secrets = api.blocking(|catalog| Ok(catalog.secrets())).await?;
    secrets.retain(|secret| {
        filters.any("id", |id| secret.id.as_str().starts_with(id.as_str()))
            && filters.any("name", |name| secret.name.folded().starts_with(&name.to_ascii_lowercase()))
            && filters.any("names", |name| secret.name.as_str().eq_ignore_ascii_case(name))
            && filters.all("label", |label| secret.labels.matches(label))
    });
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Answer::json(StatusCode::OK, &secrets.iter().map(shape).collect::<Vec<_>>()))
}

/// `GET /secrets/{ref}`.
pub(super) async fn inspect(api: &Api, reference: &str) -> Result<Answer, ApiError> {
    let reference = reference.to_owned();
    let secret = api.blocking(move |catalog| Ok(catalog.secret(&reference)?)).await?;
    Ok(Answer::json(StatusCode::OK, &shape(&secret)))
}

/// `POST /secrets/{ref}/update?version=N`: labels only.
pub(super) async fn relabel(api: &Api, reference: &str, call: Call) -> Result<Answer, ApiError> {
    let index = call.query("version").and_then(|text| text.parse().ok()).ok_or(ApiError::VersionIndex)?;
    let (reference, teller) = (reference.to_owned(), api.teller(call.peer));
    let body = call.body(body::MAX_VALUE_BODY).await?;
    api.blocking(move |catalog| {
        let mut spec: Spec<'_> = serde_json::from_slice(&body)?;
        let labels = spec.labels()?;
        let value = spec.value()?;
        let name = Some(spec.name()).filter(|name| !name.is_empty());
        let secret = catalog.relabel_secret(&reference, index, name, labels, value.as_ref(), now())?;
        teller.tell_secret("update", &secret);
        Ok(())
    })
    .await?;
    Ok(Answer::nothing().status(StatusCode::OK).closing())
}

/// `DELETE /secrets/{ref}`.
pub(super) async fn remove(api: &Api, reference: &str, call: Call) -> Result<Answer, ApiError> {
    let (reference, teller) = (reference.to_owned(), api.teller(call.peer));
    api.blocking(move |catalog| {
        teller.tell_secret("remove", &catalog.remove_secret(&reference)?);
        Ok(())
    })
    .await?;
    Ok(Answer::nothing())
}

/// `POST /runsecrets/v1/secrets/prune`: removes the secrets that no service grants.
pub(super) async fn prune(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let teller = api.teller(call.peer);
    let removed = api
        .blocking(move |catalog| {
            let removed = catalog.prune_secrets()?;
            removed.iter().for_each(|secret| teller.tell_secret("remove", secret));
            Ok(removed)
        })
        .await?;
    let names: Vec<_> = removed.iter().map(|secret| &secret.name).collect();
    Ok(Answer::json(StatusCode::OK, &json!({ "Deleted": names })))
}

/// Docker's JSON of a secret: its `Spec` never has `Data`.
fn shape(secret: &SecretInfo) -> Value {
    json!({
        "ID": secret.id,
        "Version": {"Index": secret.index},
        "CreatedAt": rfc3339(secret.created),
        "UpdatedAt": rfc3339(secret.updated),
        "Spec": {"Name": secret.name, "Labels": secret.labels.as_map()},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Labels, ApiError> {
        serde_json::from_str::<Spec<'_>>(text).unwrap().labels()
    }

    #[test]
    fn what_clients_send_is_read() {
        let text = r#"{"Name":"db","Labels":{"a":"1"},"Data":"aHVudGVyMg==","Other":[1]}"#;
        let mut spec: Spec<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(spec.name(), "db");
        assert!(spec.labels().unwrap().matches("a=1"));
        assert_eq!(spec.value().ok().unwrap().unwrap().expose(), b"hunter2");
        let null = r#"{"Name":"db","Labels":null,"Data":null,"Driver":null,"Templating":null}"#;
        assert!(labels(null).unwrap().as_map().is_empty());
    }

    #[test]
    fn drivers_and_templates_are_refused() {
        assert_eq!(labels(r#"{"Driver":{"Name":"x"}}"#).unwrap_err().to_string(), "plugin \"x\" not found");
        assert_eq!(labels(r#"{"Driver":{}}"#).unwrap_err().to_string(), "secret driver must have a name");
        let template = labels(r#"{"Templating":{"Name":"golang"}}"#).unwrap_err();
        assert_eq!(template.status(), StatusCode::NOT_IMPLEMENTED);
    }

    #[test]
    fn an_error_in_the_body_does_not_quote_it() {
        let text = r#"{"Name":"db","Labels":"aHVudGVyMg=="}"#;
        let error = serde_json::from_str::<Spec<'_>>(text).err().map(ApiError::from).unwrap();
        assert_eq!(error.to_string(), "the request body is not the JSON that is expected (line 1, column 36)");
    }
}
