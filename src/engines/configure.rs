//! `runsecrets configure ENGINE`: reads an engine's files, decides what they should be, shows the difference, and writes
//! them. It restarts nothing; it says what will.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::change::{Change, Original};
use super::containerd;
use super::crio;
use super::docker;
use super::error::{ConfigureError, EditError};
use super::hooks_dir::{self, Source};
use super::podman;
use super::survey::{self, Engine};
use super::wish::{HOOKS_DIR, WRAPPER, Wish};

/// What stands above our own files.
const HEADER: &str = "# By `runsecrets configure`; taken away by `runsecrets configure --uninstall`.\n";
/// The directory that containerd from 2.2 on names in the `imports` of its default configuration, and merges.
const CONTAINERD_DROP_INS: &str = "/etc/containerd/conf.d/*.toml";
/// Our file in it.
const CONTAINERD_DROP_IN: &str = "/etc/containerd/conf.d/99-runsecrets.toml";
/// The first containerd that is known to merge tables of plugins in drop-ins; before, they replaced them.
const CONTAINERD_MERGES: (u32, u32) = (2, 1);

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
    let config = matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let uninstall = matches.get_flag("uninstall");

    let (changes, notes) = plan(engine, config, uninstall, &wish)?;
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
        as_runtime: matches.get_flag("as-runtime"),
    })
}

type Plan = (Vec<Change>, Vec<String>);

/// What is to be done to which files, and what is to be said about it.
fn plan(engine: Engine, config: Option<&Path>, uninstall: bool, wish: &Wish) -> Result<Plan, ConfigureError> {
    let (changes, mut notes) = match engine {
        Engine::Docker => plan_docker(config, uninstall, wish)?,
        Engine::Containerd => plan_containerd(config, uninstall, wish)?,
        Engine::Podman => {
            let sources = podman::sources(Path::new("/"))?;
            plan_hooks(config.unwrap_or(Path::new(podman::DROP_IN)), sources, podman::TABLE, uninstall, wish)?
        }
        Engine::Crio if wish.as_runtime => plan_crio_runtime(config, uninstall, wish)?,
        Engine::Crio => {
            let sources = crio::sources(Path::new("/"))?;
            plan_hooks(config.unwrap_or(Path::new(crio::DROP_IN)), sources, crio::TABLE, uninstall, wish)?
        }
    };
    if !uninstall {
        let needed = if matches!(engine, Engine::Podman) || engine == Engine::Crio && !wish.as_runtime {
            &wish.hooks_dir
        } else {
            &wish.wrapper
        };
        if !Path::new(needed).exists() {
            notes.push(format!("{needed} is not there: install runsecrets before {engine} reads this"));
        }
    }
    Ok((changes, notes))
}

fn plan_docker(config: Option<&Path>, uninstall: bool, wish: &Wish) -> Result<Plan, ConfigureError> {
    let path = config.unwrap_or(Path::new(Engine::Docker.config()));
    let original = Original::read(path)?;
    let failed = |cause| ConfigureError::Edit { path: path.to_owned(), cause };
    if uninstall {
        let add = |text: &str| docker::install(text, wish).map(|edited| edited.text);
        let change = original.uninstall(docker::uninstall, add, docker::is_blank).map_err(failed)?;
        return Ok((vec![change], vec![]));
    }
    let edited = docker::install(original.text(), wish).map_err(failed)?;
    let change = original.install(edited.text, docker::uninstall);
    Ok((vec![change], edited.notes))
}

/// The drop-in where the main file imports its directory and the program merges it, else the main file.
fn plan_containerd(config: Option<&Path>, uninstall: bool, wish: &Wish) -> Result<Plan, ConfigureError> {
    let path = config.unwrap_or(Path::new(Engine::Containerd.config()));
    let main = Original::read(path)?;
    let drop_in = Path::new(CONTAINERD_DROP_IN);
    let in_file = |path: &Path| {
        let path = path.to_owned();
        move |cause| ConfigureError::Edit { path: path.clone(), cause }
    };
    let strip = |text: &str| containerd::uninstall(text);
    if uninstall {
        let add = |text: &str| containerd::install(text, None, 2, wish).map(|edited| edited.text);
        let mut changes = vec![main.uninstall(strip, add, containerd::is_blank).map_err(in_file(path))?];
        if config.is_none() {
            let is_blank = |text: &str| containerd::is_blank(&without_header(text));
            changes.push(Original::read(drop_in)?.uninstall(strip, add, is_blank).map_err(in_file(drop_in))?);
        }
        return Ok((changes, vec![]));
    }
    let version = installed_version(Engine::Containerd);
    let has_ours = containerd::wrapper(main.text()).map_err(in_file(path))?.is_some();
    let imported =
        containerd::imports(main.text()).map_err(in_file(path))?.iter().any(|one| one == CONTAINERD_DROP_INS);
    let format = containerd::format(main.text()).map_err(in_file(path))?;
    if config.is_none()
        && imported
        && format >= 3
        && !has_ours
        && version.is_some_and(|found| found >= CONTAINERD_MERGES)
    {
        let file = Original::read(drop_in)?;
        let edited = containerd::install(file.text(), Some(main.text()), format, wish).map_err(in_file(drop_in))?;
        let after = headed(file.text(), edited.text);
        let change = file.install(after, strip);
        return Ok((vec![change], edited.notes));
    }
    let fresh = if version.is_some_and(|found| found >= (2, 0)) { 3 } else { 2 };
    let edited = containerd::install(main.text(), None, fresh, wish).map_err(in_file(path))?;
    Ok((vec![main.install(edited.text, strip)], edited.notes))
}

