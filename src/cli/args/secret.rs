//! The arguments of `runsecrets secret …`. Only what clap reads: no files, no requests.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Inspect, List, Live, References, label};

/// `runsecrets secret …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SecretCommand {
    /// Create a secret from a file or STDIN as content
    Create(SecretCreate),
    /// Display detailed information on one or more secrets
    Inspect(Inspect),
    /// List secrets
    #[command(visible_alias = "list")]
    Ls(List),
    /// Remove one or more secrets
    #[command(visible_alias = "remove")]
    Rm(References),
    /// Remove all secrets that no service is granted
    Prune(Prune),
    /// Give a secret a new value; running containers get it at once
    Update(SecretUpdate),
    /// Give a secret the value of an earlier version again
    Rollback(SecretRollback),
    /// List the versions of a secret that are kept
    History(SecretHistory),
}

/// `secret update`.
#[derive(Debug, Args)]
#[command(override_usage = "runsecrets secret update [OPTIONS] <SECRET> <FILE|-> [<SECRET> <FILE|->]...")]
pub(in crate::cli) struct SecretUpdate {
    #[command(flatten)]
    pub(in crate::cli) live: Live,
    /// Name, id or beginning of the id, and the file with the value, or - for standard input; several pairs change together
    #[arg(value_names = ["SECRET", "FILE|-"], required = true, num_args = 2..)]
    pub(in crate::cli) pairs: Vec<OsString>,
}

/// `secret rollback`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SecretRollback {
    #[command(flatten)]
    pub(in crate::cli) live: Live,
    /// The version whose value it gets [default: the one before the current]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) to: Option<u64>,
    /// Name, id or beginning of the id
    #[arg(value_name = "SECRET")]
    pub(in crate::cli) reference: String,
}

/// `secret history`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SecretHistory {
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(in crate::cli) format: String,
    /// Only display version numbers
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
    /// Name, id or beginning of the id
    #[arg(value_name = "SECRET")]
    pub(in crate::cli) reference: String,
}

/// `secret create`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SecretCreate {
    /// Secret labels
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(in crate::cli) labels: Vec<String>,
    /// Secret driver
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub(in crate::cli) driver: String,
    /// Template driver
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(in crate::cli) template_driver: String,
    /// The secret's name
    #[arg(value_name = "SECRET")]
    pub(in crate::cli) name: String,
    /// The file with the value, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub(in crate::cli) file: Option<PathBuf>,
}

/// `prune`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Prune {
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(in crate::cli) force: bool,
}
