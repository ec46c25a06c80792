//! A question to something that may never answer, asked on a thread of its own. A thread that hangs cannot be ended, so while
//! one does no other is started: there is one at the most, however often it is asked.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("no answer in time"),
            Self::StillWaiting => f.write_str("an earlier question has not been answered yet"),
            Self::Thread(cause) => write!(f, "cannot be asked: {cause}"),
        }
    }
}

/// Asks one thing at a time, and waits for no answer longer than it was told.
#[derive(Debug, Default)]
pub(super) struct Patience<T> {
    /// The answer that did not come in time.
    outstanding: Mutex<Option<Receiver<T>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// None in time.
    Late,
    /// An earlier question has not been answered yet; this one was not asked.
    StillWaiting,
    /// The thread could not be started, or ended without a word.
    Thread(io::Error),
}

impl<T: Send + 'static> Patience<T> {
    pub(super) fn new() -> Self {
        Self { outstanding: Mutex::new(None) }
    }

    /// What `question` answers within `patience`.
    pub(super) fn ask(&self, patience: Duration, question: impl FnOnce() -> T + Send + 'static) -> Result<T, NoAnswer> {
        let mut outstanding = self.outstanding.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer that came too late is of no use any more: the state may have changed since.
        if let Some(earlier) = outstanding.take()
            && matches!(earlier.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty))
        {
            *outstanding = Some(earlier);
            return Err(NoAnswer::StillWaiting);
        }
        let (answer, receiver) = channel();
        let thread = std::thread::Builder::new().name("question".to_owned());
        // Nobody may be waiting any more.
        let asked = thread.spawn(move || drop(answer.send(question())));
        asked.map_err(NoAnswer::Thread)?;
        match receiver.recv_timeout(patience) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Thread(io::ErrorKind::BrokenPipe.into())),
            Err(RecvTimeoutError::Timeout) => {
                *outstanding = Some(receiver);
                Err(NoAnswer::Late)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn an_answer_is_passed_on_and_silence_is_not_waited_for() {
        let patience = Patience::new();
        assert_eq!(patience.ask(Duration::from_secs(60), || 7).unwrap(), 7);
        let (release, hold) = mpsc::channel::<()>();
        let hung = patience.ask(Duration::ZERO, move || {
            let _ = hold.recv();
            8
        });
        assert!(matches!(hung, Err(NoAnswer::Late)));
        let second = patience.ask(Duration::from_secs(60), || panic!("a second thread was started"));
        assert!(matches!(second, Err(NoAnswer::StillWaiting)));
        drop(release);
        // The late answer is thrown away, and the next question is asked anew.
        let answer = loop {
            if let Ok(answer) = patience.ask(Duration::from_secs(60), || 9) {
                break answer;
            }
            std::thread::yield_now();
        };
        assert_eq!(answer, 9);
    }
}
