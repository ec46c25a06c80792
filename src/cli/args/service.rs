//! The arguments of `runsecrets service …`. Only what clap reads: no files, no requests.

use clap::{Args, Subcommand};

use super::{Inspect, List, Live, PsArguments, References, label, user};
use crate::model::{Command, Grant, ModelError, Selector, ServiceName, Signal};

/// `runsecrets service …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ServiceCommand {
    /// Create a service
    Create(ServiceCreate),
    /// Say that the containers of services are healthy: secrets that they have until then are taken from them
    Healthy(References),
    /// Display detailed information on one or more services
    Inspect(Inspect),
    /// List services
    #[command(visible_alias = "list")]
    Ls(List),
    /// List the containers that hold a service's secrets now
    Ps(ServicePs),
    /// Remove one or more services
    #[command(visible_alias = "remove")]
    Rm(ServiceRm),
    /// Update a service: grant, revoke, label; running containers get it at once
    Update(ServiceUpdate),
}

/// `service create`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServiceCreate {
    /// The service's name
    #[arg(long, value_parser = ServiceName::parse)]
    pub(in crate::cli) name: ServiceName,
    /// A secret for its containers: NAME, or source=,target=,uid=,gid=,mode=,until=
    #[arg(long = "secret", value_name = "SECRET", value_parser = Grant::parse)]
    pub(in crate::cli) secrets: Vec<Grant>,
    /// Service labels
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(in crate::cli) labels: Vec<String>,
    /// Select containers that claim nothing, where hooks have --ask: an annotation that the engine stamps, and its value
    #[arg(long = "match", value_name = "KEY=REGEX", value_parser = Selector::parse)]
    pub(in crate::cli) selectors: Vec<Selector>,
    /// Ask every container for a token, which is shown once
    #[arg(long)]
    pub(in crate::cli) require_claim: bool,
    /// Set $CREDENTIALS_DIRECTORY to /run/secrets in containers, for programs that look there
    #[arg(long)]
    pub(in crate::cli) credentials: bool,
    /// Send the first process of its containers this signal when their secrets change
    #[arg(long, value_name = "SIGNAL", value_parser = Signal::parse)]
    pub(in crate::cli) notify: Option<Signal>,
    /// Have `runsecrets notifier` run a program of /etc/runsecrets/notify.d then: NAME, and words for it
    #[arg(long, value_name = "NAME ARG…", value_parser = Command::parse)]
    pub(in crate::cli) notify_command: Option<Command>,
    /// Open it to the own (rootless) containers of a user: NAME or UID
    #[arg(long = "user", value_name = "USER", value_parser = user)]
    pub(in crate::cli) users: Vec<u32>,
}

/// `service rm`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServiceRm {
    #[command(flatten)]
    pub(in crate::cli) live: Live,
    #[command(flatten)]
    pub(in crate::cli) services: References,
}

/// `service update`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServiceUpdate {
    #[command(flatten)]
    pub(in crate::cli) live: Live,
    /// Grant a secret: NAME, or source=,target=,uid=,gid=,mode=,until=
    #[arg(long = "secret-add", value_name = "SECRET", value_parser = Grant::parse)]
    pub(in crate::cli) secret_add: Vec<Grant>,
    /// Revoke a secret by its name; done before the grants
    #[arg(long = "secret-rm", value_name = "NAME")]
    pub(in crate::cli) secret_rm: Vec<String>,
    /// Add or change a label
    #[arg(long = "label-add", value_name = "KEY=VALUE", value_parser = label)]
    pub(in crate::cli) label_add: Vec<String>,
    /// Remove a label by its key
    #[arg(long = "label-rm", value_name = "KEY")]
    pub(in crate::cli) label_rm: Vec<String>,
    /// Add a selector; all of a service's hold for its containers
    #[arg(long = "match-add", visible_alias = "match", value_name = "KEY=REGEX", value_parser = Selector::parse)]
    pub(in crate::cli) match_add: Vec<Selector>,
    /// Remove selectors by their key, or one as it is written; done before the additions
    #[arg(long = "match-rm", value_name = "KEY[=REGEX]")]
    pub(in crate::cli) match_rm: Vec<String>,
    /// Set $CREDENTIALS_DIRECTORY in containers that start from now on, or not
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) credentials: Option<bool>,
    /// Send the first process of its containers this signal when their secrets change; '' for none
    #[arg(long, value_name = "SIGNAL", value_parser = signal_or_none)]
    pub(in crate::cli) notify: Option<String>,
    /// Have `runsecrets notifier` run a program of /etc/runsecrets/notify.d then: NAME, and words for it; '' for none
    #[arg(long, value_name = "NAME ARG…", value_parser = command_or_none)]
    pub(in crate::cli) notify_command: Option<String>,
    /// Open it to the own (rootless) containers of a user: NAME or UID
    #[arg(long = "user-add", value_name = "USER", value_parser = user)]
    pub(in crate::cli) user_add: Vec<u32>,
    /// Close it to a user
    #[arg(long = "user-rm", value_name = "USER", value_parser = user)]
    pub(in crate::cli) user_rm: Vec<u32>,
    /// Name, id or beginning of the id
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: String,
}

/// `service ps`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServicePs {
    #[command(flatten)]
    pub(in crate::cli) show: PsArguments,
    /// Name, id or beginning of the id
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: String,
}

fn signal_or_none(text: &str) -> Result<String, ModelError> {
    match text {
        "" => Ok(String::new()),
        text => Signal::parse(text).map(|signal| signal.to_string()),
    }
}

fn command_or_none(text: &str) -> Result<String, ModelError> {
    match text {
        "" => Ok(String::new()),
        text => Command::parse(text).map(|_| text.to_owned()),
    }
}
