//! Our own options, and as much of runc's and crun's command line as is needed to find the bundle. What is not understood
//! is the real runtime's to judge.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::model::ServiceName;

use super::error::WrapperError;

/// Our own options; they stand before the runtime's arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) real_runtime: Option<PathBuf>,
    pub(super) hook: Option<PathBuf>,
    pub(super) run_dir: Option<PathBuf>,
    pub(super) service: Option<ServiceName>,
}

impl Options {
    /// Takes our options off the front; the rest is the runtime's.
    pub(super) fn split(arguments: &[OsString]) -> Result<(Self, &[OsString]), WrapperError> {
        let mut options = Self::default();
        let mut rest = arguments;
        while let [flag, value, tail @ ..] = rest {
            match flag.to_str() {
                Some("--real-runtime") => options.real_runtime = Some(value.into()),
                Some("--hook") => options.hook = Some(value.into()),
                Some("--run-dir") => options.run_dir = Some(value.into()),
                Some("--service") => {
                    let name = value.to_str().ok_or(WrapperError::Usage)?;
                    options.service = Some(ServiceName::parse(name).map_err(WrapperError::Service)?);
                }
                _ => break,
            }
            rest = tail;
        }
        match rest {
            [flag] if matches!(flag.to_str(), Some("--real-runtime" | "--hook" | "--run-dir" | "--service")) => {
                Err(WrapperError::Usage)
            }
            _ => Ok((options, rest)),
        }
    }

    /// Where the agent's sockets are, if it was said.
    pub(super) fn run_dir(&self) -> Option<PathBuf> {
        self.run_dir.clone().or_else(|| std::env::var_os("RUNSECRETS_RUN_DIR").map(PathBuf::from))
    }
}

/// Global options of runc and crun that take a value as their next argument.
const GLOBAL_WITH_VALUE: [&[u8]; 6] =
    [b"--root", b"--log", b"--log-format", b"--log-level", b"--criu", b"--cgroup-manager"];
/// Options of `create` and `run` that take a value as their next argument.
const WITH_VALUE: [&[u8]; 9] = [
    b"--bundle",
    b"-b",
    b"--console-socket",
    b"--pid-file",
    b"--preserve-fds",
    b"--config",
    b"-f",
    b"--pidfd-socket",
    b"--keep-fds",
];

/// What a call of a runtime says of interest to us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    /// Whether a container is created: `create` or `run`.
    creates: bool,
    bundle: Option<PathBuf>,
    /// `--log`, where an engine looks for the reason of a failure.
    pub(super) log: Option<PathBuf>,
    /// Whether the log is one JSON object a line.
    pub(super) log_json: bool,
}

impl Invocation {
    /// Scans the runtime's arguments.
    pub(super) fn scan(arguments: &[OsString]) -> Self {
        let mut invocation = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, inline) = split_option(argument);
            if !name.starts_with(b"-") {
                invocation.creates = matches!(name, b"create" | b"run");
                break;
            }
            let value = inline.or_else(|| {
                let takes_one = GLOBAL_WITH_VALUE.contains(&name);
                if takes_one { arguments.next().map(OsString::as_os_str) } else { None }
            });
            match name {
                b"--log" => invocation.log = value.map(PathBuf::from),
                b"--log-format" => invocation.log_json = value.is_some_and(|value| value == "json"),
                _ => {}
            }
        }
        if invocation.creates {
            invocation.bundle = find_bundle(arguments);
        }
        invocation
    }

    /// The bundle of a container that is to be created; none when nothing is created.
    pub(super) fn bundle(&self) -> Option<PathBuf> {
        self.creates.then(|| self.bundle.clone().unwrap_or_else(|| PathBuf::from(".")))
    }
}

fn find_bundle<'a>(mut arguments: impl Iterator<Item = &'a OsString>) -> Option<PathBuf> {
    let mut bundle = None;
    while let Some(argument) = arguments.next() {
        let (name, inline) = split_option(argument);
        if name == b"--" {
            break;
        }
        let value = inline
            .or_else(|| if WITH_VALUE.contains(&name) { arguments.next().map(OsString::as_os_str) } else { None });
        match name {
            b"--bundle" | b"-b" => bundle = value.map(PathBuf::from),
            // crun takes the value of a short option in the same argument, too.
            [b'-', b'b', path @ ..] if !path.is_empty() => bundle = Some(PathBuf::from(OsStr::from_bytes(path))),
            _ => {}
        }
    }
    bundle
}

/// An option's name, and its value where both are one argument (`--name=value`).
fn split_option(argument: &OsString) -> (&[u8], Option<&OsStr>) {
    let bytes = argument.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) if bytes.starts_with(b"-") => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]))),
        _ => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_bundle_is_found_as_engines_write_it() {
        for (line, bundle) in [
            ("--root /r --log /b/log.json --log-format json create --bundle /b --pid-file /b/init.pid id", Some("/b")),
            ("--root=/r --systemd-cgroup create --pid-file /p --bundle=/b id", Some("/b")),
            ("create -b /b id", Some("/b")),
            ("run -b=/b id", Some("/b")),
            ("run --detach --no-pivot -b/b id", Some("/b")),
            ("--cgroup-manager=disabled run --pid-file create id", Some(".")),
            ("--debug run id", Some(".")),
            ("--root create start id", None),
            ("start create", None),
            ("state id", None),
            ("restore --bundle /b id", None),
            ("--version", None),
            ("", None),
        ] {
            assert_eq!(Invocation::scan(&words(line)).bundle(), bundle.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn the_log_is_found() {
        let invocation = Invocation::scan(&words("--log=/l --log-format=json create id"));
        assert_eq!((invocation.log, invocation.log_json), (Some(PathBuf::from("/l")), true));
        assert!(!Invocation::scan(&words("--log /l create id")).log_json);
    }

    #[test]
    fn our_options_stand_first_and_the_rest_is_the_runtimes() {
        let all = words("--real-runtime /usr/bin/crun --service web --hook /h --run-dir /r --root /x create --hook id");
        let (options, rest) = Options::split(&all).unwrap();
        assert_eq!(options.real_runtime, Some(PathBuf::from("/usr/bin/crun")));
        assert_eq!(options.service.unwrap().as_str(), "web");
        assert_eq!(rest, &words("--root /x create --hook id")[..]);
        assert!(Options::split(&words("--hook")).is_err());
        assert!(Options::split(&words("--service ../x create")).is_err());
    }
}
