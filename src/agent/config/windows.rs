//! The keys of the configuration on Windows.

use serde::{Deserialize, Deserializer, de};

use super::{Limits, Log, Paths, RootKey, Secrets};
use crate::model::PIPE;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = r"C:\ProgramData\runsecrets\config.toml";
/// The longest name of a pipe, with `\\.\pipe\` before it, in characters.
const MAX_PIPE: usize = 256;

config! {}

/// Where administrators ask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Api {
    /// The named pipe. Default `\\.\pipe\runsecrets`.
    #[serde(deserialize_with = "pipe")]
    pub pipe: String,
}

/// How secrets reach containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Delivery {
    /// What a volume without BitLocker is worth. Default `require`.
    pub bitlocker: Bitlocker,
}

/// What is done where BitLocker does not protect the volume of the secrets, or nobody can say whether it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bitlocker {
    /// Nothing is delivered.
    #[default]
    Require,
    /// It is delivered all the same, with a warning.
    Warn,
}

impl Default for Paths {
    fn default() -> Self {
        Self { state_dir: r"C:\ProgramData\runsecrets\state".into(), run_dir: r"C:\ProgramData\runsecrets".into() }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { pipe: PIPE.to_owned() }
    }
}

/// The name of a pipe of this machine.
fn pipe<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.strip_prefix(r"\\.\pipe\").unwrap_or_default();
    match name.is_empty() || name.contains(['\\', '\0']) || text.chars().count() > MAX_PIPE {
        true => Err(de::Error::custom(format_args!(r"'{}' is not \\.\pipe\ and a name", text.escape_debug()))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("c.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_example_names_every_key_and_states_the_defaults() {
        let shipped = include_str!("../../../windows/config.toml");
        assert_eq!(format!("{:?}", parse(shipped).unwrap()), format!("{:?}", Config::default()));
        let all = parse(&shipped.replace("\n#file", "\nfile")).unwrap();
        assert_eq!(all.root_key.file, Some(Config::default().root_key_file()));
    }

    #[test]
    fn what_is_not_a_path_or_pipe_of_this_machine_is_refused() {
        for text in [
            "[paths]\nstate-dir = 'x'",
            "[paths]\nstate-dir = 'C:x'",
            r"paths.state-dir = 'C:\a\..\b'",
            r"root-key.file = '\x'",
            r"api.pipe = '\\other\pipe\x'",
            r"api.pipe = '\\.\pipe\'",
            r"api.pipe = '\\.\pipe\a\b'",
            "[docker]\nsocket = []",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("delivery.bitlocker = 'warn'").unwrap().delivery.bitlocker, Bitlocker::Warn);
    }
}
