//! The program `runsecrets-agent`: keeps secrets sealed, answers administrators on one socket and hooks on the other.
//! It never prints or logs a value, and it reaches into a container only through `deliver`.
//!
//! Exit codes are those of sysexits(3), each named in [`exit`].
#![forbid(unsafe_code)]

#[cfg_attr(windows, path = "windows/admin.rs")]
pub mod admin;
pub mod api;
#[cfg_attr(windows, path = "windows/at_rest.rs")]
pub mod at_rest;
pub mod autolock;
pub mod catalog;
pub mod clock;
pub mod config;
#[cfg_attr(windows, path = "windows/delivery/mod.rs")]
pub mod delivery;
pub mod events;
pub mod exit;
pub mod fault;
pub mod hardened;
#[cfg_attr(windows, path = "windows/hardening.rs")]
pub mod hardening;
pub mod listen;
pub mod lock;
pub mod log;
#[cfg_attr(windows, path = "windows/options.rs")]
pub mod options;
pub mod patient;
#[cfg_attr(windows, path = "windows/protected.rs")]
pub mod protected;
pub mod rootkey;
#[cfg_attr(windows, path = "windows/start.rs")]
pub mod start;
pub mod start_error;

#[cfg(target_os = "linux")]
pub mod devices;
#[cfg(target_os = "linux")]
pub mod docker;
#[cfg(windows)]
#[path = "windows/event_log.rs"]
pub mod event_log;
#[cfg_attr(windows, path = "windows/hooks.rs")]
pub mod hooks;
#[cfg(windows)]
#[path = "windows/installed.rs"]
pub mod installed;
#[cfg(target_os = "linux")]
pub mod notify;
#[cfg(windows)]
#[path = "windows/service.rs"]
pub mod service;
#[cfg(target_os = "linux")]
pub mod sockets;
#[cfg(target_os = "linux")]
pub mod standing;
#[cfg(target_os = "linux")]
pub mod user_hooks;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use self::config::{Config, DEFAULT_FILE};
use self::log::LogFormat;
use self::options::{Command, Options};

/// Runs the program: the one place that prints and picks the exit code.
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // A closed pipe is no reason for another exit code.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::OK }.into();
        }
    };
    match &options.command {
        Some(Command::CheckConfig { file }) => check_config(file.as_deref().or(options.config.as_deref())),
        _ => match start::run(&options) {
            Ok(()) => exit::OK.into(),
            Err(error) => {
                match options.log_format {
                    LogFormat::Text => complain(&error),
                    LogFormat::Json => tracing::error!("{error}"),
                }
                error.exit_code().into()
            }
        },
    }
}

/// `check-config`: reads the file as a start would and changes nothing.
fn check_config(file: Option<&Path>) -> ExitCode {
    // A file that is looked at on purpose must be there, even if the agent could do without.
    let file = file.unwrap_or(Path::new(DEFAULT_FILE));
    match Config::load(Some(file)) {
        Ok(_) => {
            let _ = writeln!(std::io::stdout(), "{}: ok", file.display());
            exit::OK.into()
        }
        Err(error) => {
            complain(&error);
            exit::CONFIG.into()
        }
    }
}

fn complain(error: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "runsecrets-agent: {error}");
}
