//! A grant: which secret, where, whose, with what mode. Docker's CSV syntax and defaults; modes are octal only.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::name::SecretName;
use super::target::Target;
use super::until::Until;

/// The most grants of one service: each may need a descriptor of its own, and one message carries 253 (SCM_MAX_FD).
pub const MAX_GRANTS: usize = 250;
/// The longest user or group name, in bytes.
const MAX_OWNER_NAME: usize = 256;

/// Permission bits, at most 0777.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Mode(u32);

impl Mode {
    /// Docker's default: readable by all in the container.
    pub const DEFAULT: Mode = Mode(0o444);

    /// Reads an octal number: `444`, `0444` and `0o444` mean the same.
    ///
    /// # Errors
    /// [`ModelError::ModeInvalid`], [`ModelError::ModeTooWide`] above 0777.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
            return Err(ModelError::ModeInvalid(text.to_owned()));
        }
        let too_wide = || ModelError::ModeTooWide(text.to_owned());
        let bits = u32::from_str_radix(digits, 8).map_err(|_| too_wide())?;
        Self::try_from(bits).map_err(|_| too_wide())
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Mode {
    type Error = ModelError;

    fn try_from(bits: u32) -> Result<Self, ModelError> {
        if bits > 0o777 { Err(ModelError::ModeTooWide(format!("{bits:o}"))) } else { Ok(Self(bits)) }
    }
}

impl From<Mode> for u32 {
    fn from(mode: Mode) -> u32 {
        mode.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:03o}", self.0)
    }
}

/// Whose a file is, as the container counts: a number, or a name from the container's own passwd or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Owner {
    /// A uid or gid inside the container.
    Number(u32),
    /// A name, looked up in the container when its secrets are delivered.
    Name(String),
}

impl Owner {
    /// Container root.
    pub const ROOT: Owner = Owner::Number(0);

    /// Reads a number or a name.
    ///
    /// # Errors
    /// [`ModelError::OwnerInvalid`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let invalid = || ModelError::OwnerInvalid(text.to_owned());
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // 2^32-1 means "no change" to chown(2).
            return text.parse().ok().filter(|id| *id != u32::MAX).map(Self::Number).ok_or_else(invalid);
        }
        let named = !text.is_empty()
            && text.len() <= MAX_OWNER_NAME
            && !text.starts_with(['-', '+'])
            && text.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, ':' | '/' | ','));
        if named { Ok(Self::Name(text.to_owned())) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for Owner {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        Self::parse(&text)
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> String {
        owner.to_string()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(f, "{id}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// One secret at one place in a service's containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The secret, by name (or id, when the user gave one: the agent resolves it).
    pub source: SecretName,
    /// Where its file stands.
    pub target: Target,
    /// The file's user.
    pub uid: Owner,
    /// The file's group.
    pub gid: Owner,
    /// The file's mode.
    pub mode: Mode,
    /// What takes it from a container that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

impl Grant {
    /// Reads `NAME` or `source=,target=,uid=,gid=,mode=,until=` (keys in any case, `src` for `source`, CSV quoting).
    ///
    /// # Errors
    /// The [`ModelError`] that names the field.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let fields = split_csv(text)?;
        if let [only] = fields.as_slice()
            && !only.contains('=')
        {
            return Self::simple(only);
        }
        let (mut source, mut target, mut until) = (None, None, None);
        let (mut uid, mut gid, mut mode) = (Owner::ROOT, Owner::ROOT, Mode::DEFAULT);
        for field in &fields {
            let Some((key, value)) = field.split_once('=') else { return Err(ModelError::GrantField(field.clone())) };
            match key.to_ascii_lowercase().as_str() {
                "source" | "src" => source = Some(value),
                "target" => target = Some(value),
                "uid" => uid = Owner::parse(value)?,
                "gid" => gid = Owner::parse(value)?,
                "mode" => mode = Mode::parse(value)?,
                "until" => until = Some(Until::parse(value)?),
                _ => return Err(ModelError::GrantKey(key.to_owned())),
            }
        }
        let source = source.filter(|text| !text.is_empty()).ok_or(ModelError::GrantSource)?;
        Ok(Self {
            source: SecretName::parse(source)?,
            target: Target::parse(target.unwrap_or(source))?,
            uid,
            gid,
            mode,
            until,
        })
    }

    fn simple(name: &str) -> Result<Self, ModelError> {
        if name.is_empty() {
            return Err(ModelError::GrantSource);
        }
        Ok(Self {
            source: SecretName::parse(name)?,
            target: Target::parse(name)?,
            uid: Owner::ROOT,
            gid: Owner::ROOT,
            mode: Mode::DEFAULT,
            until: None,
        })
    }
}

/// Splits one CSV record: commas, and double quotes with `""` for a quote (RFC 4180).
fn split_csv(text: &str) -> Result<Vec<String>, ModelError> {
    let unbalanced = || ModelError::GrantCsv(text.to_owned());
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        let Some(field) = fields.last_mut() else { return Err(unbalanced()) };
        match character {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted && !matches!(chars.peek(), None | Some(',')) => return Err(unbalanced()),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '"' => return Err(unbalanced()),
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted { Err(unbalanced()) } else { Ok(fields) }
}

/// The grants of one service: at most [`MAX_GRANTS`], no two with conflicting targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Grant>", into = "Vec<Grant>")]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// The grants, in the order they were given.
    pub fn as_slice(&self) -> &[Grant] {
        &self.0
    }

    /// The grants after taking away every one of the secrets `remove` and then adding `add`, as Docker's update does.
    ///
    /// # Errors
    /// As [`Grants::try_from`].
    pub fn changed(&self, remove: &[SecretName], add: Vec<Grant>) -> Result<Self, ModelError> {
        let gone = |grant: &&Grant| !remove.iter().any(|name| name.folded() == grant.source.folded());
        let kept = self.0.iter().filter(gone).cloned();
        Self::try_from(kept.chain(add).collect::<Vec<_>>())
    }
}

impl TryFrom<Vec<Grant>> for Grants {
    type Error = ModelError;

    fn try_from(grants: Vec<Grant>) -> Result<Self, ModelError> {
        if grants.len() > MAX_GRANTS {
            return Err(ModelError::TooManyGrants(grants.len()));
        }
        for (index, second) in grants.iter().enumerate() {
            if let Some(first) = grants[..index].iter().find(|first| first.target.conflicts_with(&second.target)) {
                return Err(ModelError::TargetConflict {
                    first: first.source.to_string(),
                    second: second.source.to_string(),
                    target: second.target.to_string(),
                });
            }
        }
        Ok(Self(grants))
    }
}

impl From<Grants> for Vec<Grant> {
    fn from(grants: Grants) -> Self {
        grants.0
    }
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
