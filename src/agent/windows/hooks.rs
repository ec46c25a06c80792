//! The door for hooks and the wrapper: a pipe of its own, for SYSTEM and administrators. One connection is one request and
//! one answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tracing::{debug, warn};

use super::admin::{Admission, Listener, NOT_ADMITTED, Stream, is_passing};
use super::delivery::Deliveries;
use crate::wire::windows::{PipeAnswer, PipeRequest};
use crate::wire::{HEADER, WireError, body_length, decode, encode};

/// The pause after the system could not give us a connection.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The pipe, and what is done for those who come in by it.
pub struct HookDoor {
    listener: Listener,
    deliveries: Arc<Deliveries>,
    /// How many at one time.
    places: Arc<Semaphore>,
    /// How long one message is waited for.
    patience: Duration,
}

impl HookDoor {
    /// The door of the pipe `name`; in a tokio runtime.
    ///
    /// # Errors
    /// Those of [`Listener::new`].
    pub fn open(name: &str, deliveries: Arc<Deliveries>, places: usize, patience: Duration) -> io::Result<Self> {
        let (listener, places) = (Listener::new(name)?, Arc::new(Semaphore::new(places)));
        Ok(Self { listener, deliveries, places, patience })
    }

    /// Serves until `stop` says so; an exchange that is under way then is left to its end.
    pub async fn keep(mut self, mut stop: Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok(stream) => self.admit(stream).await,
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept a hook's connection");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }

    async fn admit(&self, stream: Stream) {
        let peer = match Admission.judge(&stream) {
            Ok((peer, true)) => peer,
            Ok((peer, false)) => return warn!(pid = peer.pid, uid = peer.uid, "the hooks' pipe: {NOT_ADMITTED}"),
            Err(error) => return debug!(%error, "a hook has gone before it was looked at"),
        };
        // Closed never, so there is a place some time.
        let Ok(place) = self.places.clone().acquire_owned().await else { return };
        let (deliveries, patience) = (self.deliveries.clone(), self.patience);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, deliveries, patience, peer.pid).await {
                debug!(pid = peer.pid, %error, "the exchange with a hook broke off");
            }
            drop(place);
        });
    }
}

async fn serve(mut stream: Stream, deliveries: Arc<Deliveries>, patience: Duration, pid: u32) -> io::Result<()> {
    let request = tokio::time::timeout(patience, receive(&mut stream)).await??;
    let answer = match request {
        Ok(request) => tokio::task::spawn_blocking(move || deliveries.answer(request, pid)).await?,
        Err(error) => PipeAnswer::Refused { reason: error.to_string() },
    };
    let frame = encode(&answer).map_err(io::Error::other)?;
    let sent = async {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        // Dropping the pipe would take back what has not been read: the client closes it when it has.
        let _ = stream.read(&mut [0]).await;
        Ok(())
    };
    tokio::time::timeout(patience, sent).await?
}

async fn receive(stream: &mut Stream) -> io::Result<Result<PipeRequest, WireError>> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let length = match body_length(&header) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(decode(&body))
}
