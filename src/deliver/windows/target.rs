//! Where a secret stands in a Windows container. A grant's target is read here anew: what is a name to Linux may be a drive,
//! a share or a device to Win32. Purely lexical, and what is not plainly a file of the container's own disk is refused.

use std::fmt;

use crate::model::Target;

use super::names::{NameFault, check_name, folded, units};

/// The directory of targets that are not absolute.
pub const SECRETS_DIR: &str = r"C:\ProgramData\Docker\secrets";
/// Where the container's directory of values shows in it, read-only; links lead there.
pub const INTERNAL_DIR: &str = r"C:\ProgramData\Docker\internal\secrets";
/// The longest path, in UTF-16 units, with its NUL: programs in the container may use no more.
///
/// Source: Maximum Path Length Limitation (Microsoft Learn).
pub const MAX_PATH: usize = 260;
/// What no target may be in: Docker's own places, of which [`INTERNAL_DIR`] is one.
const RESERVED_DIR: [&str; 3] = ["ProgramData", "Docker", "internal"];
/// The directory of [`SECRETS_DIR`], by component.
const DEFAULT_DIR: [&str; 3] = ["ProgramData", "Docker", "secrets"];

/// A file on drive C: of a Windows container: components without separators, each judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsTarget {
    components: Vec<String>,
}

/// Why a target is none for a Windows container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetFault {
    /// A path of Linux.
    Posix,
    /// `C:name`: in whatever directory is the current one of that drive.
    DriveRelative,
    /// `\name`: on whatever drive is the current one.
    Rooted,
    /// `\\server\share`.
    Share,
    /// `\\?\`, `\\.\`, `\??\`: past the rules for names.
    Device,
    /// A drive that a container's layer does not have.
    Drive(char),
    /// No file name at the end.
    NoFile,
    /// A component.
    Name(NameFault),
    /// More than [`MAX_PATH`].
    Long,
    /// A place that is not for files of grants.
    Reserved,
}

impl fmt::Display for TargetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Posix => f.write_str("it is a path of Linux containers"),
            Self::DriveRelative => f.write_str("it has a drive and no '\\' behind"),
            Self::Rooted => f.write_str("it has no drive"),
            Self::Share => f.write_str("it is on a share"),
            Self::Device => f.write_str("it names a device, or goes past the rules for names"),
            Self::Drive(letter) => write!(f, "a container's own disk is C:, not {letter}:"),
            Self::NoFile => f.write_str("it does not end in a file name"),
            Self::Name(fault) => f.write_str(&fault.reason()),
            Self::Long => write!(f, "it is longer than the {} characters that Windows programs may use", MAX_PATH - 1),
            Self::Reserved => f.write_str("it is a directory of Docker's own, or in one"),
        }
    }
}

impl WindowsTarget {
    /// The target of a grant. What the model has put below /run/secrets is as it was given.
    ///
    /// # Errors
    /// [`TargetFault`].
    pub fn of(target: &Target) -> Result<Self, TargetFault> {
        Self::parse(target.below_secrets_dir().ok_or(TargetFault::Posix)?)
    }

    /// Reads `C:\…`, or a name below [`SECRETS_DIR`]; `/` is a separator too.
    ///
    /// # Errors
    /// [`TargetFault`].
    pub fn parse(text: &str) -> Result<Self, TargetFault> {
        let text = text.replace('/', "\\");
        let below = match drive_and_rest(&text)? {
            Some(rest) => rest,
            None => text.as_str(),
        };
        let absolute = below.len() != text.len();
        if below.is_empty() || below.ends_with('\\') {
            return Err(TargetFault::NoFile);
        }
        let mut components: Vec<String> = if absolute { Vec::new() } else { DEFAULT_DIR.map(str::to_owned).to_vec() };
        for name in below.split('\\').filter(|name| !name.is_empty()) {
            check_name(name).map_err(TargetFault::Name)?;
            components.push(name.to_owned());
        }
        let target = Self { components };
        if units(&target.to_string()) >= MAX_PATH {
            return Err(TargetFault::Long);
        }
        match target.is_reserved() {
            true => Err(TargetFault::Reserved),
            false => Ok(target),
        }
    }

    /// Its path from the root of the container's disk.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Its path below [`SECRETS_DIR`], if it lies there.
    pub fn below_secrets_dir(&self) -> Option<&[String]> {
        starts_with(&self.components, &DEFAULT_DIR).then(|| &self.components[DEFAULT_DIR.len()..])
    }

    /// Whether both cannot be had at once: they are the same to NTFS, or one is an ancestor of the other.
    pub fn conflicts_with(&self, other: &WindowsTarget) -> bool {
        starts_with(&self.components, &other.components) || starts_with(&other.components, &self.components)
    }

    /// Whether it is in Docker's internal directory, or what it or the directory of defaults is in.
    fn is_reserved(&self) -> bool {
        starts_with(&self.components, &RESERVED_DIR)
            || starts_with(&RESERVED_DIR, &self.components)
            || starts_with(&DEFAULT_DIR, &self.components)
    }
}

impl fmt::Display for WindowsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C:\\{}", self.components.join("\\"))
    }
}

/// The target of a grant as the operator wrote it.
pub(super) fn given(target: &Target) -> &str {
    target.below_secrets_dir().unwrap_or(target.as_str())
}

/// Whether `path` is `tree` or lies below it, as NTFS has it; both absolute. What has no drive is on C:, a container's own.
pub fn is_within(path: &str, tree: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let plain = text.replace('/', "\\");
        let plain = plain.strip_prefix(r"\\?\").unwrap_or(&plain);
        let drive = (plain.starts_with('\\') && !plain.starts_with(r"\\")).then_some("C:");
        let names = plain.split('\\').filter(|part| !part.is_empty() && *part != ".");
        drive.into_iter().chain(names).map(str::to_owned).collect()
    };
    starts_with(&parts(path), &parts(tree))
}

/// What follows `C:\`; none where there is no drive at all.
fn drive_and_rest(text: &str) -> Result<Option<&str>, TargetFault> {
    if [r"\\?\", r"\\.\", r"\??\"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err(TargetFault::Device);
    }
    if text.starts_with(r"\\") {
        return Err(TargetFault::Share);
    }
    if text.starts_with('\\') {
        return Err(TargetFault::Rooted);
    }
    let mut characters = text.chars();
    match (characters.next(), characters.next(), characters.next()) {
        (Some(letter), Some(':'), separator) if letter.is_ascii_alphabetic() => match (letter, separator) {
            (_, None) => Err(TargetFault::NoFile),
            ('c' | 'C', Some('\\')) => Ok(text.get(3..)),
            (letter, Some('\\')) => Err(TargetFault::Drive(letter.to_ascii_uppercase())),
            _ => Err(TargetFault::DriveRelative),
        },
        _ => Ok(None),
    }
}

fn starts_with<A: AsRef<str>, B: AsRef<str>>(path: &[A], tree: &[B]) -> bool {
    path.len() >= tree.len() && tree.iter().zip(path).all(|(one, other)| folded(one.as_ref()) == folded(other.as_ref()))
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
