//! One command: run it, keep what it said, judge how it ended.

use std::io::Write;
use std::process::{Command, Stdio};

/// What installs a real Docker.
const INSTALL: &str = "apt-get install -y --no-install-recommends docker.io (on Debian 13 also docker-cli)";

/// Which words a client says: Docker's has changed some, and ours are those of today's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// Docker's from before version 23, as in Debian 12.
    Before23,
    /// Docker's from before version 28, as in Debian 13.
    Before28,
    Current,
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Exit status.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// Who said it.
    pub(crate) client: Client,
}

/// What `client` says for these words of today's; the agent's own are the same.
fn words_of(client: Client, words: &str) -> String {
    if client == Client::Current {
        return words.to_owned();
    }
    let missing = words.strip_suffix(" not found").filter(|_| client == Client::Before23);
    for kind in ["secret", "service"] {
        if let Some((_, name)) = missing.and_then(|words| words.split_once(&format!("{kind} "))) {
            return format!("No such {kind}: {name}");
        }
    }
    let none = "secret data must be larger than 0 and less than 512000 bytes";
    if words == "secret file is required" {
        return none.to_owned();
    }
    match words.strip_prefix("error reading from ").and_then(|rest| rest.split_once(": ")) {
        Some((_, "data is empty")) => none.to_owned(),
        Some((file, cause)) => format!("Error reading content from \"{file}\": {cause}"),
        None => words.to_owned(),
    }
}

impl Ran {
    /// The output of a command that must succeed, without the last line end.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.trim_end_matches('\n').to_owned()
    }

    /// Checks that the command failed with 1 and said `words`.
    #[track_caller]
    pub(crate) fn fails(self, words: &str) -> Ran {
        assert_eq!(self.code, 1, "{self:?}");
        let words = words_of(self.client, words);
        assert!(self.err.to_lowercase().contains(&words.to_lowercase()), "{words:?} is not in {self:?}");
        self
    }

    /// Checks that the command line was refused before anything was sent, and that `words` were said.
    #[track_caller]
    pub(crate) fn misused(self, words: &str) {
        assert_eq!(self.code, 125, "{self:?}");
        assert!(self.err.contains(words), "{words:?} is not in {self:?}");
    }
}

/// Fails when `program` is not there.
pub(crate) fn demand(program: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(found, "{program} is not installed: {INSTALL}");
}

/// Runs `command` to its end with `input` on standard input.
pub(crate) fn ran(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that refuses early does not read its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("the output");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
        client: Client::Current,
    }
}
