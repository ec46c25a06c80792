//! The HTTP surface on the admin socket: Docker's secrets, events, version and ping, and our own endpoints below
//! `/runsecrets/v1`. It checks what comes in and shapes what goes out; what is allowed and kept is the catalog's affair.

pub mod answer;
pub mod body;
mod commands;
pub mod containers;
pub mod error;
pub mod filters;
pub mod secrets;
pub mod services;
pub mod status;
mod unlock;
pub mod version;
mod versions;
pub mod watch;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request};
use percent_encoding::percent_decode_str;
use tokio::sync::watch::Receiver;
use tracing::{debug, error, info};

use self::answer::{Answer, HttpAnswer};
use self::error::ApiError;
use super::autolock::Autolock;
use super::catalog::Catalog;
use super::clock::now;
use super::delivery::{Deliveries, Delivery};
use super::events::{Events, Kind};
use crate::model::{SecretInfo, Service, escaped};
use crate::sys::here::peer::Peer;

/// What the requests are answered from.
pub struct Api {
    /// Secrets and services, behind their lock.
    pub lock: Arc<Autolock>,
    /// The containers that hold secrets.
    pub deliveries: Arc<Deliveries>,
    /// What happened.
    pub events: Arc<Events>,
    /// What is kept in step with the services: the file of CDI devices, where one is.
    pub follower: Option<Follower>,
    /// What the start has found.
    pub facts: status::Facts,
    /// How many versions of a secret are kept.
    pub kept_versions: usize,
    /// How long a client may take to send a body.
    pub body_time: Duration,
    /// Becomes true when the agent stops.
    pub stop: Receiver<bool>,
}

/// Brings something up to what the services are now; blocks. It says what failed.
pub type Follower = Arc<dyn Fn(&Autolock) -> Result<(), String> + Send + Sync>;

/// One request: who asks, with what parameters and what body.
struct Call {
    peer: Peer,
    head: Parts,
    body: Incoming,
    body_time: Duration,
}

impl Call {
    /// The first parameter called `name` in the query.
    fn query(&self, name: &str) -> Option<String> {
        let query = self.head.uri.query().unwrap_or("").as_bytes();
        form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The body, of at most `limit` bytes.
    async fn body(self, limit: usize) -> Result<Vec<u8>, ApiError> {
        body::read(self.body, limit, self.body_time).await
    }
}

impl Api {
    /// Answers one request of `peer`, who is allowed to ask.
    pub async fn answer(&self, peer: Peer, request: Request<Incoming>) -> HttpAnswer {
        let (head, body) = request.into_parts();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let answer = match version::strip(&path) {
            Ok(path) => self.route(path, Call { peer, head, body, body_time: self.body_time }).await,
            Err(refusal) => Err(refusal),
        };
        let answer = answer.unwrap_or_else(|failure| {
            if failure.status() == hyper::StatusCode::INTERNAL_SERVER_ERROR {
                error!(uid = peer.uid, pid = peer.pid, "{method} {}: {failure}", escaped(&path));
            }
            Answer::error(&failure)
        });
        let answer = answer.finish();
        debug!(uid = peer.uid, pid = peer.pid, status = answer.status().as_u16(), "{method} {}", escaped(&path));
        answer
    }

