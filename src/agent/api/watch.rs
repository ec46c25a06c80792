//! `GET /events`: what happened since a time and what happens until another, one JSON object a line.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::answer::Answer;
use super::error::ApiError;
use super::filters::Filters;
use super::{Api, Call};
use crate::agent::clock::now;
use crate::agent::events::Event;
use crate::model::Timestamp;

/// Lines that wait for a slow client; the channel of events holds the rest.
const WAITING: usize = 16;

/// `GET /events?since=&until=&filters=`: past events only when a time is given, as in Docker.
pub(super) fn events(api: &Api, call: &Call) -> Result<Answer, ApiError> {
    let filters = Filters::parse(call.query("filters").as_deref())?;
    let since = time(call.query("since").as_deref())?;
    let until = time(call.query("until").as_deref())?;
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(ApiError::TimeOrder);
    }
    let (past, mut live) = api.events.watch();
    let in_time = move |event: &Event| {
        since.is_none_or(|since| event.time_nano >= since.0) && until.is_none_or(|until| event.time_nano <= until.0)
    };
    let backlog = if since.is_some() || until.is_some() { past } else { Vec::new() };
    let (lines, receiver) = mpsc::channel(WAITING);
    let mut stop = api.stop.clone();
    tokio::spawn(async move {
        let end = until.map(|until| Duration::from_nanos(until.0.saturating_sub(now().0)));
        let relay = async {
            loop {
                match live.recv().await {
                    Ok(event) if !send(&lines, &filters, &event).await => return,
                    // A client that is too slow misses events; it is not waited for.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        };
        let ended = async {
            match end {
                // Times of 292 years and more are no reason to stop.
                Some(left) => tokio::time::sleep(left.min(Duration::from_secs(1 << 32))).await,
                None => std::future::pending().await,
            }
        };
        let all = async {
            // However long the client takes for it: what is past is sent even if the end is past as well.
            for event in backlog {
                if in_time(&event) && !send(&lines, &filters, &event).await {
                    return;
                }
            }
            tokio::select! {
                biased;
                () = relay => {}
                () = ended => {}
            }
        };
        tokio::select! {
            () = all => {}
            _ = stop.wait_for(|stop| *stop) => {}
            () = lines.closed() => {}
        }
    });
    Ok(Answer::lines(receiver))
}

/// Sends the event if the filters let it through; false when the client is gone.
async fn send(lines: &mpsc::Sender<Bytes>, filters: &Filters, event: &Arc<Event>) -> bool {
    if !selected(filters, event) {
        return true;
    }
    let Ok(mut line) = serde_json::to_vec(&**event) else { return true };
    line.push(b'\n');
    lines.send(line.into()).await.is_ok()
}

/// Docker's filters: `type`, `event`, `scope`, `label`, and an object's kind with its name or id. A filter for a kind
/// that we have no events of lets none through.
fn selected(filters: &Filters, event: &Event) -> bool {
    let (kind, name) = (event.kind.as_str(), event.actor.attributes.get("name"));
    let labelled = |label: &String| match label.split_once('=') {
        Some((key, value)) => event.actor.attributes.get(key).is_some_and(|have| have == value),
        None => event.actor.attributes.contains_key(label.as_str()),
    };
    filters.any("type", |wanted| wanted == kind)
        && filters.any("event", |wanted| wanted == event.action)
        && filters.any("scope", |wanted| wanted == event.scope)
        && filters.all("label", labelled)
        && filters.names().all(|filter| match filter {
            "type" | "event" | "scope" | "label" => true,
            filter if filter == kind => filters.any(filter, |wanted| *wanted == event.actor.id || Some(wanted) == name),
            _ => false,
        })
}

/// `SECONDS` or `SECONDS.FRACTION`, as Docker's client sends times.
fn time(text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let parse = || {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
        // Before 1970 is before everything.
        let seconds = u64::try_from(seconds.parse::<i64>().ok()?).unwrap_or(0);
        Some(Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)))
    };
    parse().map(Some).ok_or_else(|| ApiError::Time(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::events::{Events, Kind};

    fn event() -> Arc<Event> {
        let events = Events::default();
        events.emit(Timestamp(0), Kind::Secret, "create", "id1", "db", &[]);
        events.watch().0.remove(0)
    }

    fn shown(filters: &str) -> bool {
        selected(&Filters::parse(Some(filters)).unwrap(), &event())
    }

    #[test]
    fn filters_select_as_dockers_do() {
        for filters in [
            "{}",
            r#"{"type":["secret"]}"#,
            r#"{"type":["node","secret"],"event":["create"]}"#,
            r#"{"secret":["db"]}"#,
            r#"{"secret":{"id1":true}}"#,
            r#"{"scope":["swarm"]}"#,
            r#"{"label":["name=db"]}"#,
        ] {
            assert!(shown(filters), "{filters}");
        }
        for filters in [
            r#"{"type":["container"]}"#,
            r#"{"event":["remove"]}"#,
            r#"{"secret":["d"]}"#,
            r#"{"container":["db"]}"#,
            r#"{"scope":["local"]}"#,
            r#"{"label":["x"]}"#,
        ] {
            assert!(!shown(filters), "{filters}");
        }
    }

    #[test]
    fn times_are_read_as_dockers_client_sends_them() {
        assert_eq!(time(Some("12")).unwrap(), Some(Timestamp(12_000_000_000)));
        assert_eq!(time(Some("12.000000345")).unwrap(), Some(Timestamp(12_000_000_345)));
        assert_eq!(time(Some("12.5")).unwrap(), Some(Timestamp(12_500_000_000)));
        assert_eq!(time(Some("-5")).unwrap(), Some(Timestamp(0)));
        assert_eq!(time(Some("")).unwrap(), None);
        for text in ["x", "1.x", "1.0000000000", "2024-01-01", "99999999999999999999"] {
            assert!(time(Some(text)).is_err(), "{text}");
        }
    }
}
