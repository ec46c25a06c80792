//! The command line of `runsecrets compose`; names are those of docker compose where it has them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::adjust::Claim;

/// `runsecrets compose …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ComposeCommand {
    /// Store the secrets of a compose file and write the file that runs with them
    Convert(Convert),
    /// The same, then run the file by docker compose, docker-compose or podman-compose
    Up(Up),
}

/// `compose convert`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Convert {
    #[command(flatten)]
    pub(super) project: Project,
    /// The file to write, or - for standard output [default: compose.runsecrets.yaml beside the compose file]; what is
    /// made of a second file has a 2 in its name
    #[arg(short, long, value_name = "FILE|-")]
    pub(super) output: Option<PathBuf>,
}

/// `compose up`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Up {
    #[command(flatten)]
    pub(super) project: Project,
    /// The program to run: docker, docker-compose, podman-compose, or a path [default: the first that is found]
    #[arg(long = "with", value_name = "PROGRAM")]
    pub(super) program: Option<PathBuf>,
    /// What the program's `up` is told, such as -d
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) arguments: Vec<OsString>,
}

/// Which files, which project, and how containers claim their service.
#[derive(Debug, Args)]
pub(in crate::cli) struct Project {
    /// A compose file; of several, a later one has its say over an earlier one [default: compose.yaml, compose.yml,
    /// docker-compose.yml or docker-compose.yaml, here or above, and compose.override.yaml or the like beside it]
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,
    /// The project's name [default: as docker compose finds it]
    #[arg(short, long, value_name = "NAME")]
    pub(super) project_name: Option<String>,
    /// The file of variables [default: .env beside the compose file]
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
    /// Give secrets that are stored already the values that are in the files now, also in containers that run
    #[arg(long)]
    pub(super) update: bool,
    /// How a container says which service it is [default: device, or what the program of `up` can hand on]
    #[arg(long, value_enum)]
    pub(super) claim: Option<Claim>,
    /// The engine's runtime for the containers, or '' for none [default: runsecrets or runsecrets-env, as the claim has it]
    #[arg(long, value_name = "NAME")]
    pub(super) runtime: Option<String>,
}
