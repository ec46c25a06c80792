//! What can be wrong with a name, a label, a target or a grant, in Docker's words where Docker has words for it.

use std::fmt;

use super::text::escaped;

/// Why a piece of text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// A secret's name is empty.
    NameMissing,
    /// A secret's name has a character or a length that is not allowed.
    NameInvalid,
    /// A service's name has a character or a length that is not allowed.
    ServiceNameInvalid,
    /// An id is not 25 base36 characters.
    IdInvalid,
    /// A label has an empty key.
    LabelEmpty(String),
    /// A label's key has white space.
    LabelWhiteSpace(String),
    /// The labels of one object are too many bytes.
    LabelsTooLong,
    /// A container id is empty, too long or has a character that is not allowed.
    ContainerIdInvalid,
    /// A grant's CSV text is not well formed.
    GrantCsv(String),
    /// A field of a grant is not `key=value`.
    GrantField(String),
    /// A field of a grant has a key that is not known.
    GrantKey(String),
    /// A grant names no secret.
    GrantSource,
    /// A mode is not an octal number.
    ModeInvalid(String),
    /// A mode has bits above 0777.
    ModeTooWide(String),
    /// A uid or gid is neither a number below 2^32-1 nor a name.
    OwnerInvalid(String),
    /// A target is empty, too long, or has a NUL or control character.
    TargetInvalid(String),
    /// A target is a place where nothing may be mounted.
    TargetForbidden {
        /// The target after normalising.
        target: String,
        /// The tree it lies in.
        inside: &'static str,
    },
    /// Two grants of a service have one target, or one lies below the other.
    TargetConflict {
        /// The secret of the first grant.
        first: String,
        /// The secret of the second grant.
        second: String,
        /// The target that both want.
        target: String,
    },
    /// A service has more grants than one delivery can carry.
    TooManyGrants(usize),
    /// A selector is not `KEY=REGEX`.
    SelectorInvalid(String),
    /// A selector has a key that no engine stamps.
    SelectorKey(String),
    /// A service has more selectors than are allowed.
    TooManySelectors(usize),
    /// A signal that is none of those that tell a program something.
    SignalUnknown(String),
    /// No name of a program for commands.
    CommandName(String),
    /// A command with too many, too long or odd arguments.
    CommandArguments,
    /// A command that is written for a shell.
    CommandQuoted,
    /// No end of a secret's stay in a container.
    UntilInvalid(String),
    /// A uid that no user has, or root's.
    UserInvalid(u32),
    /// A service is open to more users than are allowed.
    TooManyUsers(usize),
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameMissing => write!(f, "name must be provided"),
            Self::NameInvalid => write!(
                f,
                "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
            ),
            Self::ServiceNameInvalid => write!(
                f,
                "invalid service name, only 63 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
            ),
            Self::IdInvalid => write!(f, "invalid id: 25 characters of [a-z0-9] are expected"),
            Self::LabelEmpty(label) => write!(f, "invalid label '{}': empty name", escaped(label)),
            Self::LabelWhiteSpace(label) => write!(f, "label '{}' contains whitespaces", escaped(label)),
            Self::LabelsTooLong => {
                write!(f, "the labels of one object may have {} bytes at most", super::MAX_LABEL_BYTES)
            }
            Self::ContainerIdInvalid => {
                write!(f, "invalid container id: 1 to 1024 characters of [a-zA-Z0-9_.+-] are expected")
            }
            Self::GrantCsv(text) => write!(f, "invalid secret request '{}': unbalanced quotes", escaped(text)),
            Self::GrantField(field) => write!(f, "invalid field '{}' must be a key=value pair", escaped(field)),
            Self::GrantKey(key) => write!(f, "invalid field in secret request: {}", escaped(key)),
            Self::GrantSource => write!(f, "source is required"),
            Self::ModeInvalid(text) => {
                write!(f, "invalid mode specified: '{}' is not an octal number such as 0440", escaped(text))
            }
            Self::ModeTooWide(text) => {
                write!(
                    f,
                    "invalid mode specified: '{}' is above 0777; set-id and sticky bits are not for secrets",
                    escaped(text)
                )
            }
            Self::OwnerInvalid(text) => {
                write!(f, "invalid uid or gid '{}': a number from 0 to 4294967294 or a name is expected", escaped(text))
            }
            Self::TargetInvalid(text) => write!(
                f,
                "invalid target '{}': a path of at most {} bytes that ends in a file name is expected",
                escaped(text),
                super::MAX_TARGET
            ),
            Self::TargetForbidden { target, inside } => {
                write!(
                    f,
                    "target '{}' cannot be used because it is inside {inside}; choose another path",
                    escaped(target)
                )
            }
            Self::TargetConflict { first, second, target } => write!(
                f,
                "secret references '{}' and '{}' have a conflicting target: '{}'",
                escaped(first),
                escaped(second),
                escaped(target)
            ),
            Self::CommandName(name) => write!(
                f,
                "'{}' is no name of a program in /etc/runsecrets/notify.d: letters, digits, - _ and . are",
                escaped(name)
            ),
            Self::CommandArguments => {
                f.write_str("a command has at most 32 arguments of 1024 bytes, and no control characters in them")
            }
            Self::CommandQuoted => f.write_str(
                "a command is words with blanks between them, and no shell reads it: write what needs quotes into the program",
            ),
            Self::UntilInvalid(text) => write!(
                f,
                "invalid until '{}': a time from 1s to 366d (30s, 5m, 2h, 1d), healthy or read",
                escaped(text)
            ),
            Self::SignalUnknown(text) => write!(
                f,
                "'{}' is no signal to tell a program by: HUP, INT, QUIT, USR1, USR2, TERM and WINCH are",
                escaped(text)
            ),
            Self::UserInvalid(uid) => {
                write!(f, "invalid user {uid}: a uid from 1 to 4294967294 is expected; root may use every service")
            }
            Self::TooManyUsers(count) => {
                write!(f, "{count} users for one service are more than the {} allowed", super::MAX_USERS)
            }
            Self::TooManyGrants(count) => {
                write!(
                    f,
                    "{count} secrets for one service are more than the {} allowed; use several services",
                    super::MAX_GRANTS
                )
            }
            Self::SelectorInvalid(text) => write!(
                f,
                "invalid selector '{}': KEY=REGEX is expected, with an annotation's key and a regular expression for its whole value",
                escaped(text)
            ),
            Self::SelectorKey(key) => {
                let key = escaped(key);
                write!(
                    f,
                    "no engine stamps the annotation '{key}' itself, so an image or a pod may bring it; if that is meant, write untrusted:{key}=REGEX"
                )
            }
            Self::TooManySelectors(count) => {
                write!(f, "{count} selectors for one service are more than the {} allowed", super::MAX_SELECTORS)
            }
        }
    }
}

impl std::error::Error for ModelError {}
