//! Which files and which project it is, as docker compose finds them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::arguments;
use super::environment::Environment;
use super::error::ComposeError;
use super::merging::merge;
use super::yaml::{self, MAX_FILE, Node};
use crate::cli::error::CliError;
use crate::sys::here::file::permission_bits;

/// The usual names, in the order in which they are preferred.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Files that Compose merges in beside one of the usual names.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];
/// What stands between the paths of `COMPOSE_FILE`, unless `COMPOSE_PATH_SEPARATOR` says another.
const SEPARATOR: &str = if cfg!(windows) { ";" } else { ":" };

/// A compose file.
pub(super) struct Source {
    /// Its path.
    pub(super) file: PathBuf,
    /// Its permission bits.
    pub(super) mode: u32,
    /// What it says.
    pub(super) document: Node,
}

/// Compose files and what belongs to them.
pub(super) struct Project {
    /// The files, at least one; a later one has its say over an earlier one.
    pub(super) sources: Vec<Source>,
    /// What they say together, to be read for what is about secrets.
    pub(super) document: Node,
    /// The first one's directory, which relative paths in all of them begin at.
    pub(super) directory: PathBuf,
    /// The variables.
    pub(super) environment: Environment,
    /// The project's name.
    pub(super) name: String,
}

impl Project {
    /// Finds and reads them.
    ///
    /// # Errors
    /// [`ComposeError`], [`CliError::Read`].
    pub(super) fn open(arguments: &arguments::Project) -> Result<Self, CliError> {
        let sources = files(&arguments.file)?.into_iter().map(Source::open).collect::<Result<Vec<_>, _>>()?;
        let (first, others) = sources.split_first().ok_or(ComposeError::NoFile)?;
        let mut document = first.document.clone();
        others.iter().for_each(|other| merge(&mut document, &other.document));
        let absolute = std::path::absolute(&first.file);
        let absolute = absolute.map_err(failed(&first.file, "open"))?;
        let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let env_file = arguments.env_file.clone();
        let environment =
            Environment::load(&env_file.clone().unwrap_or_else(|| directory.join(".env")), env_file.is_some())?;
        let name = name(arguments.project_name.as_deref(), &document, &directory, &environment)?;
        Ok(Self { sources, document, directory, environment, name })
    }
}

impl Source {
    fn open(file: PathBuf) -> Result<Self, CliError> {
        let mut opened = File::open(&file).map_err(failed(&file, "open"))?;
        let mode = permission_bits(&opened.metadata().map_err(failed(&file, "open"))?);
        let mut text = String::new();
        let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
        opened.by_ref().take(limit).read_to_string(&mut text).map_err(failed(&file, "read"))?;
        let document = yaml::read(&text)?;
        Ok(Self { file, mode, document })
    }
}

fn failed(file: &Path, call: &'static str) -> impl FnOnce(std::io::Error) -> CliError {
    let from = file.display().to_string();
    move |cause| CliError::Read { from, call, cause }
}

/// The files that are meant.
fn files(asked: &[PathBuf]) -> Result<Vec<PathBuf>, ComposeError> {
    if !asked.is_empty() {
        return Ok(asked.to_owned());
    }
    if let Some(files) = std::env::var("COMPOSE_FILE").ok().filter(|files| !files.is_empty()) {
        let separator = std::env::var("COMPOSE_PATH_SEPARATOR").ok().filter(|separator| !separator.is_empty());
        let separator = separator.unwrap_or_else(|| SEPARATOR.to_owned());
        return Ok(files.split(&separator).map(PathBuf::from).collect());
    }
    let here = std::env::current_dir().map_err(|_| ComposeError::NoFile)?;
    let found = here
        .ancestors()
        .find_map(|directory| NAMES.iter().map(|name| directory.join(name)).find(|path| path.is_file()));
    let found = found.ok_or(ComposeError::NoFile)?;
    let beside = OVERRIDES.iter().map(|name| found.with_file_name(name)).find(|path| path.exists());
    Ok([Some(found), beside].into_iter().flatten().collect())
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
