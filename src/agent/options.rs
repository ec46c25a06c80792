//! The command line of `runsecrets-agent`. It only says what was asked for: no file is opened here.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::config;
use super::log::LogFormat;

/// What `--help` says of the codes in `exit`.
const EXIT_CODES: &str = "\
Exit codes:
   0  ended by SIGTERM or SIGINT; containers keep their secrets
  64  the command line is wrong
  65  the store is not what was written to it, or not this root key's
  69  another agent has the state or run directory
  71  the system refused something that it should not
  74  a file or the store could not be read or written
  77  a directory or file is not protected as it must be, or the root key is missing or damaged
  78  the configuration is wrong";

/// Keeps secrets sealed and delivers them to the containers that they are granted to.
#[derive(Debug, Parser)]
#[command(name = "runsecrets-agent", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Options {
    /// Read the configuration from FILE [default: /etc/runsecrets/config.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Keep the sealed store and the root key in DIR, whatever the configuration says
    #[arg(long, value_name = "DIR", value_parser = config::absolute)]
    pub state_dir: Option<PathBuf>,
    /// Make the sockets in DIR, whatever the configuration says
    #[arg(long, value_name = "DIR", value_parser = config::absolute)]
    pub run_dir: Option<PathBuf>,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration file and change nothing
    CheckConfig {
        /// The file [default: the one that the agent would read]
        file: Option<PathBuf>,
    },
}
