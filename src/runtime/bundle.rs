//! A bundle's config.json: read with a limit, replaced whole or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::model::{SERVICE_ANNOTATION, ServiceName};
use crate::oci::{self, Additions, Config, MAX_CONFIG};
use crate::replace::{Synced, replace};
use crate::sys::linux::file::create_private;

use super::error::WrapperError;

/// The variable that claims a service, where that is allowed.
const SERVICE_VARIABLE: &str = "RUNSECRETS_SERVICE=";
/// The name under which a new config.json is written.
const FRESH: &str = ".config.json.runsecrets";

fn path(bundle: &Path) -> PathBuf {
    bundle.join("config.json")
}

/// The text of `bundle`'s config.json, or of the file that the runtime is told to read in its place.
pub(super) fn read(bundle: &Path, instead: Option<&Path>) -> Result<Vec<u8>, WrapperError> {
    let path = instead.map_or_else(|| path(bundle), Path::to_owned);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_CONFIG as u64 + 1).read_to_end(&mut text));
    read.map_err(|cause| WrapperError::Read { path, cause })?;
    Ok(text)
}

/// What a hook reads of the text of a config.json.
pub(super) fn parsed(text: &[u8]) -> Result<Config, WrapperError> {
    Config::parse(text).map_err(|cause| WrapperError::Config { path: "config.json".into(), cause })
}

/// Whether the container claims a service.
pub(super) fn claims(text: &[u8]) -> Result<bool, WrapperError> {
    Ok(parsed(text)?.annotations.contains_key(SERVICE_ANNOTATION))
}

/// The service that the container's environment names; none where the variable is not there or is empty. Whoever made the
/// image may have set it: ask only where the operator wants that.
pub(super) fn environment_claim(text: &[u8]) -> Result<Option<ServiceName>, WrapperError> {
    let bundle: WithEnvironment = serde_json::from_slice(text)
        .map_err(|error| WrapperError::Read { path: "config.json".into(), cause: io::Error::from(error) })?;
    let environment = bundle.process.and_then(|process| process.env).unwrap_or_default();
    let value = environment.iter().find_map(|variable| variable.strip_prefix(SERVICE_VARIABLE));
    value.filter(|name| !name.is_empty()).map(ServiceName::parse).transpose().map_err(WrapperError::Environment)
}

/// The part of a config.json that has the environment.
#[derive(Deserialize)]
struct WithEnvironment {
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Process {
    env: Option<Vec<String>>,
}

/// Refuses a claim in another file than the bundle's own: the hook reads that one, and would judge another container.
pub(super) fn is_its_own(bundle: &Path, instead: Option<&Path>) -> Result<(), WrapperError> {
    let Some(other) = instead else { return Ok(()) };
    let resolved = |path: &Path| std::fs::canonicalize(path).ok();
    if resolved(other).is_some_and(|other| Some(other) == resolved(&path(bundle))) {
        return Ok(());
    }
    Err(WrapperError::OtherConfig { path: other.to_owned() })
}

/// Adds our hooks to `bundle`'s config.json, whose text is `text`. The file keeps its owner and mode; it is as it was
/// after an error.
pub(super) fn add_hooks(bundle: &Path, text: &[u8], additions: &Additions) -> Result<(), WrapperError> {
    let path = path(bundle);
    let no_config = |cause| WrapperError::Config { path: path.clone(), cause };
    Config::parse(text).map_err(no_config)?;
    let mut config: Value = serde_json::from_slice(text)
        .map_err(|error| WrapperError::Read { path: path.clone(), cause: io::Error::from(error) })?;
    let changed =
        oci::add_hooks(&mut config, additions).map_err(|cause| WrapperError::Edit { path: path.clone(), cause })?;
    if !changed {
        return Ok(());
    }
    put(&path, &config).map_err(|cause| WrapperError::Write { path, cause })
}

/// Where config.json is a link, what it leads to is replaced, with its own owner and mode, and the link stays.
fn put(path: &Path, config: &Value) -> io::Result<()> {
    let path = std::fs::canonicalize(path)?;
    let old = std::fs::symlink_metadata(&path)?;
    let text = serde_json::to_vec(config).map_err(io::Error::other)?;
    replace(&path, &path.with_file_name(FRESH), Synced::File, create_private, |file| {
        file.write_all(&text)?;
        fchown(&*file, Some(old.uid()), Some(old.gid()))?;
        file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o7777))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_a_service_or_none() {
        let claim = |text: &str| environment_claim(text.as_bytes());
        for text in [
            "{}",
            r#"{"process":null}"#,
            r#"{"process":{"env":null}}"#,
            r#"{"process":{"env":["A=b","RUNSECRETS_SERVICES=web","XRUNSECRETS_SERVICE=web","RUNSECRETS_SERVICE="]}}"#,
        ] {
            assert_eq!(claim(text).unwrap(), None, "{text}");
        }
        let named = claim(r#"{"process":{"env":["A=b","RUNSECRETS_SERVICE=web","RUNSECRETS_SERVICE=db"]}}"#);
        assert_eq!(named.unwrap().unwrap().as_str(), "web", "the first, as getenv(3) has it");
        let error = claim(r#"{"process":{"env":["RUNSECRETS_SERVICE=../x"]}}"#).unwrap_err().to_string();
        assert!(error.starts_with("RUNSECRETS_SERVICE in the container's environment: "), "{error}");
    }
}
