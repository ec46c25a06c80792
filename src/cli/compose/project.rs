//! Which file and which project it is, as docker compose finds them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::arguments;
use super::environment::Environment;
use super::error::ComposeError;
use super::yaml::{self, MAX_FILE, Node};
use crate::cli::error::CliError;
use crate::sys::here::file::permission_bits;

/// The usual names, in the order in which they are preferred.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Files that Compose merges in beside one of the usual names.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// A compose file and what belongs to it.
pub(super) struct Project {
    /// The file.
    pub(super) file: PathBuf,
    /// Its directory, which relative paths in it begin at.
    pub(super) directory: PathBuf,
    /// The file's permission bits.
    pub(super) mode: u32,
    /// What it says.
    pub(super) document: Node,
    /// The variables.
    pub(super) environment: Environment,
    /// The project's name.
    pub(super) name: String,
}

impl Project {
    /// Finds and reads it.
    ///
    /// # Errors
    /// [`ComposeError`], [`CliError::Read`].
    pub(super) fn open(arguments: &arguments::Project) -> Result<Self, CliError> {
        let file = file(arguments.file.as_deref())?;
        let failed = |call| {
            let from = file.display().to_string();
            move |cause| CliError::Read { from, call, cause }
        };
        let absolute = std::path::absolute(&file).map_err(failed("open"))?;
        let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let mut opened = File::open(&file).map_err(failed("open"))?;
        let mode = permission_bits(&opened.metadata().map_err(failed("open"))?);
        let mut text = String::new();
        let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
        opened.by_ref().take(limit).read_to_string(&mut text).map_err(failed("read"))?;
        let document = yaml::read(&text)?;
        let env_file = arguments.env_file.clone();
        let environment =
            Environment::load(&env_file.clone().unwrap_or_else(|| directory.join(".env")), env_file.is_some())?;
        let name = name(arguments.project_name.as_deref(), &document, &directory, &environment)?;
        Ok(Self { file, directory, mode, document, environment, name })
    }
}

/// The file that is meant.
fn file(asked: Option<&Path>) -> Result<PathBuf, ComposeError> {
    if let Some(file) = asked {
        return Ok(file.to_owned());
    }
    if let Some(files) = std::env::var("COMPOSE_FILE").ok().filter(|files| !files.is_empty()) {
        return match files.split_once(':') {
            Some((_, second)) => Err(ComposeError::SeveralFiles { second: second.to_owned() }),
            None => Ok(files.into()),
        };
    }
    let here = std::env::current_dir().map_err(|_| ComposeError::NoFile)?;
    let found = here
        .ancestors()
        .find_map(|directory| NAMES.iter().map(|name| directory.join(name)).find(|path| path.is_file()));
    let found = found.ok_or(ComposeError::NoFile)?;
    match OVERRIDES.iter().map(|name| found.with_file_name(name)).find(|path| path.exists()) {
        Some(second) => Err(ComposeError::SeveralFiles { second: second.display().to_string() }),
        None => Ok(found),
    }
}

/// The project's name: what was asked for, `COMPOSE_PROJECT_NAME`, the file's `name:`, the directory's name.
fn name(
    asked: Option<&str>,
    document: &Node,
    directory: &Path,
    environment: &Environment,
) -> Result<String, ComposeError> {
    let given = match asked {
        Some(name) => Some(name.to_owned()),
        None => environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()),
    };
    let name = match (given, document.get("name").and_then(Node::text)) {
        (Some(name), _) => name,
        (None, Some(name)) => environment.fill(name)?,
        (None, None) => normal(&directory.file_name().unwrap_or_default().to_string_lossy()),
    };
    if name.is_empty() || normal(&name) != name { Err(ComposeError::ProjectName) } else { Ok(name) }
}

/// A directory's name as the name of a project.
fn normal(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept = lower.chars().filter(|&letter| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-'));
    kept.collect::<String>().trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn a_directory_gives_a_name_that_compose_takes() {
        for (directory, name) in [("Shop", "shop"), ("my shop.v2", "myshopv2"), ("_-x", "x"), ("été", "t"), ("...", "")]
        {
            assert_eq!(normal(directory), name, "{directory}");
        }
    }
}
