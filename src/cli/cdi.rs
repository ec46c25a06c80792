//! `runsecrets cdi …`: services as CDI devices, for engines that take `--device runsecrets.io/service=NAME`. It writes
//! names of services and the path of the hook; values and grants are not asked for.

use std::path::Path;

use super::args::{CdiCommand, CdiGenerate};
use super::client::Agent;
use super::error::CliError;
use super::format::natural_order;
use super::report::Report;
use super::template::Value;
use crate::cdi::{KIND, MODE, Offered, is_device_name, specification};
use crate::model::{RUN_DIR, ServiceName};
use crate::replace::replace_text;

/// Runs one of them.
pub(super) fn run(command: CdiCommand, run_dir: &Path, agent: &Agent, report: &mut Report) -> Result<(), CliError> {
    let services = services(agent)?;
    match command {
        CdiCommand::Generate(arguments) => generate(&arguments, run_dir, &services, report),
        CdiCommand::Ls => {
            services.iter().for_each(|offered| report.line(&format!("{KIND}={}", offered.service)));
            Ok(())
        }
    }
}

/// All services that can be devices; any other is reported.
fn services(agent: &Agent) -> Result<Vec<Offered>, CliError> {
    let path = "/runsecrets/v1/services";
    let strange = || CliError::Answer { path: path.to_owned() };
    let Value::List(services) = agent.get(path)?.typed() else { return Err(strange()) };
    let offered = |service: &Value| {
        let name = ServiceName::parse(service.text_of("Name")).ok().filter(|name| is_device_name(name.as_str()))?;
        let credentials = matches!(service.field("Credentials"), Some(Value::Bool(true)));
        Some(Offered { service: name, credentials })
    };
    let mut services = services.iter().map(offered).collect::<Option<Vec<_>>>().ok_or_else(strange)?;
    services.sort_by(|a, b| natural_order(a.service.as_str(), b.service.as_str()));
    Ok(services)
}

fn generate(
    arguments: &CdiGenerate,
    run_dir: &Path,
    services: &[Offered],
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
    replace_text(output, &text, MODE).map_err(|cause| CliError::Write { path: output.clone(), cause })
}

/// `path`, which an engine will use from another directory, as it can stand in JSON.
fn absolute(path: &Path) -> Result<&str, CliError> {
    path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| CliError::NotAbsolute { path: path.to_owned() })
}
