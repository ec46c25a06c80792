//! A bundle's config.json: read with a limit, judged, replaced whole or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::deliver::windows::is_within;
use crate::model::{CLAIM_ANNOTATION, Claim, ClaimRoute, SERVICE_ANNOTATION, ServiceName};
use crate::oci::{self, Config, DirectoryMount, MAX_CONFIG, WindowsConfig};
use crate::replace::{Synced, replace};

use super::error::PrepareError;

/// The name under which a new config.json is written.
const FRESH: &str = ".config.json.runsecrets";

/// A bundle with its config.json.
#[derive(Debug)]
pub(super) struct Bundle {
    path: PathBuf,
    text: Vec<u8>,
    /// What every platform has.
    pub(super) config: Config,
    /// What Windows has.
    pub(super) windows: WindowsConfig,
}

impl Bundle {
    /// Reads the bundle in `directory`.
    pub(super) fn read(directory: &Path) -> Result<Self, PrepareError> {
        let path = directory.join("config.json");
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_CONFIG as u64 + 1).read_to_end(&mut text));
        read.map_err(|cause| PrepareError::Read { path: path.clone(), cause })?;
        let unusable = |cause| PrepareError::Config { path: path.clone(), cause };
        let (config, windows) =
            (Config::parse(&text).map_err(unusable)?, WindowsConfig::parse(&text).map_err(unusable)?);
        Ok(Self { path, text, config, windows })
    }

    /// The claim of the container, by the operator's argument or by its annotation.
    pub(super) fn claim(&self, argument: Option<&ServiceName>) -> Result<Option<Claim>, PrepareError> {
        let annotation = |key| self.config.annotations.get(key);
        let annotated = annotation(SERVICE_ANNOTATION).map(|name| ServiceName::parse(name)).transpose();
        let (service, route) = match (argument, annotated.map_err(PrepareError::Claim)?) {
            (None, None) => return Ok(None),
            (Some(argument), Some(annotated)) if argument.folded() != annotated.folded() => {
                let (argument, annotation) = (argument.to_string(), annotated.to_string());
                return Err(PrepareError::TwoClaims { argument, annotation });
            }
            (Some(argument), _) => (argument.clone(), ClaimRoute::Argument),
            (None, Some(annotated)) => (annotated, ClaimRoute::Annotation),
        };
        Ok(Some(Claim { service, route, token: annotation(CLAIM_ANNOTATION).cloned() }))
    }

    /// Adds `mount` to config.json, which is as it was after an error.
    pub(super) fn add_mount(&self, mount: &DirectoryMount) -> Result<(), PrepareError> {
        let path = &self.path;
        let meet = |other: &&DirectoryMount| {
            is_within(&other.destination, &mount.destination) || is_within(&mount.destination, &other.destination)
        };
        if let Some(other) = self.windows.mounts().iter().filter(meet).find(|other| *other != mount) {
            return Err(PrepareError::MountTaken {
                ours: mount.destination.clone(),
                theirs: other.destination.clone(),
            });
        }
        let mut config: Value = serde_json::from_slice(&self.text)
            .map_err(|error| PrepareError::Read { path: path.clone(), cause: io::Error::from(error) })?;
        let changed = oci::add_mount(&mut config, mount);
        if changed.map_err(|cause| PrepareError::Edit { path: path.clone(), cause })? {
            put(path, &config).map_err(|cause| PrepareError::Write { path: path.clone(), cause })?;
        }
        Ok(())
    }
}

/// The file has the access list that its directory gives.
fn put(path: &Path, config: &Value) -> io::Result<()> {
    let text = serde_json::to_vec(config).map_err(io::Error::other)?;
    let make = |fresh: &Path| File::create_new(fresh);
    replace(path, &path.with_file_name(FRESH), Synced::File, make, |file| file.write_all(&text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bundle(text: &str) -> (tempfile::TempDir, Bundle) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), text).unwrap();
        let bundle = Bundle::read(directory.path()).unwrap();
        (directory, bundle)
    }

    fn ours() -> DirectoryMount {
        DirectoryMount::read_only(
            r"C:\ProgramData\runsecrets\containers\c\secrets",
            r"C:\ProgramData\Docker\internal\secrets",
        )
    }

    #[test]
    fn the_mount_is_added_and_a_second_time_changes_nothing() {
        let (directory, bundle) = bundle(r#"{"z":1,"mounts":[{"destination":"C:\\data","source":"D:\\d"}],"a":2}"#);
        bundle.add_mount(&ours()).unwrap();
        let once = fs::read_to_string(directory.path().join("config.json")).unwrap();
        assert!(once.starts_with(r#"{"z":1,"mounts":[{"destination":"C:\\data","source":"D:\\d"},{"#), "{once}");
        Bundle::read(directory.path()).unwrap().add_mount(&ours()).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("config.json")).unwrap(), once);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_mount_there_or_around_it_is_refused() {
        for place in [
            r"c:\\programdata\\docker\\INTERNAL\\secrets",
            r"C:\\ProgramData\\Docker",
            r"C:/ProgramData/Docker/internal/secrets/x",
        ] {
            let (directory, bundle) =
                bundle(&format!(r#"{{"mounts":[{{"destination":"{place}","source":"D:\\x"}}]}}"#));
            let before = fs::read(directory.path().join("config.json")).unwrap();
            assert!(matches!(bundle.add_mount(&ours()), Err(PrepareError::MountTaken { .. })), "{place}");
            assert_eq!(fs::read(directory.path().join("config.json")).unwrap(), before);
        }
    }

    #[test]
    fn the_claim_is_the_arguments_or_the_annotations() {
        let (_directory, bundle) =
            bundle(r#"{"annotations":{"io.runsecrets.service":"web","io.runsecrets.claim":"t"}}"#);
        let claim = bundle.claim(None).unwrap().unwrap();
        assert_eq!(
            (claim.service.as_str(), claim.route, claim.token.as_deref()),
            ("web", ClaimRoute::Annotation, Some("t"))
        );
        let service = |name| ServiceName::parse(name).unwrap();
        assert_eq!(bundle.claim(Some(&service("WEB"))).unwrap().unwrap().route, ClaimRoute::Argument);
        assert!(matches!(bundle.claim(Some(&service("db"))), Err(PrepareError::TwoClaims { .. })));
        let (_directory, bundle) = self::bundle("{}");
        assert!(bundle.claim(None).unwrap().is_none() && bundle.claim(Some(&service("db"))).unwrap().is_some());
    }

    #[test]
    fn what_is_no_config_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(Bundle::read(directory.path()), Err(PrepareError::Read { .. })));
        fs::write(directory.path().join("config.json"), "{\"root\":").unwrap();
        assert!(matches!(Bundle::read(directory.path()), Err(PrepareError::Config { .. })));
    }
}
