//! The configuration of one start: the file, and above it what the command line says.

use std::path::Path;

use super::config::{Config, DEFAULT_FILE};
use super::options::Options;
use super::protected;
use super::start_error::StartError;

/// Reads it.
///
/// # Errors
/// [`StartError::Config`]; [`StartError::Protection`] where others could have written the file.
pub fn configured(options: &Options) -> Result<Config, StartError> {
    let file = options.config.as_deref();
    let read = file.unwrap_or(Path::new(DEFAULT_FILE));
    if read.exists() {
        protected::check_writers(read)?;
    }
    let mut config = Config::load(file)?;
    if let Some(directory) = &options.state_dir {
        config.paths.state_dir.clone_from(directory);
    }
    if let Some(directory) = &options.run_dir {
        config.paths.run_dir.clone_from(directory);
    }
    config.paths.check()?;
    Ok(config)
}