/// podman and CRI-O: `hooks_dir` in `path`, which is one of `sources` or a new one in their order.
fn plan_hooks(
    path: &Path,
    sources: Vec<Source>,
    table: &[&str],
    uninstall: bool,
    wish: &Wish,
) -> Result<Plan, ConfigureError> {
    let original = Original::read(path)?;
    let failed = |cause| ConfigureError::Edit { path: path.to_owned(), cause };
    // A file beside those that the engine reads by itself stands alone.
    let beside = |source: &Source| source.path.parent() == path.parent();
    let is_read =
        sources.iter().any(beside) || [podman::DROP_IN, crio::DROP_IN].iter().any(|own| path == Path::new(own));
    let sources = if is_read { sources } else { Vec::new() };
    let order = |source: &Source| rank(&source.path, path);
    let (before, later): (Vec<Source>, Vec<Source>) =
        sources.into_iter().filter(|source| source.path != path).partition(order);
    let inherited = hooks_dir::effective(&before, table)?;
    let known = [wish.hooks_dir.clone(), HOOKS_DIR.to_owned()];
    let is_own = |text: &str| text.starts_with(HEADER);
    let strip = |text: &str| {
        if is_own(text) {
            hooks_dir::without_list(text, table)
        } else {
            hooks_dir::uninstall(text, table, &inherited, &known)
        }
    };
    let add = |text: &str| hooks_dir::install(text, table, &inherited, wish).map(|after| headed(text, after));
    if uninstall {
        let is_blank = |text: &str| without_header(text).trim().is_empty();
        return Ok((vec![original.uninstall(strip, add, is_blank).map_err(failed)?], vec![]));
    }
    for source in later {
        let replaces = hooks_dir::replaces(&source.text, table);
        if replaces.map_err(|cause| ConfigureError::Edit { path: source.path.clone(), cause })? {
            return Err(failed(EditError::Overridden { by: source.path }));
        }
    }
    if original.text.is_none() && inherited.contains(&wish.hooks_dir) {
        let note = format!("{} is in hooks_dir already", wish.hooks_dir);
        return Ok((vec![], vec![note]));
    }
    let after = add(original.text()).map_err(failed)?;
    Ok((vec![original.install(after, strip)], vec![]))
}

/// CRI-O with the wrapper as a runtime handler.
fn plan_crio_runtime(config: Option<&Path>, uninstall: bool, wish: &Wish) -> Result<Plan, ConfigureError> {
    let path = config.unwrap_or(Path::new(crio::DROP_IN));
    let original = Original::read(path)?;
    let failed = |cause| ConfigureError::Edit { path: path.to_owned(), cause };
    let mut sources = crio::sources(Path::new("/"))?;
    if config.is_some() && !sources.iter().any(|source| source.path == path) {
        sources = vec![Source { path: path.to_owned(), text: original.text().to_owned() }];
    }
    let add = |text: &str| crio::install_runtime(text, &sources, wish);
    if uninstall {
        if crio::is_default(&sources).map_err(failed)? {
            return Err(failed(EditError::InUse { key: "default_runtime", name: super::wish::RUNTIME.to_owned() }));
        }
        let is_blank = |text: &str| without_header(text).trim().is_empty();
        let add = |text: &str| add(text).map(|edited| headed(text, edited.text));
        return Ok((vec![original.uninstall(crio::uninstall_runtime, add, is_blank).map_err(failed)?], vec![]));
    }
    let edited = add(original.text()).map_err(failed)?;
    let after = headed(original.text(), edited.text);
    Ok((vec![original.install(after, crio::uninstall_runtime)], edited.notes))
}

/// Whether `source` is read before `path`: main files come before drop-ins, those by their names.
fn rank(source: &Path, path: &Path) -> bool {
    let key = |path: &Path| {
        let in_directory = path.parent().is_some_and(|parent| parent.to_string_lossy().ends_with(".conf.d"));
        (in_directory, !path.starts_with("/usr"), path.to_owned())
    };
    key(source) < key(path)
}

/// A file that is ours alone says so.
fn headed(before: &str, after: String) -> String {
    if before.is_empty() { format!("{HEADER}{after}") } else { after }
}

fn without_header(text: &str) -> String {
    text.replacen(HEADER, "", 1)
}

/// The version of the engine that is on this machine: its first two numbers.
fn installed_version(engine: Engine) -> Option<(u32, u32)> {
    let version = survey::program(engine, Path::new("/")).and_then(|program| survey::version(&program))?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
