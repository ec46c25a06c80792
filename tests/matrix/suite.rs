//! The suites of the matrix, and a run of one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::root::Root;

/// After so many seconds a suite hangs.
const PATIENCE: &str = "1200";

/// A row of the table.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    /// What of a release it is about.
    pub(crate) engines: &'static str,
    what: What,
}

enum What {
    /// The test program of the same name.
    Program,
    /// This one, with a variable.
    Variant(&'static str, (&'static str, &'static str)),
    /// A shell script.
    Script(&'static str),
}

const fn program(name: &'static str, engines: &'static str) -> Suite {
    Suite { name, engines, what: What::Program }
}

pub(crate) const SUITES: &[Suite] = &[
    program("delivery", "runc, crun"),
    program("scrub", "runc, crun"),
    program("refusals", "runc, crun"),
    program("cves", "runc, crun"),
    program("wrapper", "runc, crun"),
    program("rotation", "runc, crun"),
    program("grants", "runc, crun"),
    program("groups", "runc, crun"),
    program("notices", "runc, crun"),
    program("until", "runc, crun"),
    program("commands", "runc, crun"),
    program("weaknesses", "runc, crun"),
    program("events", "runc, crun"),
    program("checkpoint", "runc, crun"),
    program("world_faults", "runc, crun"),
    program("load", "runc, crun"),
    program("examples", "runc, crun"),
    program("demo", "runc"),
    program("podman", "podman"),
    program("cdi", "podman"),
    program("containerd", "containerd"),
    program("cri", "containerd"),
    program("nri", "containerd"),
    program("docker_engine", "Docker"),
    program("docker_labels", "Docker"),
    program("docker_nginx", "Docker"),
    program("credentials", "runc, crun, podman"),
    program("compose", "podman, Docker"),
    program("docker_client", "Docker's client"),
    program("conformance", "Docker's client"),
    program("configure", "podman, containerd, Docker"),
    program("doctor", "podman"),
    program("rootless", "runc, crun, podman"),
    Suite {
        name: "conformance-swarm",
        engines: "Docker itself",
        what: What::Variant("conformance", ("RUNSECRETS_CONFORMANCE", "docker-swarm")),
    },
    Suite { name: "etcd", engines: "etcd: put, get", what: What::Script(ETCD) },
];

/// Test programs that see nothing of a release but its C library.
const WITHOUT_ENGINES: &[&str] = &[
    "agent",
    "agent_clients",
    "agent_secrecy",
    "autolock",
    "canary",
    "cli",
    "crash",
    "damaged_file",
    "house",
    "sealed_store",
    "services_api",
    "store_contract",
    "store_redb",
];

/// Not among the programs of the matrix: it needs agents and hooks with the feature `faults`, and what it kills is ours.
const WITHOUT_MATRIX: &[&str] = &["faults"];

/// etcd is the store of many machines that is to come: that it runs where the tests run. The network is the command's own.
const ETCD: &str = "\
    etcd --data-dir \"$(mktemp -d)\" &
    for try in $(seq 100); do etcdctl endpoint health && break; sleep 0.1; done
    etcdctl put key value && [ \"$(etcdctl get key --print-value-only)\" = value ] && echo '1 passed; 0 failed'";

/// Every test program is a suite, or said to be none: a new one is not forgotten.
pub(crate) fn all_are_placed<'a>(programs: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let is_placed = |name: &str| {
        SUITES.iter().any(|suite| suite.name == name) || [WITHOUT_ENGINES, WITHOUT_MATRIX].concat().contains(&name)
    };
    let missing: Vec<&str> = programs.filter(|name| !is_placed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("in neither list of tests/matrix/suite.rs, and one has to be chosen: {}", missing.join(", ")))
}

/// How a suite went in a release.
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// What the engine is too old for, in the tests' words.
    pub(crate) lacks: Vec<String>,
    ended_well: bool,
    pub(crate) log: PathBuf,
}

impl Suite {
    /// Runs it in `root`; what it says goes to `log`.
    pub(crate) fn run(&self, root: &Root, programs: &BTreeMap<String, PathBuf>, log: &Path) -> Result<Outcome, String> {
        let path = |name: &str| programs.get(name).ok_or(format!("there is no test program '{name}'"));
        let mut command = root.command();
        // It stands within: what it ends is process 1's only child, and with it all the others end.
        command.args(["timeout", "--kill-after=10", PATIENCE]);
        match self.what {
            What::Program => command.arg(path(self.name)?),
            What::Variant(name, (variable, value)) => command.env(variable, value).arg(path(name)?),
            What::Script(script) => command.args(["sh", "-c", script]),
        };
        let words = |error: std::io::Error| format!("{}: {error}", log.display());
        std::fs::create_dir_all(log.parent().unwrap_or(log)).map_err(words)?;
        let file = File::create(log).map_err(words)?;
        let status = command.stdout(file.try_clone().map_err(words)?).stderr(file).status().map_err(words)?;
        let said = String::from_utf8_lossy(&std::fs::read(log).map_err(words)?).into_owned();
        Ok(Outcome::of(&said, status.success(), log.to_owned()))
    }
}

impl Outcome {
    /// Of the lines `… N passed; M failed …` and `engine lacks: …`.
    fn of(said: &str, ended_well: bool, log: PathBuf) -> Self {
        let number = |line: &str, word: &str| -> Option<usize> {
            line.split_once(word)?.0.rsplit(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
        };
        let counts = said.lines().filter_map(|line| Some((number(line, " passed; ")?, number(line, " failed")?)));
        let (passed, failed) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let lacks = said.lines().filter_map(|line| Some(line.split_once("engine lacks: ")?.1.to_owned())).collect();
        Self { passed, failed, lacks, ended_well, log }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.ended_well && self.failed == 0 && self.passed > 0
    }

    pub(crate) fn words(&self) -> String {
        match (self.is_good(), self.failed) {
            (true, _) => format!("{} passed", self.passed),
            (false, 0) => format!("{} passed, did not end well", self.passed),
            (false, failed) => format!("{} passed, {failed} FAILED", self.passed),
        }
    }
}
