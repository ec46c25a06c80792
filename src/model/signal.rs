//! Signals by which a program is told that its secrets have changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// A signal that programs take for "read your files again", or for "end, to be started again".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Signal {
    /// SIGHUP: what most daemons reload at.
    Hup,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGTERM.
    Term,
    /// SIGWINCH.
    Winch,
}

const NAMES: [(Signal, &str); 7] = [
    (Signal::Hup, "SIGHUP"),
    (Signal::Int, "SIGINT"),
    (Signal::Quit, "SIGQUIT"),
    (Signal::Usr1, "SIGUSR1"),
    (Signal::Usr2, "SIGUSR2"),
    (Signal::Term, "SIGTERM"),
    (Signal::Winch, "SIGWINCH"),
];

impl Signal {
    /// Reads a name, with or without `SIG`, in any case.
    ///
    /// # Errors
    /// [`ModelError::SignalUnknown`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let upper = text.to_ascii_uppercase();
        let named = NAMES.iter().find(|(_, name)| *name == upper || name.strip_prefix("SIG") == Some(&upper));
        named.map(|(signal, _)| *signal).ok_or_else(|| ModelError::SignalUnknown(text.to_owned()))
    }

    /// Its name, `SIGHUP`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(signal, _)| *signal == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<String> for Signal {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        Self::parse(&text)
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_and_without_their_beginning() {
        for text in ["SIGHUP", "HUP", "hup", "sighup"] {
            assert_eq!(Signal::parse(text), Ok(Signal::Hup), "{text}");
        }
        for (signal, name) in NAMES {
            assert_eq!((Signal::parse(name), signal.to_string().as_str()), (Ok(signal), name));
        }
        for text in ["", "SIG", "KILL", "1", "SIGSIGHUP"] {
            assert!(Signal::parse(text).is_err(), "{text}");
        }
    }
}
