//! The command by which a container is told that its secrets have changed: a program that the operator has put into one
//! directory of the host, and its arguments. It is never a line for a shell.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// The longest name of a program, in bytes.
const MAX_NAME: usize = 64;
/// The most arguments.
const MAX_ARGUMENTS: usize = 32;
/// The longest argument, in bytes.
const MAX_ARGUMENT: usize = 1024;

/// A program's name and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Command(Vec<String>);

impl Command {
    /// Reads words with blanks between them. There are no quotes: where an argument needs one, the program can write it.
    ///
    /// # Errors
    /// As [`Command::try_from`]; [`ModelError::CommandQuoted`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        if text.contains(['\'', '"', '\\', '`', '$']) {
            return Err(ModelError::CommandQuoted);
        }
        Self::try_from(text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    /// The program's name: letters, digits, `-`, `_` and `.`, not the first.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        self.0.get(1..).unwrap_or_default()
    }
}

impl TryFrom<Vec<String>> for Command {
    type Error = ModelError;

    fn try_from(words: Vec<String>) -> Result<Self, ModelError> {
        let name = words.first().map_or("", String::as_str);
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(in_name) || name.starts_with(['-', '.']) {
            return Err(ModelError::CommandName(name.to_owned()));
        }
        let fits = |word: &String| word.len() <= MAX_ARGUMENT && !word.chars().any(char::is_control);
        if words.len() > MAX_ARGUMENTS + 1 || !words.iter().all(fits) {
            return Err(ModelError::CommandArguments);
        }
        Ok(Self(words))
    }
}

impl From<Command> for Vec<String> {
    fn from(command: Command) -> Self {
        command.0
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub enum CommandEnd {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It took too long and was killed.
    TimedOut,
    /// It was not run.
    NotRun(String),
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit {status}"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::NotRun(reason) => write!(f, "not run: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_name_and_arguments() {
        let command = Command::parse("podman  nginx -s reload").unwrap();
        assert_eq!((command.program(), command.arguments().join("|").as_str()), ("podman", "nginx|-s|reload"));
        assert_eq!(serde_json::to_string(&command).unwrap(), r#"["podman","nginx","-s","reload"]"#);
        assert_eq!(Command::parse("reload").unwrap().arguments(), &[] as &[String]);
    }

    #[test]
    fn a_name_is_no_path_and_nothing_is_for_a_shell() {
        for name in ["", " ", "/bin/sh", "..", ".hidden", "-c", "a/b", "é", &"a".repeat(MAX_NAME + 1)] {
            assert!(matches!(Command::parse(name), Err(ModelError::CommandName(_))), "{name}");
        }
        for text in ["x 'a b'", "x \"a\"", "x $HOME", "x `id`", "x a\\b"] {
            assert_eq!(Command::parse(text), Err(ModelError::CommandQuoted), "{text}");
        }
        let many = vec!["x".to_owned(); MAX_ARGUMENTS + 2];
        let long = vec!["x".to_owned(), "y".repeat(MAX_ARGUMENT + 1)];
        for words in [many, long, vec!["x".to_owned(), "a\nb".to_owned()]] {
            assert_eq!(Command::try_from(words), Err(ModelError::CommandArguments));
        }
    }
}
