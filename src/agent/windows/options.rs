//! The command line of `runsecrets-agent` on Windows. It only says what was asked for: no file is opened here.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::agent::config;
use crate::agent::log::LogFormat;

/// What `--help` says of the codes in `exit`.
const EXIT_CODES: &str = "\
Exit codes:
   0  ended by Ctrl-C or by the service control manager
  64  the command line is wrong
  65  the store is not what was written to it, or not this root key's
  69  another agent has the state directory or the pipe
  71  the system refused something that it should not
  74  a file or the store could not be read or written
  77  a directory or file is not protected as it must be, or the root key is missing or damaged
  78  the configuration is wrong";

/// Keeps secrets sealed and delivers them to the containers that they are granted to.
#[derive(Debug, Clone, Parser)]
#[command(name = "runsecrets-agent", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Options {
    /// Read the configuration from FILE [default: C:\ProgramData\runsecrets\config.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Keep the sealed store and the root key in DIR, whatever the configuration says
    #[arg(long, value_name = "DIR", value_parser = config::absolute, global = true)]
    pub state_dir: Option<PathBuf>,
    /// Keep containers' secrets below DIR, whatever the configuration says
    #[arg(long, value_name = "DIR", value_parser = config::absolute, global = true)]
    pub run_dir: Option<PathBuf>,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    /// What to do instead of serving here.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Check a configuration file and change nothing
    CheckConfig {
        /// The file [default: the one that the agent would read]
        file: Option<PathBuf>,
    },
    /// Serve in the foreground, until Ctrl-C; so it does without a command
    Run,
    /// The Windows service
    #[command(subcommand)]
    Service(ServiceCommand),
}

/// `runsecrets-agent service …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ServiceCommand {
    /// Install this program as a service, with the flags given here, and its source of events
    Install,
    /// Start it and wait until it serves
    Start,
    /// Stop it, and wait until it has removed what it delivered
    Stop,
    /// Say whether it is installed, and how it is
    Status,
    /// Stop and remove it, and its source of events; the store stays
    Uninstall,
    /// Serve as the service: for the service control manager
    #[command(hide = true)]
    Run,
}
