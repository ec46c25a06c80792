//! How long a secret stays in a container that runs: to its end, or until something has come to pass.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// The longest time: 366 days.
const MAX_SECONDS: u64 = 366 * 24 * 3600;
/// The units of a time, longest first.
const UNITS: [(char, u64); 4] = [('d', 24 * 3600), ('h', 3600), ('m', 60), ('s', 1)];

/// What ends a secret's stay in a container before the container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Until {
    /// So much time has passed since it was delivered, by a clock that nobody sets and that runs while the machine sleeps.
    After(Duration),
    /// An administrator, or whoever watches the container for one, has said that it is healthy.
    Healthy,
    /// It was open for reading, and has been closed again.
    Read,
}

impl Until {
    /// Reads `healthy`, `read`, or a time: a whole number with `s`, `m`, `h` or `d`, from one second to 366 days.
    ///
    /// # Errors
    /// [`ModelError::UntilInvalid`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        match text {
            "healthy" => Ok(Self::Healthy),
            "read" => Ok(Self::Read),
            time => seconds(time)
                .map(|seconds| Self::After(Duration::from_secs(seconds)))
                .ok_or_else(|| ModelError::UntilInvalid(text.to_owned())),
        }
    }
}

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)))?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=MAX_SECONDS).contains(&seconds).then_some(seconds)
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Read => f.write_str("read"),
            Self::After(time) => {
                let seconds = time.as_secs();
                let (unit, size) = UNITS.into_iter().find(|(_, size)| seconds % size == 0).unwrap_or(('s', 1));
                write!(f, "{}{unit}", seconds / size)
            }
        }
    }
}

impl TryFrom<String> for Until {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        Self::parse(&text)
    }
}

impl From<Until> for String {
    fn from(until: Until) -> Self {
        until.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_in_its_longest_unit() {
        for (text, shown) in [("30s", "30s"), ("300s", "5m"), ("90m", "90m"), ("24h", "1d"), ("366d", "366d")] {
            let until = Until::parse(text).unwrap();
            assert_eq!((until.to_string().as_str(), Until::parse(shown)), (shown, Ok(until)), "{text}");
        }
        for word in ["healthy", "read"] {
            assert_eq!(Until::parse(word).unwrap().to_string(), word);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "s", "0s", "5", "-5s", "+5s", "1.5h", "5 m", "5min", "367d", "99999999999999999999s", "Read"] {
            assert_eq!(Until::parse(text), Err(ModelError::UntilInvalid(text.to_owned())), "{text}");
        }
    }
}
