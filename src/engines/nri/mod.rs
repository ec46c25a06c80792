//! `runsecrets nri`: a plugin for engines with NRI (containerd from 1.7 on, CRI-O), which adds our hooks to containers
//! whose pod claims a service by its annotations. It is no part of a delivery: it never sees a value, does not speak to
//! the agent, and needs nothing but the engine's socket.

mod adjust;
mod connect;
mod error;
mod known;
mod message;
mod mux;
mod plugin;
mod ttrpc;
mod version;

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches};

use adjust::Wiring;
use error::NriError;
use plugin::Identity;

use crate::model::{HOOK, RUN_DIR};

/// The most lines that wait to be shown; more are dropped.
const UNSHOWN: usize = 256;

/// The command line of `runsecrets nri`.
#[derive(Debug, Args)]
struct NriArguments {
    /// The engine's NRI socket; an engine that starts the plugin itself hands its connection over instead
    #[arg(long, value_name = "PATH", default_value = "/var/run/nri/nri.sock")]
    socket: PathBuf,
    /// The hook's program
    #[arg(long, value_name = "PATH", default_value = HOOK)]
    hook: PathBuf,
    /// What the engine knows the plugin by, as in its required_plugins
    #[arg(long, value_name = "NAME", default_value = "runsecrets", value_parser = name)]
    name: String,
    /// Two digits: an engine asks its plugins in this order
    #[arg(long, value_name = "NN", default_value = "90", value_parser = index)]
    index: String,
}

fn name(text: &str) -> Result<String, &'static str> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    if !text.is_empty() && text.bytes().all(fine) { Ok(text.to_owned()) } else { Err("[a-zA-Z0-9_.+-] is expected") }
}

fn index(text: &str) -> Result<String, &'static str> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Ok(text.to_owned()) } else { Err("two digits are expected") }
}

/// Its definition.
pub fn command() -> Command {
    let about = "Give the pods of containerd and CRI-O the secrets that they claim by annotation (NRI plugin)";
    NriArguments::augment_args(Command::new("nri").about(about))
}

/// Runs the plugin: until the engine that has started it ends, or for ever.
///
/// # Errors
/// The command line has a path that is not absolute, or the engine that has started the plugin does not take it.
pub fn run(matches: &ArgMatches, show: &mut dyn FnMut(&str)) -> Result<(), Box<dyn Error>> {
    let NriArguments { socket, hook, name, index } = NriArguments::from_arg_matches(matches)?;
    let wiring = wiring(&hook, &run_dir(matches))?;
    let identity = Identity { name, index };
    let handed_over = connect::handed_over(&identity)?;
    // Who reads what is said may be slow, and a runtime that waits for an answer goes on without it.
    let (sender, receiver) = std::sync::mpsc::sync_channel::<String>(UNSHOWN);
    std::thread::scope(|scope| {
        let plugin = scope.spawn(move || {
            let mut say = |line: &str| {
                let _ = sender.try_send(format!("runsecrets-nri: {line}\n"));
            };
            if !hook.exists() {
                say(&format!(
                    "warning: there is no {} here; containers that claim a service will not start",
                    wiring.hook
                ));
            }
            match handed_over {
                Some((stream, identity)) => connect::once(&stream, &identity, &wiring, &mut say),
                None => connect::forever(&socket, &identity, &wiring, &mut say),
            }
        });
        receiver.iter().for_each(|line| show(&line));
        Ok(plugin.join().map_err(|_| "the plugin has failed")??)
    })
}

/// The agent's run directory, as the whole program has it.
fn run_dir(matches: &ArgMatches) -> PathBuf {
    let given = matches.try_get_one::<PathBuf>("run_dir").ok().flatten().cloned();
    let from_environment = || std::env::var_os("RUNSECRETS_RUN_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    given.or_else(from_environment).unwrap_or_else(|| PathBuf::from(RUN_DIR))
}

fn wiring(hook: &Path, run_dir: &Path) -> Result<Wiring, NriError> {
    let absolute = |path: &Path| {
        let text = path.to_str().filter(|_| path.is_absolute()).map(str::to_owned);
        text.ok_or_else(|| NriError::NotAbsolute { path: path.to_owned() })
    };
    let (hook, run_dir) = (absolute(hook)?, absolute(run_dir)?);
    let arguments = if run_dir == RUN_DIR { vec![] } else { vec!["--run-dir".to_owned(), run_dir] };
    Ok(Wiring { hook, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound_and_says_what_it_takes() {
        command().debug_assert();
        let given = |line: &str| command().try_get_matches_from(line.split(' '));
        assert!(given("nri --socket /s --hook /h --name a-b --index 07").is_ok());
        for line in ["nri --index 7", "nri --index 100", "nri --index ab", "nri --name a/b", "nri --name=", "nri more"]
        {
            assert!(given(line).is_err(), "{line}");
        }
    }

    #[test]
    fn hooks_are_told_absolute_paths_and_no_more_than_they_need() {
        let told = |hook: &str, run_dir: &str| wiring(Path::new(hook), Path::new(run_dir));
        assert_eq!(told("/h", RUN_DIR).unwrap().arguments, Vec::<String>::new());
        assert_eq!(told("/h", "/r").unwrap().arguments, ["--run-dir", "/r"]);
        for (hook, run_dir) in [("h", "/r"), ("/h", "r")] {
            assert!(told(hook, run_dir).unwrap_err().to_string().contains("absolute"));
        }
    }
}
