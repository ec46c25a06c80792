//! Every command and flag, in one place: the parser, `--help`, man pages and completions all come from here.
//! Names, short forms and aliases are Docker's.

mod secret;
mod service;
mod verb;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use self::secret::{Prune, SecretCommand, SecretCreate, SecretHistory, SecretRollback, SecretUpdate};
pub(super) use self::service::{ServiceCommand, ServiceCreate, ServicePs, ServiceRm, ServiceUpdate};
pub(super) use self::verb::{Asked, parse};
pub use self::verb::{RunVerb, Verb, definition};
use super::error::CliError;
use super::reach;
use crate::model::{HOOK, Labels, ModelError};
use crate::sys::here::process::user_id;

/// The directory of programs that `notifier` runs.
const NOTIFY_DIR: &str = "/etc/runsecrets/notify.d";

/// What stands on the command line.
#[derive(Debug, Parser)]
#[command(name = "runsecrets", version, about = "/run/secrets for every OCI container")]
#[command(
    after_help = "Values are read from a file or standard input, never from the command line, and no command shows one.\n\
    Exit status: 0 done, 1 something failed, 125 the command line was not understood."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the agent is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The agent's run directory (or RUNSECRETS_RUN_DIR) [default: /run/runsecrets]
    #[arg(long, global = true, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// The agent's socket, as unix://PATH
    #[arg(short = 'H', long, global = true, value_name = "HOST", conflicts_with = "run_dir")]
    host: Option<OsString>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Manage secrets
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Manage services: named sets of granted secrets
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Tell about containers
    #[command(subcommand)]
    Container(ContainerCommand),
    /// Run the commands of services whose containers' secrets have changed: a service of its own, as root
    Notifier(NotifierArguments),
    /// Services as CDI devices, for `--device runsecrets.io/service=NAME`
    #[command(subcommand)]
    Cdi(CdiCommand),
    /// Run a compose file with its secrets sealed, and in memory in its containers
    #[command(subcommand)]
    Compose(super::compose::ComposeCommand),
    /// Unlock the agent: the unlock key is read from a file or STDIN
    Unlock(KeyFile),
    /// Keep the root key wrapped under an unlock key that the machine does not have
    #[command(subcommand)]
    Autolock(AutolockCommand),
    /// List the containers that hold secrets now
    Ps(PsArguments),
    /// Show what happens to secrets, as it happens
    Events(EventsArguments),
    /// Find what is wrong on this machine, and what to do about it
    Doctor(DoctorArguments),
    /// Show the versions of this program and of the agent
    Version(VersionArguments),
}

/// Where the unlock key is read from.
#[derive(Debug, Args)]
pub(super) struct KeyFile {
    /// File with the unlock key, or `-` for STDIN
    #[arg(default_value = "-")]
    pub(super) file: PathBuf,
}

/// `runsecrets autolock …`.
#[derive(Debug, Subcommand)]
pub(super) enum AutolockCommand {
    /// Make a new unlock key and print it once; give it to `unlock` to turn autolock on
    On {
        /// File with the current unlock key, or `-` for STDIN: needed where autolock is on already
        file: Option<PathBuf>,
    },
    /// Turn autolock off: the unlock key is read from a file or STDIN
    Off(KeyFile),
}

/// Whether containers that run are changed.
#[derive(Debug, Args)]
pub(super) struct Live {
    /// With =false, containers that run stay as they are until they are started again
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub(super) live: bool,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Format output: 'json', or a Go template
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub(super) format: String,
    /// Print the information in a human friendly format
    #[arg(long)]
    pub(super) pretty: bool,
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "NAME")]
    pub(super) references: Vec<String>,
}

/// `ls`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only display IDs
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Filter output: name=, id=, label=
    #[arg(short, long = "filter", value_name = "NAME=VALUE", value_parser = filter)]
    pub(super) filters: Vec<Filter>,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) format: String,
}

/// `rm`.
#[derive(Debug, Args)]
pub(super) struct References {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "NAME")]
    pub(super) references: Vec<String>,
}

/// `runsecrets container …`.
#[derive(Debug, Subcommand)]
pub(super) enum ContainerCommand {
    /// Say that containers are healthy: secrets that they have until then are taken from them
    Healthy(ContainerHealthy),
}

/// `container healthy`.
#[derive(Debug, Args)]
pub(super) struct ContainerHealthy {
    /// Ids, or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    pub(super) containers: Vec<String>,
}

/// `notifier`.
#[derive(Debug, Args)]
pub(super) struct NotifierArguments {
    /// The directory of programs; it, what is in it and what leads to it must be writable by root alone
    #[arg(long, value_name = "DIR", default_value = NOTIFY_DIR)]
    pub(super) directory: PathBuf,
}

/// `runsecrets cdi …`.
#[derive(Debug, Subcommand)]
pub(super) enum CdiCommand {
    /// Write the CDI specification file with one device for each service
    Generate(CdiGenerate),
    /// List the devices
    #[command(name = "ls", visible_alias = "list")]
    Ls,
}

/// `cdi generate`.
#[derive(Debug, Args)]
pub(super) struct CdiGenerate {
    /// The file, such as /etc/cdi/runsecrets.json [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// The hook's program
    #[arg(long, value_name = "PATH", default_value = HOOK)]
    pub(super) hook: PathBuf,
}

/// `ps`.
#[derive(Debug, Args)]
pub(super) struct PsArguments {
    /// Only display container IDs
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) format: String,
    /// Do not truncate container IDs
    #[arg(long)]
    pub(super) no_trunc: bool,
}

/// `events`.
#[derive(Debug, Args)]
pub(super) struct EventsArguments {
    /// Filter events: type=, event=, secret=, service=, container=, label=, scope=
    #[arg(short, long = "filter", value_name = "NAME=VALUE", value_parser = filter)]
    pub(super) filters: Vec<Filter>,
    /// Show all events created since this time (Unix, RFC 3339, or 10m for ten minutes ago)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Stream events until this time
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Format output: 'json', or a Go template
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) format: String,
}

/// `version`.
#[derive(Debug, Args)]
pub(super) struct VersionArguments {
    /// Format output: 'json', or a Go template
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub(super) format: String,
}

/// `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 nothing worse than a note, 1 something is broken, 2 there are warnings.")]
pub(super) struct DoctorArguments {
    /// Format output: lines, or a JSON array
    #[arg(short, long, value_enum, default_value_t = DoctorFormat::Text)]
    pub(super) format: DoctorFormat,
}

/// How findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DoctorFormat {
    /// One line each.
    Text,
    /// An array of `{"Level","Subject","Finding","Fix"}`.
    Json,
}

/// One `-f name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    /// What it looks at.
    pub(super) name: String,
    /// What it wants there.
    pub(super) value: String,
}

fn filter(text: &str) -> Result<Filter, &'static str> {
    let (name, value) = text.split_once('=').ok_or("bad format of filter (expected name=value)")?;
    Ok(Filter { name: name.trim().to_lowercase(), value: value.trim().to_owned() })
}

fn user(text: &str) -> Result<u32, String> {
    match user_id(text) {
        Ok(Some(uid)) => Ok(uid),
        Ok(None) => Err("there is no such user; give a name or a number".to_owned()),
        Err(cause) => Err(format!("cannot look the user up: {cause}; give a number")),
    }
}

fn label(text: &str) -> Result<String, ModelError> {
    Labels::parse([text]).map(|_| text.to_owned())
}

/// The agent's socket.
pub(super) fn socket(place: &Place) -> Result<PathBuf, CliError> {
    reach::address(place.run_dir.as_deref(), place.host.as_deref())
}

#[cfg(test)]
mod tests;
