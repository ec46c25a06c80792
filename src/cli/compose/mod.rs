//! `runsecrets compose …`: a compose file's secrets sealed in the agent, and the file adjusted so that its containers get
//! them in memory. No value is printed or written, and no file with a value is copied.

mod adjust;
mod arguments;
mod environment;
mod error;
mod interpolate;
mod merging;
mod plan;
mod program;
mod project;
mod reading;
mod store;
mod yaml;

use std::path::{Path, PathBuf};

use adjust::Claim;
use program::Program;
use project::{Project, Source};

use super::client::Agent;
use super::error::CliError;
use super::input;
use super::report::Report;
use crate::replace::replace_text;

pub(super) use arguments::ComposeCommand;
pub(super) use error::ComposeError;

/// How the adjusted file is called.
const ADJUSTED: &str = "compose.runsecrets.yaml";
/// How it begins: a file that does not is not replaced.
const MARK: &str = "# Written by runsecrets";

/// Runs one of them.
pub(super) fn run(command: ComposeCommand, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    input::protect()?;
    match command {
        ComposeCommand::Convert(arguments) => {
            let claim = arguments.project.claim.unwrap_or(Claim::Device);
            convert(&arguments.project, claim, arguments.output.as_deref(), agent, report).map(drop)
        }
        ComposeCommand::Up(arguments) => {
            let program = Program::find(arguments.program.as_deref())?;
            let claim = arguments.project.claim.unwrap_or_else(|| program.claim());
            let (files, project) = convert(&arguments.project, claim, None, agent, report)?;
            Err(program.up(&files, &project, arguments.project.env_file.as_deref(), &arguments.arguments).into())
        }
    }
}

/// Reads the files, stores their secrets, writes the adjusted files; those files' paths and the project's name.
fn convert(
    arguments: &arguments::Project,
    claim: Claim,
    output: Option<&Path>,
    agent: &Agent,
    report: &mut Report,
) -> Result<(Vec<PathBuf>, String), CliError> {
    let mut project = Project::open(arguments)?;
    let plan = plan::plan(&project.document, &project.name, &project.environment)?;
    let runtime = arguments.runtime.as_deref().or(claim.runtime()).filter(|runtime| !runtime.is_empty());
    let mut documents: Vec<_> = project.sources.iter_mut().map(|source| &mut source.document).collect();
    adjust::adjust_all(&mut documents, &project.document, &plan.services, claim, runtime)?;
    // A file that was about secrets alone has nothing left that a program would take.
    let is_left = |source: &Source| source.document.entries().is_none_or(|entries| !entries.is_empty());
    let first = output.map_or_else(|| project.directory.join(ADJUSTED), Path::to_owned);
    let adjusted = project.sources.iter().enumerate().filter(|(index, source)| *index == 0 || is_left(source));
    let adjusted: Vec<(PathBuf, &Source)> = adjusted.map(|(index, source)| (numbered(&first, index), source)).collect();
    let is_shown = first == Path::new("-");
    if is_shown && adjusted.len() > 1 {
        return Err(ComposeError::SeveralToShow.into());
    }
    if !is_shown {
        adjusted.iter().try_for_each(|(path, _)| is_ours(path))?;
    }

    store::store(&plan, &project, arguments.update, agent, report)?;

    for (path, source) in &adjusted {
        let name = source.file.file_name().unwrap_or_default().to_string_lossy();
        let text = format!(
            "{MARK} from {}, of the project {}: change that file, and this one is written again.\n{}",
            crate::model::escaped(&name),
            project.name,
            yaml::write(&source.document)
        );
        if is_shown {
            report.text(&text);
            continue;
        }
        replace_text(path, &text, source.mode).map_err(|cause| CliError::Write { path: path.clone(), cause })?;
        report.note(&format!("{}: written", path.display()));
    }
    if !is_shown && !lies_in(&first, &project.directory) {
        let directory = project.directory.display();
        report
            .note(&format!("relative paths in it begin at {directory}; run it with: --project-directory {directory}"));
    }
    Ok((adjusted.into_iter().map(|(path, _)| path).collect(), project.name))
}

/// The path of what is made of the file `index`, from 0: a number from 2 on stands before the extension of `first`.
fn numbered(first: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return first.to_owned();
    }
    let mut name = first.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{}", index + 1));
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

fn lies_in(path: &Path, directory: &Path) -> bool {
    std::path::absolute(path).is_ok_and(|path| path.parent() == Some(directory))
}

/// Refuses to replace a file that somebody else wrote.
fn is_ours(path: &Path) -> Result<(), CliError> {
    match std::fs::read(path) {
        Ok(text) if text.starts_with(MARK.as_bytes()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(ComposeError::NotOurs { path: path.to_owned() }.into()),
        Err(cause) => Err(CliError::Read { from: path.display().to_string(), call: "open", cause }),
    }
}
