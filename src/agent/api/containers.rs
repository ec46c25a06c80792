//! Our own endpoints about containers that hold secrets: what they have, and that they are healthy.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::answer::Answer;
use super::error::ApiError;
use super::services::find;
use crate::agent::clock::rfc3339;
use crate::agent::delivery::{Delivery, Ended, Healthy, Weakness};

/// `GET /ps` and `GET /services/{ref}/ps`: the containers that hold secrets now.
pub(super) async fn ps(api: &Api, reference: Option<&str>) -> Result<Answer, ApiError> {
    let only = match reference {
        Some(reference) => Some(find(api, reference).await?.id),
        None => None,
    };
    let deliveries = api.deliveries.clone();
    let mut deliveries = api.waiting(move || deliveries.list_with_weaknesses()).await?;
    deliveries.retain(|(delivery, _)| only.as_ref().is_none_or(|id| *id == delivery.service_id));
    Ok(Answer::json(StatusCode::OK, &deliveries.iter().map(container).collect::<Vec<_>>()))
}

/// `POST /services/{ref}/healthy`: what its containers have until they are healthy is taken away.
pub(super) async fn service_healthy(api: &Api, reference: &str) -> Result<Answer, ApiError> {
    end_healthy(api, Healthy::Service(find(api, reference).await?.id)).await
}

/// `POST /containers/{id}/healthy`: the same for one container, by its id or the beginning of it.
pub(super) async fn healthy(api: &Api, id: &str) -> Result<Answer, ApiError> {
    let (deliveries, wanted) = (api.deliveries.clone(), id.to_owned());
    let mut found = api.waiting(move || deliveries.beginning_with(&wanted)).await?;
    if found.len() > 1 {
        found.retain(|known| known.as_str() == id);
        if found.is_empty() {
            return Err(ApiError::SeveralContainers(id.to_owned()));
        }
    }
    let id = found.pop_first().ok_or_else(|| ApiError::NoContainer(id.to_owned()))?;
    end_healthy(api, Healthy::Container(id)).await
}

async fn end_healthy(api: &Api, which: Healthy) -> Result<Answer, ApiError> {
    let deliveries = api.deliveries.clone();
    let outcomes = api.waiting(move || deliveries.healthy(&which)).await?;
    Ok(Answer::json(StatusCode::OK, &json!({ "Containers": outcomes })))
}

fn container((delivery, weaknesses): &(Delivery, Vec<Weakness>)) -> Value {
    let secrets: Vec<_> = delivery
        .secrets
        .iter()
        .map(|held| {
            json!({
                "ID": held.id, "Name": held.name, "Version": held.version, "Target": held.target,
                "Since": rfc3339(held.since), "Until": held.until,
            })
        })
        .collect();
    let ended = |ended: &Ended| {
        json!({
            "ID": ended.id, "Name": ended.name, "Version": ended.version, "Target": ended.target,
            "Until": ended.until, "At": rfc3339(ended.at),
        })
    };
    json!({
        "Container": delivery.id,
        "Service": delivery.service,
        "Pid": delivery.pid,
        "Since": rfc3339(delivery.since),
        "Secrets": secrets,
        "Ended": delivery.ended.iter().map(ended).collect::<Vec<_>>(),
        "Protection": delivery.protection,
        "Weaknesses": weaknesses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Bundle": delivery.bundle,
        "User": delivery.uid,
        "Notified": delivery.notified.as_ref().map(|notified| {
            json!({"Signal": notified.signal, "At": rfc3339(notified.at), "Failure": notified.failure})
        }),
        "Commanded": delivery.commanded.as_ref().map(|it| {
            json!({"Command": it.command, "At": rfc3339(it.at), "Outcome": it.state.to_string()})
        }),
    })
}
