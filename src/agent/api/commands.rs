//! Commands by which containers are told of changes: the next one for whoever runs them, and how one ended.

use std::time::Duration;

use hyper::StatusCode;

use super::answer::Answer;
use super::body;
use super::error::ApiError;
use super::{Api, Call};
use crate::model::CommandEnd;

/// How long a call waits for a command; shorter than clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// `POST /commands/next`: the next command, as soon as there is one; nothing after a while without.
pub(super) async fn next(api: &Api) -> Result<Answer, ApiError> {
    let mut stop = api.stop.clone();
    let deliveries = api.deliveries.clone();
    let waiting = async {
        while !deliveries.has_command() {
            deliveries.commands.notified().await;
        }
    };
    tokio::select! {
        () = waiting => {}
        () = tokio::time::sleep(PATIENCE) => {}
        _ = stop.wait_for(|stop| *stop) => return Ok(Answer::nothing()),
    }
    let deliveries = api.deliveries.clone();
    match api.waiting(move || deliveries.next_command()).await? {
        Some(order) => {
            // There may be another one for another caller.
            api.deliveries.commands.notify_one();
            Ok(Answer::json(StatusCode::OK, &order))
        }
        None => Ok(Answer::nothing()),
    }
}

/// `POST /commands/{number}/ended`.
pub(super) async fn ended(api: &Api, number: &str, call: Call) -> Result<Answer, ApiError> {
    let number: u64 = number.parse().map_err(|_| ApiError::NoCommand)?;
    let end: CommandEnd = serde_json::from_slice(&call.body(body::MAX_BODY).await?)?;
    let deliveries = api.deliveries.clone();
    match api.waiting(move || deliveries.command_ended(number, end)).await? {
        true => Ok(Answer::nothing()),
        false => Err(ApiError::NoCommand),
    }
}
