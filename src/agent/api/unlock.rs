//! The lock's endpoints. An unlock key comes in as values do, and goes out once, when it is made.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::body::{self, Text};
use super::error::ApiError;
use super::{Api, Call, lost_thread};
use crate::agent::autolock::{Autolock, Unlocked};
use crate::secret::SecretBytes;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Form<'a> {
    /// Whether autolock is to be on.
    #[serde(default)]
    autolock: bool,
    /// The unlock key, in base64.
    #[serde(borrow, default)]
    data: Text<'a>,
}

/// `POST /unlock` `{"Data"}`.
pub(super) async fn unlock(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let peer = call.peer;
    let (_, key) = read(call).await?;
    let (deliveries, teller) = (api.deliveries.clone(), api.teller(peer));
    let unlocked = blocking(api, move |lock| {
        let unlocked = lock.unlock(&key.unwrap_or(SecretBytes::zeroed(0)?))?;
        tracing::info!(uid = peer.uid, pid = peer.pid, "unlock: {unlocked:?}");
        if let Ok(catalog) = lock.catalog() {
            deliveries.finish_announced(&catalog);
        }
        teller.services_changed();
        Ok(unlocked)
    })
    .await?;
    let state = match unlocked {
        Unlocked::Opened => "opened",
        Unlocked::Confirmed => "confirmed",
        Unlocked::WasOpen => "open",
    };
    Ok(Answer::json(StatusCode::OK, &json!({ "State": state })).closing())
}

/// `POST /autolock` `{"Autolock","Data"}`: with `true` the answer has the new unlock key.
pub(super) async fn autolock(api: &Api, call: Call) -> Result<Answer, ApiError> {
    let peer = call.peer;
    let (on, key) = read(call).await?;
    tracing::info!(uid = peer.uid, pid = peer.pid, on, "autolock");
    if !on {
        blocking(api, move |lock| Ok(lock.disable(&key.unwrap_or(SecretBytes::zeroed(0)?))?)).await?;
        return Ok(Answer::json(StatusCode::OK, &json!({})).closing());
    }
    let made = blocking(api, move |lock| Ok(lock.enable(key.as_ref())?)).await?;
    let text = Zeroizing::new(String::from_utf8_lossy(made.expose()).into_owned());
    Ok(Answer::json(StatusCode::OK, &json!({ "UnlockKey": *text })).closing())
}

async fn read(call: Call) -> Result<(bool, Option<SecretBytes>), ApiError> {
    let body = call.body(body::MAX_BODY).await?;
    let form: Form<'_> = serde_json::from_slice(&body)?;
    let key = form.data.0.as_deref().map(body::value).transpose()?;
    Ok((form.autolock, key))
}

async fn blocking<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Autolock) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let lock = api.lock.clone();
    tokio::task::spawn_blocking(move || work(&lock)).await.unwrap_or_else(|_| Err(lost_thread()))
}
