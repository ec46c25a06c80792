//! What happened, for those who watch: a bounded memory of past events and a channel for those to come. Events name
//! objects; they never hold a value.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::model::Timestamp;

/// How many past events are kept: as many as Docker keeps.
pub const KEPT: usize = 256;
/// How many events a slow watcher may be behind before it misses some.
const BEHIND: usize = 256;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container that was delivered to.
    Container,
    /// A secret.
    Secret,
    /// A service.
    Service,
}

impl Kind {
    /// The word in Docker's `Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Secret => "secret",
            Self::Service => "service",
        }
    }

    /// Docker's `scope`: secrets and services are the cluster's, containers the machine's.
    fn scope(self) -> &'static str {
        match self {
            Self::Container => "local",
            Self::Secret | Self::Service => "swarm",
        }
    }
}

/// One event, in Docker's JSON.
#[derive(Debug, Serialize)]
pub struct Event {
    /// What it is about.
    #[serde(rename = "Type")]
    pub kind: Kind,
    /// What happened: `create`, `update`, `remove`, …
    #[serde(rename = "Action")]
    pub action: &'static str,
    /// To which object.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Docker's `swarm` or `local`.
    pub scope: &'static str,
    /// Seconds since 1970.
    pub time: u64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: u64,
}

/// The object of an event.
#[derive(Debug, Serialize)]
pub struct Actor {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name, and what else is known.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<&'static str, String>,
}

/// Takes events and hands them to everyone who watches.
#[derive(Debug)]
pub struct Events {
    past: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { past: Mutex::default(), live: broadcast::channel(BEHIND).0 }
    }
}

impl Events {
    /// Notes that `action` happened to the object `id` called `name` at `now`.
    pub fn emit(
        &self,
        now: Timestamp,
        kind: Kind,
        action: &'static str,
        id: &str,
        name: &str,
        attributes: &[(&'static str, &str)],
    ) {
        let mut all: BTreeMap<_, _> = attributes.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        all.insert("name", name.to_owned());
        let event = Arc::new(Event {
            kind,
            action,
            actor: Actor { id: id.to_owned(), attributes: all },
            scope: kind.scope(),
            time: now.0 / 1_000_000_000,
            time_nano: now.0,
        });
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Sent under the lock, so that `watch` sees each event once. An error means that nobody watches.
        let _ = self.live.send(event);
    }

    /// The events that are kept, oldest first, and all that follow them.
    pub fn watch(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        (past.iter().cloned().collect(), self.live.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emit(events: &Events, nanos: u64) {
        events.emit(Timestamp(nanos), Kind::Secret, "create", "id", "db", &[]);
    }

    #[test]
    fn an_event_has_dockers_form() {
        let events = Events::default();
        emit(&events, 1_500_000_000_000_000_007);
        let json = serde_json::to_value(&*events.watch().0[0]).unwrap();
        let expected = serde_json::json!({
            "Type": "secret", "Action": "create", "Actor": {"ID": "id", "Attributes": {"name": "db"}},
            "scope": "swarm", "time": 1_500_000_000, "timeNano": 1_500_000_000_000_000_007_u64,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn the_past_is_bounded_and_nothing_is_seen_twice() {
        let events = Events::default();
        for nanos in 0..300 {
            emit(&events, nanos);
        }
        let (past, mut live) = events.watch();
        assert_eq!((past.len(), past[0].time_nano), (KEPT, 300 - KEPT as u64));
        emit(&events, 300);
        assert_eq!(live.try_recv().unwrap().time_nano, 300);
        assert!(live.try_recv().is_err());
    }
}
