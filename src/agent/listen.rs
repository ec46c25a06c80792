//! Accepting connections: who may come in, how many at one time, and how they are let go at the end. No peer that is
//! refused gets a byte read, and no failure to accept ends the agent or makes it spin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use super::admin::{Admission, Listener, NOT_ADMITTED, Stream, is_passing};
use super::api::Api;
use super::config::Limits;
use super::patient::Patient;
use crate::sys::here::peer::Peer;

/// The bytes of a request's head, or ahead in its body, that are kept; hyper takes up to twice as many while it reads.
const MAX_HEAD: usize = 64 * 1024;
/// The pause after the system could not give us a connection.
const BACK_OFF: Duration = Duration::from_millis(100);
/// The least time between two log lines of one kind at one door.
const QUIET: Duration = Duration::from_secs(1);

/// One way in, who may use it, and how many at one time.
pub struct Door {
    name: &'static str,
    listener: Listener,
    admission: Admission,
    places: Arc<Semaphore>,
    all_places: usize,
}

/// Writes at most one line in [`QUIET`] and counts the others.
#[derive(Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    unsaid: u64,
}

impl Throttle {
    /// How many lines were left out since the last one, when it is time for one.
    pub(super) fn due(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < QUIET) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Door {
    /// A door called `name` in the log.
    pub fn new(name: &'static str, listener: Listener, admission: Admission, places: usize) -> Self {
        Self { name, listener, admission, places: Arc::new(Semaphore::new(places)), all_places: places }
    }

    /// Accepts until `stop`, gives each connection that may come in to `serve`, then waits for the last of them to end,
    /// but not longer than `patience`. `serve` must return at once.
    pub async fn keep(
        mut self,
        mut stop: Receiver<bool>,
        patience: Duration,
        mut serve: impl FnMut(Stream, Peer, OwnedSemaphorePermit),
    ) {
        let (mut refused, mut full, mut failed) = (Throttle::default(), Throttle::default(), Throttle::default());
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                // The client left again, or a signal came.
                Err(error) if is_passing(&error) => continue,
                Err(error) => {
                    if let Some(unsaid) = failed.due() {
                        warn!(socket = self.name, %error, unsaid, "cannot accept a connection");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let (peer, admitted) = match self.admission.judge(&stream) {
                Ok(judged) => judged,
                Err(error) => {
                    if let Some(unsaid) = refused.due() {
                        warn!(socket = self.name, %error, unsaid, "refused: nobody can say who it is");
                    }
                    continue;
                }
            };
            if !admitted {
                if let Some(unsaid) = refused.due() {
                    warn!(socket = self.name, uid = peer.uid, pid = peer.pid, unsaid, "{NOT_ADMITTED}");
                }
                continue;
            }
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                if let Some(unsaid) = full.due() {
                    warn!(
                        socket = self.name,
                        limit = self.all_places,
                        unsaid,
                        "dropped a connection: too many at one time"
                    );
                }
                continue;
            };
            serve(stream, peer, place);
        }
        drop(self.listener);
        let all = u32::try_from(self.all_places).unwrap_or(u32::MAX);
        if tokio::time::timeout(patience, self.places.acquire_many(all)).await.is_err() {
            warn!(socket = self.name, open = self.all_places - self.places.available_permits(), "connections cut off");
        }
    }
}

/// Starts an HTTP conversation on an admin connection.
pub fn serve_api(api: &Arc<Api>, limits: &Limits, stream: Stream, peer: Peer, place: OwnedSemaphorePermit) {
    let (api, mut stop) = (api.clone(), api.stop.clone());
    let header_time = limits.header_seconds.seconds();
    let stream = TokioIo::new(Patient::new(stream, limits.answer_seconds.seconds()));
    tokio::spawn(async move {
        let service = service_fn(|request| {
            let api = api.clone();
            async move { Ok::<_, std::convert::Infallible>(api.answer(peer, request).await) }
        });
        // The header time runs between requests too, so it is also how long an idle connection stays.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_time)
            .max_buf_size(MAX_HEAD)
            .serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(uid = peer.uid, pid = peer.pid, %error, "a connection ended early");
        }
        drop(place);
    });
}

async fn stopped(stop: &mut Receiver<bool>) {
    // An error means that the sender is gone, and the agent with it.
    let _ = stop.wait_for(|stop| *stop).await;
}
