//! As much of runc's and crun's command line as is needed to find the bundle. What is not understood is the real runtime's to
//! judge.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How a runtime reads its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// runc: Go's `flag`, where `-name` and `--name` are the same.
    Go,
    /// crun: argp(3), where short options stand together (`-db DIR`) and long ones may be shortened (`--bund DIR`).
    Argp,
}

/// Global options of runc and crun that take a value.
const GLOBAL_WITH_VALUE: [&str; 7] = ["root", "log", "log-format", "log-level", "criu", "cgroup-manager", "rootless"];
/// Global options that take none.
const GLOBAL_ALONE: [&str; 7] = ["debug", "systemd-cgroup", "help", "usage", "version", "h", "v"];
/// Options of `create` and `run` that take a value.
const WITH_VALUE: [&str; 9] =
    ["bundle", "b", "console-socket", "pid-file", "preserve-fds", "pidfd-socket", "keep-fds", "config", "f"];
/// Options of `create` and `run` that take none.
const ALONE: [&str; 8] = ["detach", "d", "keep", "no-pivot", "no-new-keyring", "no-subreaper", "help", "usage"];
/// What a subcommand answers with its usage, and does nothing else.
const HELP: [&str; 4] = ["--help", "-help", "-h", "--usage"];
/// The subcommands of both: what follows an option that is not known is its value, unless it is one of these.
const SUBCOMMANDS: [&[u8]; 21] = [
    b"checkpoint",
    b"create",
    b"delete",
    b"events",
    b"exec",
    b"features",
    b"help",
    b"init",
    b"kill",
    b"list",
    b"mounts",
    b"pause",
    b"ps",
    b"restore",
    b"resume",
    b"run",
    b"spec",
    b"start",
    b"state",
    b"update",
    b"version",
];

/// What a runtime is called to do, as far as it is of interest to us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Verb {
    /// `create` or `run`.
    Create,
    /// `checkpoint`.
    Checkpoint,
    /// `restore`.
    Restore,
    /// Anything else, or a request for help.
    #[default]
    Other,
}

/// What a call of a runtime says of interest to us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) verb: Verb,
    /// How many arguments there are up to the subcommand and with it.
    pub(super) head: usize,
    bundle: Option<PathBuf>,
    /// crun's `--config`: a file that it reads in place of the bundle's own.
    pub(super) config: Option<PathBuf>,
    /// `--log`, where an engine looks for the reason of a failure.
    pub(super) log: Option<PathBuf>,
    /// Whether the log is one JSON object a line.
    pub(super) log_json: bool,
}

impl Invocation {
    /// Scans the runtime's arguments.
    ///
    /// A `create` that was taken for something else would start a container without its secrets, so what is not known
    /// is read in the way that finds one.
    pub(super) fn scan(arguments: &[OsString], dialect: Dialect) -> Self {
        let mut invocation = Self::default();
        let mut left = arguments;
        while let [argument, rest @ ..] = left {
            left = rest;
            let Some((name, inline)) = option(argument) else {
                invocation.verb = match argument.as_bytes() {
                    b"create" | b"run" => Verb::Create,
                    b"checkpoint" => Verb::Checkpoint,
                    b"restore" => Verb::Restore,
                    _ => Verb::Other,
                };
                break;
            };
            let next = rest.first().map(OsString::as_os_str);
            let takes_next = inline.is_none()
                && takes_value(name, dialect, &GLOBAL_WITH_VALUE, &GLOBAL_ALONE).unwrap_or_else(|| {
                    next.is_some_and(|next| !SUBCOMMANDS.contains(&next.as_bytes()) && option(next).is_none())
                });
            let value = if takes_next { next } else { inline };
            left = if takes_next { rest.get(1..).unwrap_or_default() } else { rest };
            match name {
                b"log" => invocation.log = value.map(PathBuf::from),
                b"log-format" => invocation.log_json = value.is_some_and(|value| value == "json"),
                _ => {}
            }
        }
        // Only in the first place: further back, it could be the value of an option that is not known here.
        if left.first().is_some_and(|argument| HELP.iter().any(|help| argument == help)) {
            invocation.verb = Verb::Other;
        }
        invocation.head = arguments.len() - left.len();
        if invocation.verb == Verb::Create {
            invocation.scan_creation(left, dialect);
        }
        invocation
    }

    /// The bundle of a container that is to be created.
    pub(super) fn bundle(&self) -> PathBuf {
        self.bundle.clone().unwrap_or_else(|| PathBuf::from("."))
    }

    /// Options after `create` or `run`; crun takes them behind the container's id as well.
    fn scan_creation(&mut self, arguments: &[OsString], dialect: Dialect) {
        let mut arguments = arguments.iter().map(OsString::as_os_str);
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                break;
            }
            let Some((name, inline)) = option(argument) else { continue };
            if dialect == Dialect::Argp && !argument.as_bytes().starts_with(b"--") {
                self.scan_cluster(&argument.as_bytes()[1..], &mut arguments);
                continue;
            }
            let takes_next = inline.is_none() && takes_value(name, dialect, &WITH_VALUE, &ALONE).unwrap_or_default();
            let value = if takes_next { arguments.next() } else { inline };
            match matching(name, dialect, &WITH_VALUE).next() {
                Some("bundle" | "b") => self.bundle = value.map(PathBuf::from),
                Some("config") if dialect == Dialect::Argp => self.config = value.and_then(other_config),
                _ => {}
            }
        }
    }

    /// crun's short options: letters together, of which `b` and `f` take the rest, or the next argument, as their value.
    fn scan_cluster<'a>(&mut self, letters: &'a [u8], arguments: &mut impl Iterator<Item = &'a OsStr>) {
        let Some(at) = letters.iter().position(|letter| matches!(letter, b'b' | b'f')) else { return };
        let rest = &letters[at + 1..];
        let value = if rest.is_empty() { arguments.next() } else { Some(OsStr::from_bytes(rest)) };
        match letters[at] {
            b'b' => self.bundle = value.map(PathBuf::from),
            _ => self.config = value.and_then(other_config),
        }
    }
}