    /// The whole surface, one line an endpoint.
    async fn route(&self, path: &str, call: Call) -> Result<Answer, ApiError> {
        let method = call.head.method.clone();
        let segments: Vec<_> = path.strip_prefix('/').unwrap_or(path).split('/').map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        // No name is empty, and an empty prefix would fit every id.
        if segments.contains(&"") {
            return Err(unsupported(&method, path, &segments));
        }
        match (method.as_str(), segments.as_slice()) {
            ("GET" | "HEAD", ["_ping"]) => Ok(version::ping()),
            ("GET" | "HEAD", ["version"]) => Ok(version::describe()),
            ("GET", ["events"]) => watch::events(self, &call),

            ("GET", ["secrets"]) => secrets::list(self, call).await,
            ("POST", ["secrets", "create"]) => secrets::create(self, call).await,
            ("GET", ["secrets", reference]) => secrets::inspect(self, reference).await,
            ("DELETE", ["secrets", reference]) => secrets::remove(self, reference, call).await,
            ("POST", ["secrets", reference, "update"]) => secrets::relabel(self, reference, call).await,

            ("POST", ["runsecrets", "v1", "secrets", "prune"]) => secrets::prune(self, call).await,
            ("POST", ["runsecrets", "v1", "secrets", "update"]) => versions::update_group(self, call).await,
            ("POST", ["runsecrets", "v1", "secrets", reference, "update"]) => {
                versions::update(self, reference, call).await
            }
            ("POST", ["runsecrets", "v1", "secrets", reference, "rollback"]) => {
                versions::rollback(self, reference, call).await
            }
            ("GET", ["runsecrets", "v1", "secrets", reference, "history"]) => versions::history(self, reference).await,
            ("POST", ["runsecrets", "v1", "unlock"]) => unlock::unlock(self, call).await,
            ("POST", ["runsecrets", "v1", "autolock"]) => unlock::autolock(self, call).await,
            ("GET", ["runsecrets", "v1", "status"]) => status::describe(self).await,
            ("GET", ["runsecrets", "v1", "ps"]) => containers::ps(self, None).await,
            ("GET", ["runsecrets", "v1", "services"]) => services::list(self, call).await,
            ("POST", ["runsecrets", "v1", "services", "create"]) => services::create(self, call).await,
            ("GET", ["runsecrets", "v1", "services", reference]) => services::inspect(self, reference).await,
            ("DELETE", ["runsecrets", "v1", "services", reference]) => services::remove(self, reference, call).await,
            ("POST", ["runsecrets", "v1", "services", reference, "update"]) => {
                services::update(self, reference, call).await
            }
            ("GET", ["runsecrets", "v1", "services", reference, "ps"]) => containers::ps(self, Some(reference)).await,
            ("POST", ["runsecrets", "v1", "services", reference, "healthy"]) => {
                containers::service_healthy(self, reference).await
            }
            ("POST", ["runsecrets", "v1", "commands", "next"]) => commands::next(self).await,
            ("POST", ["runsecrets", "v1", "commands", number, "ended"]) => commands::ended(self, number, call).await,
            ("POST", ["runsecrets", "v1", "containers", id, "healthy"]) => containers::healthy(self, id).await,

            (_, segments) => Err(unsupported(&method, path, segments)),
        }
    }

    /// Runs `work` on a thread that may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Catalog) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let catalog = self.lock.catalog()?;
        tokio::task::spawn_blocking(move || work(&catalog)).await.unwrap_or_else(|_| Err(lost_thread()))
    }

    /// Runs `work` on a thread that may wait, also while the agent is locked.
    async fn waiting<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        tokio::task::spawn_blocking(work).await.map_err(|_| lost_thread())
    }

    /// The containers that hold secrets now.
    async fn deliveries(&self) -> Result<Vec<Delivery>, ApiError> {
        let deliveries = self.deliveries.clone();
        self.waiting(move || deliveries.list()).await
    }

    /// What tells of what `peer` has done.
    fn teller(&self, peer: Peer) -> Teller {
        Teller { lock: self.lock.clone(), events: self.events.clone(), follower: self.follower.clone(), peer }
    }
}

/// Tells of what was done. It goes with the work to its thread: who hangs up before the answer ends our waiting for the
/// work, and not the work, and is not to leave it untold.
struct Teller {
    lock: Arc<Autolock>,
    events: Arc<Events>,
    follower: Option<Follower>,
    peer: Peer,
}

impl Teller {
    /// Has what follows the services do so: they may have changed; blocks. What was asked for is done, so a failure is logged
    /// and no more.
    fn services_changed(&self) {
        if let Some(Err(failure)) = self.follower.as_ref().map(|follow| follow(&self.lock)) {
            error!("{failure}");
        }
    }

    /// Tells the log and those who watch what was done, and by whom.
    fn tell(&self, kind: Kind, action: &'static str, id: &str, name: &str) {
        info!(uid = self.peer.uid, pid = self.peer.pid, id, name, "{} {action}", kind.as_str());
        self.events.emit(now(), kind, action, id, name, &[]);
    }

    fn tell_secret(&self, action: &'static str, secret: &SecretInfo) {
        self.tell(Kind::Secret, action, secret.id.as_str(), secret.name.as_str());
    }

    /// When what follows the services has been told: who watches may use the device.
    fn tell_service(&self, action: &'static str, service: &Service) {
        self.services_changed();
        self.tell(Kind::Service, action, service.id.as_str(), service.name.as_str());
    }
}

/// A segment of a path without its percent signs; one that is not UTF-8 then is no name of anything.
fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

fn lost_thread() -> ApiError {
    ApiError::Internal("a thread ended before its work".to_owned())
}

/// What to do instead of what Docker would do at `path`.
fn unsupported(method: &Method, path: &str, segments: &[&str]) -> ApiError {
    let instead = match segments.first().copied().unwrap_or("") {
        "secrets" | "events" | "version" | "_ping" | "runsecrets" => "see `runsecrets --help` for what there is",
        "services" | "tasks" | "nodes" | "swarm" => {
            "there is no swarm; `runsecrets service create` names what a container gets"
        }
        "configs" => "a secret serves as well: `runsecrets secret create`",
        _ => "use your container engine; containers that it starts get the secrets of the service that they claim",
    };
    ApiError::Unsupported { method: method.to_string(), path: path.to_owned(), instead }
}
