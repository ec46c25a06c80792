//! `runsecrets cdi …`: services as CDI devices, for engines that take `--device runsecrets.io/service=NAME`. It writes
//! names of services and the path of the hook; values and grants are not asked for.

mod specification;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use specification::{KIND, is_device_name, specification};

use super::args::{CdiCommand, CdiGenerate};
use super::client::Agent;
use super::error::CliError;
use super::format::natural_order;
use super::report::Report;
use super::template::Value;
use crate::model::{RUN_DIR, ServiceName};

/// Engines read the file as who they are; it holds no secret.
const MODE: u32 = 0o644;

/// Runs one of them.
pub(super) fn run(command: CdiCommand, run_dir: &Path, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let services = services(agent)?;
    match command {
        CdiCommand::Generate(arguments) => generate(&arguments, run_dir, &services, report),
        CdiCommand::Ls => {
            services.iter().for_each(|service| report.line(&format!("{KIND}={service}")));
            Ok(())
        }
    }
}

/// The names of all services that can be devices; any other is reported.
fn services(agent: &Agent) -> Result<Vec<ServiceName>, CliError> {
    let path = "/runsecrets/v1/services";
    let strange = || CliError::Answer { path: path.to_owned() };
    let Value::List(services) = agent.get(path)?.typed() else { return Err(strange()) };
    let name =
        |service: &Value| ServiceName::parse(service.text_of("Name")).ok().filter(|name| is_device_name(name.as_str()));
    let mut names = services.iter().map(name).collect::<Option<Vec<_>>>().ok_or_else(strange)?;
    names.sort_by(|a, b| natural_order(a.as_str(), b.as_str()));
    Ok(names)
}

fn generate(
    arguments: &CdiGenerate,
    run_dir: &Path,
    services: &[ServiceName],
    report: &mut Report,
) -> Result<(), CliError> {
    let run_dir = absolute(run_dir)?;
    let told = if run_dir == RUN_DIR { vec![] } else { vec!["--run-dir", run_dir] };
    absolute(&arguments.hook)?;
    let text = specification(services, &arguments.hook, &told).ok_or(CliError::NoDevice)?;
    let Some(output) = &arguments.output else {
        report.text(&text);
        return Ok(());
    };
    replace(output, text.as_bytes()).map_err(|cause| CliError::Write { path: output.clone(), cause })
}

/// `path`, which an engine will use from another directory, as it can stand in JSON.
fn absolute(path: &Path) -> Result<&str, CliError> {
    path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| CliError::NotAbsolute { path: path.to_owned() })
}

/// Writes `path` whole or not at all: engines read it at any time. The file beside it has a name that none of them reads.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let fresh = PathBuf::from(path).with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = write(&fresh, text).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(fresh: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(fresh)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text)?;
    file.sync_all()
}
