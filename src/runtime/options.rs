//! Our own options: they stand before the runtime's arguments, which are left as they are.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::model::ServiceName;

use super::arguments::option;
use super::error::WrapperError;

/// Our own options; they stand before the runtime's arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) real_runtime: Option<PathBuf>,
    pub(super) hook: Option<PathBuf>,
    pub(super) run_dir: Option<PathBuf>,
    pub(super) service: Option<ServiceName>,
    /// Whether the environment variable of a container may name its service; an image can set it, too.
    pub(super) claim_from_environment: bool,
    /// Whether the agent is asked about containers that claim nothing.
    pub(super) ask: bool,
}

impl Options {
    /// Takes our options, `--name VALUE` or `--name=VALUE`, off the front; the rest is the runtime's.
    pub(super) fn split(arguments: &[OsString]) -> Result<(Self, &[OsString]), WrapperError> {
        let mut options = Self::default();
        let mut rest = arguments;
        while let [argument, tail @ ..] = rest {
            let Some((name, inline)) = option(argument).filter(|_| argument.as_bytes().starts_with(b"--")) else {
                break;
            };
            let switch = match name {
                b"claim-from-environment" => Some(&mut options.claim_from_environment),
                b"ask" => Some(&mut options.ask),
                _ => None,
            };
            if let Some(switch) = switch.filter(|_| inline.is_none()) {
                *switch = true;
                rest = tail;
                continue;
            }
            if !OWN.contains(&name) {
                break;
            }
            let value = inline.or(tail.first().map(OsString::as_os_str)).ok_or(WrapperError::Usage)?;
            rest = if inline.is_some() { tail } else { &tail[1..] };
            match name {
                b"real-runtime" => options.real_runtime = Some(value.into()),
                b"hook" => options.hook = Some(value.into()),
                b"run-dir" => options.run_dir = Some(value.into()),
                _ => {
                    let name = value.to_str().ok_or(WrapperError::Usage)?;
                    options.service = Some(ServiceName::parse(name).map_err(WrapperError::Service)?);
                }
            }
        }
        Ok((options, rest))
    }

    /// Where the agent's sockets are, if it was said.
    pub(super) fn run_dir(&self) -> Option<PathBuf> {
        self.run_dir.clone().or_else(|| std::env::var_os("RUNSECRETS_RUN_DIR").map(PathBuf::from))
    }
}

/// The names of our own options that take a value.
const OWN: [&[u8]; 4] = [b"real-runtime", b"hook", b"run-dir", b"service"];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn our_options_stand_first_and_the_rest_is_the_runtimes() {
        let all = words("--real-runtime /usr/bin/crun --service web --hook /h --run-dir /r --root /x create --hook id");
        let (options, rest) = Options::split(&all).unwrap();
        assert_eq!(options.real_runtime, Some(PathBuf::from("/usr/bin/crun")));
        assert_eq!(options.service.unwrap().as_str(), "web");
        assert_eq!(rest, &words("--root /x create --hook id")[..]);
        let all = words("--real-runtime=crun --service=web --run-dir= --root=/x state id");
        let (options, rest) = Options::split(&all).unwrap();
        assert_eq!((options.real_runtime, options.run_dir), (Some("crun".into()), Some("".into())));
        assert_eq!(rest, &words("--root=/x state id")[..]);
        assert!(Options::split(&words("--hook")).is_err());
        assert_eq!(Options::split(&words("--hooks /h state")).unwrap().1.len(), 3);
        assert!(Options::split(&words("--service ../x create")).is_err());
    }

    #[test]
    fn the_environment_counts_only_where_it_is_asked_for() {
        assert!(!Options::split(&words("create --claim-from-environment")).unwrap().0.claim_from_environment);
        let all = words("--claim-from-environment --run-dir /r create --bundle /b");
        let (options, rest) = Options::split(&all).unwrap();
        assert!(options.claim_from_environment && options.run_dir.is_some() && !options.ask);
        assert!(Options::split(&words("--run-dir /r --ask create --bundle /b")).unwrap().0.ask);
        assert_eq!(rest, &words("create --bundle /b")[..]);
    }
}
