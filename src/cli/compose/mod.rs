//! `runsecrets compose …`: a compose file's secrets sealed in the agent, and the file adjusted so that its containers get
//! them in memory. No value is printed or written, and no file with a value is copied.

mod adjust;
mod arguments;
mod environment;
mod error;
mod interpolate;
mod plan;
mod program;
mod project;
mod reading;
mod store;
mod yaml;

use std::path::{Path, PathBuf};

use adjust::Claim;
use program::Program;
use project::Project;

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
            let (file, project) = convert(&arguments.project, claim, None, agent, report)?;
            Err(program.up(&file, &project, arguments.project.env_file.as_deref(), &arguments.arguments).into())
        }
    }
}

/// Reads the file, stores its secrets, writes the adjusted file; that file's path and the project's name.
fn convert(
    arguments: &arguments::Project,
    claim: Claim,
    output: Option<&Path>,
    agent: &Agent,
    report: &mut Report,
) -> Result<(PathBuf, String), CliError> {
    let mut project = Project::open(arguments)?;
    let plan = plan::plan(&project.document, &project.name, &project.environment)?;
    let runtime = arguments.runtime.as_deref().or(claim.runtime()).filter(|runtime| !runtime.is_empty());
    adjust::adjust(&mut project.document, &plan.services, claim, runtime)?;
    let path = output.map_or_else(|| project.directory.join(ADJUSTED), Path::to_owned);
    let is_shown = path == Path::new("-");
    if !is_shown {
        is_ours(&path)?;
    }

    store::store(&plan, &project, arguments.update, agent, report)?;

    let name = project.file.file_name().unwrap_or_default().to_string_lossy();
    let text = format!(
        "{MARK} from {}, of the project {}: change that file, and this one is written again.\n{}",
        crate::model::escaped(&name),
        project.name,
        yaml::write(&project.document)
    );
    if is_shown {
        report.text(&text);
    } else {
        replace_text(&path, &text, project.mode).map_err(|cause| CliError::Write { path: path.clone(), cause })?;
        report.note(&format!("{}: written", path.display()));
        if !lies_in(&path, &project.directory) {
            let directory = project.directory.display();
            report.note(&format!(
                "relative paths in it begin at {directory}; run it with: --project-directory {directory}"
            ));
        }
    }
    Ok((path, project.name))
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