/// crun takes `--config` from the working directory, but for the very word `config.json`: that is the bundle's.
fn other_config(value: &OsStr) -> Option<PathBuf> {
    (value != "config.json").then(|| PathBuf::from(value))
}

/// An option's name without its dashes, and its value where both are one argument (`--name=value`).
pub(super) fn option(argument: &OsStr) -> Option<(&[u8], Option<&OsStr>)> {
    let bytes = argument.as_bytes();
    let name = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")).filter(|name| !name.is_empty())?;
    Some(match name.iter().position(|byte| *byte == b'=') {
        Some(at) => (&name[..at], Some(OsStr::from_bytes(&name[at + 1..]))),
        None => (name, None),
    })
}

/// The options that `name` may mean: itself, or what argp takes it to be short for.
pub(super) fn matching<'t>(name: &[u8], dialect: Dialect, table: &'t [&'static str]) -> impl Iterator<Item = &'t str> {
    let exact = dialect == Dialect::Go || table.iter().any(|known| known.as_bytes() == name);
    let fits = move |known: &[u8]| if exact { known == name } else { name.len() > 1 && known.starts_with(name) };
    table.iter().copied().filter(move |known| fits(known.as_bytes()))
}

/// Whether `name` takes a value; nothing where it is in neither table.
pub(super) fn takes_value(
    name: &[u8],
    dialect: Dialect,
    with: &[&'static str],
    alone: &[&'static str],
) -> Option<bool> {
    if alone.iter().any(|known| known.as_bytes() == name) {
        return Some(false);
    }
    if matching(name, dialect, with).next().is_some() {
        return Some(true);
    }
    matching(name, dialect, alone).next().is_some().then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn bundle(line: &str, dialect: Dialect) -> Option<PathBuf> {
        let invocation = Invocation::scan(&words(line), dialect);
        (invocation.verb == Verb::Create).then(|| invocation.bundle())
    }

    #[test]
    fn the_bundle_is_found_as_engines_write_it() {
        for (line, expected) in [
            ("--root /r --log /b/log.json --log-format json create --bundle /b --pid-file /b/init.pid id", Some("/b")),
            ("--root=/r --systemd-cgroup create --pid-file /p --bundle=/b id", Some("/b")),
            ("create -b /b id", Some("/b")),
            ("--cgroup-manager=disabled run --pid-file create id", Some(".")),
            ("--debug run id", Some(".")),
            ("--rootless false run --bundle /b id", Some("/b")),
            ("--rootless=auto --debug create --bundle /b id", Some("/b")),
            ("--not-known value create --bundle /b id", Some("/b")),
            ("--not-known create --bundle /b id", Some("/b")),
            ("--not-known --debug create --bundle /b id", Some("/b")),
            ("create -- --bundle", Some(".")),
            ("create --bundle", Some(".")),
            ("--root create start id", None),
            ("--debug start create", None),
            ("start create", None),
            ("state id", None),
            ("create --help", None),
            ("run -h", None),
            ("run --new --help --bundle /b id", Some("/b")),
            ("restore --bundle /b id", None),
            ("--root", None),
            ("--version", None),
            ("", None),
        ] {
            for dialect in [Dialect::Go, Dialect::Argp] {
                assert_eq!(bundle(line, dialect), expected.map(PathBuf::from), "{line} ({dialect:?})");
            }
        }
    }

    #[test]
    fn go_takes_one_dash_for_two() {
        for line in
            ["-root /r create -bundle /b id", "-root=/r run -b=/b id", "-debug -log /l run -pid-file create -b /b id"]
        {
            assert_eq!(bundle(line, Dialect::Go), Some(PathBuf::from("/b")), "{line}");
        }
    }

    #[test]
    fn argp_takes_letters_together_and_names_cut_short() {
        for line in [
            "run -b/b id",
            "run -db /b id",
            "run -db/b id",
            "run --bund /b id",
            "run --bun=/b id",
            "--roo /r run id --bundle /b",
            "--cgroup disabled --sys run --pid create --bundle /b id",
        ] {
            assert_eq!(bundle(line, Dialect::Argp), Some(PathBuf::from("/b")), "{line}");
        }
        for line in ["run --config /c id", "run --conf=/c id", "run -f/c id", "run -df /c id"] {
            assert_eq!(Invocation::scan(&words(line), Dialect::Argp).config, Some(PathBuf::from("/c")), "{line}");
        }
        for line in ["run --config config.json id", "run --conf=config.json id", "run -f config.json id"] {
            assert_eq!(Invocation::scan(&words(line), Dialect::Argp).config, None, "{line}");
        }
    }

    #[test]
    fn the_log_is_found() {
        for dialect in [Dialect::Go, Dialect::Argp] {
            let invocation = Invocation::scan(&words("--log=/l --log-format=json create id"), dialect);
            assert_eq!((invocation.log, invocation.log_json), (Some(PathBuf::from("/l")), true));
            assert!(!Invocation::scan(&words("--log /l create id"), dialect).log_json);
        }
    }
}
