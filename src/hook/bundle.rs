//! What the runtime says: the state on standard input and config.json in the bundle, read with limits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::oci::{Config, MAX_CONFIG, MAX_STATE, OciError, State};

use super::error::HookError;

/// The file in a bundle that describes the container.
const CONFIG: &str = "config.json";

/// Bytes that most config.json have: one read.
const USUAL: usize = 32 * 1024;

/// Reads the state from standard input.
pub(super) fn read_state() -> Result<State, HookError> {
    let bytes = read_limited(io::stdin().lock(), MAX_STATE).map_err(|cause| HookError::StateRead { cause })?;
    State::parse(&bytes).map_err(HookError::State)
}

/// Reads `bundle`'s config.json.
pub(super) fn read_config(bundle: &Path) -> Result<Config, HookError> {
    parse_config(bundle, Config::parse)
}

/// The parts of it that a Windows container has.
#[cfg(windows)]
pub(super) fn read_windows_config(bundle: &Path) -> Result<crate::oci::WindowsConfig, HookError> {
    parse_config(bundle, crate::oci::WindowsConfig::parse)
}

fn parse_config<T>(bundle: &Path, parse: impl FnOnce(&[u8]) -> Result<T, OciError>) -> Result<T, HookError> {
    let path = bundle.join(CONFIG);
    let read = File::open(&path).and_then(|file| read_limited(file, MAX_CONFIG));
    let bytes = read.map_err(|cause| HookError::ConfigRead { path: path.clone(), cause })?;
    parse(&bytes).map_err(|cause| HookError::Config { path, cause })
}

/// The path of the container's root file system.
#[cfg(target_os = "linux")]
pub(super) fn rootfs(bundle: &Path, config: &Config) -> Result<std::path::PathBuf, HookError> {
    let root = config.root.as_ref().ok_or(HookError::StateLacks { what: "root.path in config.json" })?;
    Ok(bundle.join(&root.path))
}

/// At most one byte more than `limit`, so that the parser can tell that there is too much.
fn read_limited(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL);
    from.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
