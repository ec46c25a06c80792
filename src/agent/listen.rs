//! Accepting connections: who may come in, how many at one time, and how they are let go at the end. No peer that is
//! refused gets a byte read, and no failure to accept ends the agent or makes it spin.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use super::api::Api;
use super::config::Limits;
use super::patient::Patient;
use crate::sys::linux::peer::{self, Peer};
use crate::sys::linux::process::effective_uid;

/// The bytes of a request's head, or ahead in its body, that are kept; hyper takes up to twice as many while it reads.
const MAX_HEAD: usize = 64 * 1024;
/// The pause after the system could not give us a connection.
const BACK_OFF: Duration = Duration::from_millis(100);
/// The least time between two log lines of one kind at one door.
const QUIET: Duration = Duration::from_secs(1);

/// Who may connect, besides root and the agent's own user.
#[derive(Debug, Clone, Copy)]
pub enum Admission {
    /// Nobody.
    RootOnly,
    /// Members of this group.
    Group(u32),
}

impl Admission {
    /// Whether the peer of `stream` may come in: by its user, its group, or one of its other groups.
    fn admits(self, stream: &UnixStream, peer: Peer) -> bool {
        peer.uid == 0
            || peer.uid == effective_uid()
            || match self {
                Self::RootOnly => false,
                Self::Group(group) => {
                    peer.gid == group || peer::groups(stream).is_ok_and(|groups| groups.contains(&group))
                }
            }
    }
}

/// One socket, who may use it, and by how many at one time.
pub struct Door {
    name: &'static str,
    listener: UnixListener,
    /// Others in the place of `listener`, when its name has gone.
    replacements: UnboundedReceiver<UnixListener>,
    admission: Admission,
    places: Arc<Semaphore>,
    all_places: usize,
}

/// What makes a door serve another listener in the place of its own.
#[derive(Clone)]
pub struct Replacer(UnboundedSender<UnixListener>, Handle);

impl Replacer {
    /// Has the door serve `listener`. A door that is closed by now serves nothing.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn replace(&self, listener: StdListener) -> io::Result<()> {
        let _entered = self.1.enter();
        let _ = self.0.send(UnixListener::from_std(listener)?);
        Ok(())
    }
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

/// A descriptor that is kept for the time when there are no others: with it one connection more can be taken, and told why
/// it is let go.
struct Reserve(Option<File>);

impl Reserve {
    /// What a peer is told.
    const WORDS: &str = "the agent has too many open files to answer; wait, or raise its limit (LimitNOFILE=)";

    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Gives it up for as long as `work` takes.
    fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.0 = None;
        let done = work();
        *self = Self::new();
        done
    }

    /// Whether `error` says that there are no descriptors left, of this process or of the machine.
    fn helps(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }
}

/// The answer to a request that is not read.
fn turn_away(stream: &UnixStream) {
    let body = serde_json::json!({"message": Reserve::WORDS}).to_string();
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close";
    // A peer that takes nothing has gone.
    let _ = stream.try_write(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

impl Door {
    /// A door called `name` in the log, and what replaces its listener. Within a runtime only.
    pub fn new(name: &'static str, listener: UnixListener, admission: Admission, places: usize) -> (Self, Replacer) {
        let (sender, replacements) = unbounded_channel();
        let all = Arc::new(Semaphore::new(places));
        let door = Self { name, listener, replacements, admission, places: all, all_places: places };
        (door, Replacer(sender, Handle::current()))
    }

    /// Accepts until `stop`, gives each connection that may come in to `serve`, then waits for the last of them to end,
    /// but not longer than `patience`. `serve` must return at once.
    pub async fn keep(
        mut self,
        mut stop: Receiver<bool>,
        patience: Duration,
        mut serve: impl FnMut(UnixStream, Peer, OwnedSemaphorePermit),
    ) {
        let (mut refused, mut full, mut failed) = (Throttle::default(), Throttle::default(), Throttle::default());
        let mut reserve = Reserve::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(listener) = self.replacements.recv() => {
                    self.listener = listener;
                    continue;
                }
                accepted = self.listener.accept() => accepted.map(|(stream, _)| stream),
            };
            let stream = match accepted {
                Ok(stream) => stream,
                // The client left again, or a signal came.
                Err(error) if is_passing(&error) => continue,
                Err(error) => {
                    if let Some(unsaid) = failed.due() {
                        warn!(socket = self.name, %error, unsaid, "cannot accept a connection");
                    }
                    if Reserve::helps(&error) {
                        reserve.lend(|| {
                            let mut context = Context::from_waker(Waker::noop());
                            if let Poll::Ready(Ok((stream, _))) = self.listener.poll_accept(&mut context) {
                                turn_away(&stream);
                            }
                        });
                    }
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let Ok(peer) = peer::credentials(&stream) else { continue };
            if !self.admission.admits(&stream, peer) {
                if let Some(unsaid) = refused.due() {
                    warn!(
                        socket = self.name,
                        uid = peer.uid,
                        pid = peer.pid,
                        unsaid,
                        "refused: not root, not in the group"
                    );
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

/// Whether an error of accept(2) is over with the connection that it came with.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO | libc::EPERM | libc::ECONNRESET)
    )
}

/// Starts an HTTP conversation on an admin connection.
pub fn serve_api(api: &Arc<Api>, limits: &Limits, stream: UnixStream, peer: Peer, place: OwnedSemaphorePermit) {
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
