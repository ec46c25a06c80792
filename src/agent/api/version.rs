//! Which versions of Docker's API a client may speak, and what it is told about us.

use hyper::StatusCode;
use serde_json::json;

use super::answer::Answer;
use super::error::ApiError;

/// The oldest version that is answered: secrets came with 1.25.
pub const OLDEST: Version = Version(1, 24);
/// The newest version that is answered; newer clients negotiate down to it.
pub const NEWEST: Version = Version(1, 51);

/// A version of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The path without its `/vMAJOR.MINOR`, if it has one.
///
/// # Errors
/// Docker's words when the version is not one that we speak.
pub fn strip(path: &str) -> Result<&str, ApiError> {
    let Some((text, at)) = prefix(path) else { return Ok(path) };
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(u32::MAX));
    let version = Version(numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        version if version < OLDEST => Err(ApiError::VersionOld(text.to_owned())),
        version if version > NEWEST => Err(ApiError::VersionNew(text.to_owned())),
        _ => Ok(&path[at..]),
    }
}

/// The text of the version and where the rest of the path begins.
fn prefix(path: &str) -> Option<(&str, usize)> {
    let rest = path.strip_prefix("/v")?;
    let text = &rest[..rest.find('/')?];
    let (major, minor) = text.split_once('.')?;
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (number(major) && number(minor)).then_some((text, "/v".len() + text.len()))
}

/// `GET` and `HEAD /_ping`: what a client needs to negotiate.
pub fn ping() -> Answer {
    Answer::text("OK")
        .header("Cache-Control", "no-cache, no-store, must-revalidate")
        .header("Pragma", "no-cache")
        // Secrets are a manager's: without this a client hides its `secret` commands.
        .header("Swarm", "active/manager")
}

/// `GET /version`.
pub fn describe() -> Answer {
    let (ours, newest, oldest) = (env!("CARGO_PKG_VERSION"), NEWEST.to_string(), OLDEST.to_string());
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let kernel = crate::sys::here::process::kernel_release();
    let details = json!({
        "ApiVersion": newest, "MinAPIVersion": oldest, "Os": std::env::consts::OS, "Arch": arch, "KernelVersion": kernel,
        "GitCommit": "", "GoVersion": "", "BuildTime": "", "Experimental": "false",
    });
    Answer::json(
        StatusCode::OK,
        &json!({
            "Platform": {"Name": "runsecrets"},
            "Components": [{"Name": "runsecrets-agent", "Version": ours, "Details": details}],
            "Version": ours, "ApiVersion": newest, "MinAPIVersion": oldest, "Os": std::env::consts::OS, "Arch": arch,
            "KernelVersion": kernel, "GitCommit": "", "GoVersion": "", "BuildTime": "",
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_taken_off_the_path() {
        assert_eq!(strip("/v1.24/secrets").unwrap(), "/secrets");
        assert_eq!(strip("/v1.51/secrets/x").unwrap(), "/secrets/x");
        for path in ["/secrets", "/version", "/v1/x", "/v1.x/y", "/v.1/y", "/v1.41", "/"] {
            assert_eq!(strip(path).unwrap(), path);
        }
    }

    #[test]
    fn other_versions_are_refused_in_dockers_words() {
        assert_eq!(
            strip("/v1.12/secrets").unwrap_err().to_string(),
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        assert_eq!(
            strip("/v1.99/secrets").unwrap_err().to_string(),
            "client version 1.99 is too new. Maximum supported API version is 1.51"
        );
        assert!(strip("/v99999999999999.1/secrets").is_err());
    }
}
