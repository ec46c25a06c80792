//! Where in the container a secret's file stands, normalised so that two spellings of one place compare equal.
//! Purely lexical: symbolic links are refused later, when the path is walked.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::text::text_type;

/// The directory of targets that are not absolute.
pub const SECRETS_DIR: &str = "/run/secrets";
/// By which programs find [`SECRETS_DIR`] as systemd's credentials, `$CREDENTIALS_DIRECTORY/NAME`.
///
/// Source: systemd.exec(5), "Credentials".
pub const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY=/run/secrets";
/// The longest target, in bytes: the kernel's PATH_MAX with its NUL.
pub const MAX_TARGET: usize = 4095;
/// The longest component of a target, in bytes (NAME_MAX).
const MAX_COMPONENT: usize = 255;
/// Trees that belong to the kernel: nothing of ours is mounted there.
const FORBIDDEN: [&str; 2] = ["/proc", "/sys"];

/// An absolute, normalised path below `/`: no empty, `.` or `..` component, no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target(String);

impl Target {
    /// Normalises `text`; a path that is not absolute is below [`SECRETS_DIR`], and `..` may lead out of it, as in Docker.
    ///
    /// # Errors
    /// [`ModelError::TargetInvalid`], [`ModelError::TargetForbidden`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let invalid = || ModelError::TargetInvalid(text.to_owned());
        if text.is_empty() || text.len() > MAX_TARGET || text.ends_with('/') || text.chars().any(char::is_control) {
            return Err(invalid());
        }
        let mut parts: Vec<&str> = if text.starts_with('/') { Vec::new() } else { vec!["run", "secrets"] };
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part if part.len() > MAX_COMPONENT => return Err(invalid()),
                part => parts.push(part),
            }
        }
        let target = format!("/{}", parts.join("/"));
        if parts.is_empty() || target == SECRETS_DIR || target == "/run" || target.len() > MAX_TARGET {
            return Err(invalid());
        }
        match FORBIDDEN.iter().find(|tree| is_within(&target, tree)) {
            Some(inside) => Err(ModelError::TargetForbidden { target, inside }),
            None => Ok(Self(target)),
        }
    }

    /// The path below [`SECRETS_DIR`], if it lies there.
    pub fn below_secrets_dir(&self) -> Option<&str> {
        self.0.strip_prefix(SECRETS_DIR)?.strip_prefix('/')
    }

    /// Whether both cannot be had at once: they are the same, or one is an ancestor of the other.
    pub fn conflicts_with(&self, other: &Target) -> bool {
        is_within(&self.0, &other.0) || is_within(&other.0, &self.0)
    }
}

/// Whether `path` is `tree` or lies below it; both absolute and normalised.
pub fn is_within(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

text_type!(Target);

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        Target::parse(text).unwrap().as_str().to_owned()
    }

    #[test]
    fn targets_are_joined_as_docker_joins_them() {
        assert_eq!(normal("app"), "/run/secrets/app");
        assert_eq!(normal("relative/secret"), "/run/secrets/relative/secret");
        assert_eq!(normal("../secret"), "/run/secret");
        assert_eq!(normal("/etc//nginx/./conf.d/site.conf"), "/etc/nginx/conf.d/site.conf");
        assert_eq!(normal("../../../../x"), "/x");
    }

    #[test]
    fn two_spellings_of_one_place_are_equal() {
        assert_eq!(Target::parse("foo"), Target::parse("/run/./secrets/bar/../foo"));
    }

    #[test]
    fn places_that_are_no_file_are_refused() {
        for text in ["", "/", ".", "..", "/run/secrets", "a/", "a\0b", "a\nb", "/.."] {
            assert!(matches!(Target::parse(text), Err(ModelError::TargetInvalid(_))), "{text:?}");
        }
        assert!(Target::parse(&"x".repeat(256)).is_err());
    }

    #[test]
    fn kernel_trees_are_refused_however_they_are_spelt() {
        for text in ["/proc/1/x", "../../proc/x", "/sys/x", "/proc"] {
            assert!(matches!(Target::parse(text), Err(ModelError::TargetForbidden { .. })), "{text}");
        }
        assert_eq!(normal("/process/x"), "/process/x");
    }

    #[test]
    fn ancestors_conflict_and_neighbours_do_not() {
        let a = Target::parse("/etc/a").unwrap();
        assert!(a.conflicts_with(&Target::parse("/etc/a/b").unwrap()));
        assert!(Target::parse("/etc/a/b").unwrap().conflicts_with(&a));
        assert!(!a.conflicts_with(&Target::parse("/etc/ab").unwrap()));
    }
}
