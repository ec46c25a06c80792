//! `runsecrets configure ENGINE`: reads an engine's files, decides what they should be, shows the difference, and writes
//! them. It restarts nothing; it says what will.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::change::Change;
use super::error::ConfigureError;
use super::plan::{Task, plan};
use super::survey::Engine;
use super::wish::{HOOKS_DIR, WRAPPER, Wish};

/// The verb's command line.
#[must_use]
pub fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let path = |name: &'static str, value: &'static str, help: String| {
        Arg::new(name).long(name).value_name(value).value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("configure")
        .about("Tell an engine about the wrapper or the hooks: shows the change, then writes it")
        .arg(
            Arg::new("engine")
                .required(true)
                .value_name("ENGINE")
                .value_parser(PossibleValuesParser::new(Engine::ALL.map(Engine::name)))
                .help("The engine"),
        )
        .arg(flag("dry-run", "Only show the change"))
        .arg(flag("uninstall", "Take our parts out again"))
        .arg(path("config", "FILE", "The file to change [default: the engine's own, or a drop-in]".to_owned()))
        .arg(path("runtime-path", "PATH", format!("The wrapper [default: {WRAPPER}]")))
        .arg(path("hook-path", "PATH", "docker: the hook that the wrapper adds [default: the one it finds]".to_owned()))
        .arg(path(
            "hooks-dir",
            "DIR",
            format!("podman, crio: the directory with our hook files [default: {HOOKS_DIR}]"),
        ))
        .arg(flag("claim-from-environment", "docker: also a runtime runsecrets-env that reads RUNSECRETS_SERVICE"))
        .arg(flag(
            "ask",
            "docker: also a runtime runsecrets-ask that has the agent look for a label ([docker] in its configuration)",
        ))
        .arg(flag("as-runtime", "crio: a runtime handler in place of the hook files"))
        .after_help(
            "No engine is restarted. The old text is kept beside a file that is changed, as NAME.runsecrets.bak.",
        )
}

/// Runs the verb; what it shows goes through `show`.
///
/// # Errors
/// The flags do not fit the engine, or a file cannot be read, understood or written; nothing has been changed then.
pub fn run(matches: &ArgMatches, show: &mut dyn FnMut(&str)) -> Result<(), Box<dyn Error>> {
    let given = matches.get_one::<String>("engine").map(String::as_str);
    let Some(engine) = Engine::ALL.into_iter().find(|engine| given == Some(engine.name())) else { return Ok(()) };
    let wish = wish(engine, matches)?;
    let config = matches.get_one::<PathBuf>("config").map(std::path::absolute).transpose()?;
    let uninstall = matches.get_flag("uninstall");

    let (changes, notes) =
        plan(&Task { root: Path::new("/"), engine, config: config.as_deref(), uninstall, wish: &wish })?;
    let changes: Vec<Change> = changes.into_iter().filter(|change| !change.is_none()).collect();
    changes.iter().for_each(|change| show(&change.diff()));
    notes.iter().for_each(|note| show(&format!("note: {note}\n")));
    if changes.is_empty() {
        show(&format!("{engine} is {} already: nothing to do\n", if uninstall { "without us" } else { "configured" }));
        return Ok(());
    }
    if matches.get_flag("dry-run") {
        show("nothing was written (--dry-run)\n");
        return Ok(());
    }
    for change in &changes {
        let kept = change.apply()?;
        show(&format!("changed: {}\n", change.path().display()));
        if let Some(kept) = kept {
            show(&format!("as it was: {}\n", kept.display()));
        }
    }
    show(&format!("{}\n", takes_effect(engine, uninstall)));
    Ok(())
}

/// What makes an engine read its files.
fn takes_effect(engine: Engine, uninstall: bool) -> &'static str {
    match engine {
        // dockerd leaves its runtimes alone when it reads a file that has none.
        Engine::Docker if uninstall => {
            "to make Docker read it: systemctl restart docker (a reload is enough where the file has other runtimes)"
        }
        Engine::Docker => "to make Docker read it: systemctl reload docker",
        Engine::Containerd => "to make containerd read it: systemctl restart containerd (containers go on)",
        Engine::Podman => "podman reads it when it is called the next time",
        Engine::Crio => "to make CRI-O read it: systemctl restart crio (containers go on)",
    }
}

/// What the flags ask for.
fn wish(engine: Engine, matches: &ArgMatches) -> Result<Wish, ConfigureError> {
    let refuse = |flag, instead| Err(ConfigureError::Flag { flag, engine, instead });
    let has_wrapper = engine != Engine::Podman && (engine != Engine::Crio || matches.get_flag("as-runtime"));
    let has_hooks = matches!(engine, Engine::Podman | Engine::Crio) && !matches.get_flag("as-runtime");
    if matches.get_flag("claim-from-environment") && engine != Engine::Docker {
        return refuse("--claim-from-environment", "its containers have annotations");
    }
    if matches.get_flag("ask") && engine != Engine::Docker {
        return refuse("--ask", "see packaging/containerd/ for a runtime class that asks");
    }
    if matches.get_flag("as-runtime") && engine != Engine::Crio {
        return refuse("--as-runtime", "leave it out");
    }
    if matches.contains_id("hook-path") && engine != Engine::Docker {
        return refuse("--hook-path", "the wrapper finds the hook, and hook files name it; see hooks/README.md");
    }
    if matches.contains_id("runtime-path") && !has_wrapper {
        return refuse("--runtime-path", "it is told about hook files: --hooks-dir DIR");
    }
    if matches.contains_id("hooks-dir") && !has_hooks {
        return refuse("--hooks-dir", "it is told about the wrapper: --runtime-path PATH");
    }
    let path = |id: &str, flag: &'static str| {
        let path = matches.get_one::<PathBuf>(id);
        let text = |path: &PathBuf| {
            let text = path.to_str().filter(|_| path.is_absolute()).map(str::to_owned);
            text.ok_or_else(|| ConfigureError::NotAbsolute { flag, path: path.clone() })
        };
        path.map(text).transpose()
    };
    let wrapper = path("runtime-path", "--runtime-path")?;
    Ok(Wish {
        wrapper_is_told: wrapper.is_some(),
        wrapper: wrapper.unwrap_or_else(|| WRAPPER.to_owned()),
        hook: path("hook-path", "--hook-path")?,
        hooks_dir: path("hooks-dir", "--hooks-dir")?.unwrap_or_else(|| HOOKS_DIR.to_owned()),
        claim_from_environment: matches.get_flag("claim-from-environment"),
        ask: matches.get_flag("ask"),
        as_runtime: matches.get_flag("as-runtime"),
    })
}
