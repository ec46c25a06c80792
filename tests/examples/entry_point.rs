//! Images that read `*_FILE` variables, as Docker's official ones do. What is ours: the file, and nothing else; no
//! variable is ever set to a value by runsecrets. What is the image's: its entry point reads the file that the variable
//! names, and what it does with the value from then on is its own.

use crate::testbed::{Bed, Bundle, Canary, Container, Overlay, Rootfs, Runtime};
use crate::{bundle, images, is_nowhere_else};

crate::on_each_runtime!(an_image_may_export_what_it_reads, the_file_is_enough_for_a_server);

const VARIABLE: &str = "DB_PASSWORD_FILE=/run/secrets/db_password";

/// An image's: the value becomes a variable of the program that it starts, for programs that know nothing else.
const EXPORTING: &str = r#"#!/bin/sh
set -eu
if [ -n "${DB_PASSWORD:-}" ] && [ -n "${DB_PASSWORD_FILE:-}" ]; then
    echo "both DB_PASSWORD and DB_PASSWORD_FILE are set (but are exclusive)" >&2
    exit 1
fi
if [ -n "${DB_PASSWORD_FILE:-}" ]; then
    DB_PASSWORD="$(cat "$DB_PASSWORD_FILE")"
    export DB_PASSWORD
    unset DB_PASSWORD_FILE
fi
"$@" &
wait
"#;

/// An image's: the server is told by its standard input, which no other process sees.
const TELLING: &str = r#"#!/bin/sh
set -eu
exec redis-server - <<END
bind 127.0.0.1
save ""
dir /tmp
requirepass $(cat "$DB_PASSWORD_FILE")
END
"#;

struct Example {
    bed: Bed,
    canary: Canary,
    overlay: Overlay,
    bundle: Bundle,
}

impl Example {
    /// A service `db` whose containers have this entry point, with the variable that an operator sets.
    fn new(runtime: Runtime, image: &Rootfs, entry_point: &str, arguments: &[&str]) -> Self {
        let bed = Bed::new(runtime);
        let canary = Canary::new();
        bed.cli_given(&["secret", "create", "db_password", "-"], canary.value().as_bytes());
        bed.service("db", &["source=db_password,mode=0400"]);
        image.write("entrypoint.sh", entry_point);
        let overlay = Overlay::on(image);
        let mut bundle = bundle(&bed, &overlay, "db", &[&["sh", "/entrypoint.sh"], arguments].concat());
        bundle.config["process"]["env"].as_array_mut().unwrap().push(VARIABLE.into());
        Self { bed, canary, overlay, bundle }
    }

    /// What runsecrets and the runtime give the container: the variable that names the file, and not the value.
    fn starts(&self) -> Container {
        let container = self.bed.start(&self.bundle);
        let config = std::fs::read(self.bundle.path().join("config.json")).unwrap();
        assert!(!self.canary.is_in(&config) && !self.canary.is_in(container.state().as_bytes()));
        let first = std::fs::read(format!("/proc/{}/environ", container.pid())).unwrap();
        assert!(!self.canary.is_in(&first), "the first process was given the value");
        // Another process in the container starts with what the runtime gives it.
        let given = container.exec(&["env"]);
        assert!(given.lines().any(|line| line == VARIABLE) && !self.canary.is_in(given.as_bytes()), "{given}");
        container
    }

    fn ends(self, container: Container) {
        container.stop();
        is_nowhere_else(&self.bed, &self.canary, &self.bundle, &self.overlay, None);
        assert_eq!(self.overlay.changes(), [""; 0]);
    }
}

fn an_image_may_export_what_it_reads(runtime: Runtime) {
    let example = Example::new(runtime, &Rootfs::busybox(), EXPORTING, &["sleep", "1000"]);
    let container = example.starts();
    // One process of the whole machine has it: the one that the entry point started, by the image's own choice.
    let mut holders = Vec::new();
    example.bed.eventually("the entry point's child has the value", || {
        holders = example.canary.processes();
        let child = holders.first().and_then(|place| place.strip_suffix("/environ"));
        child.is_some_and(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x001000\0")
        })
    });
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert!(!holders[0].starts_with(&format!("{}/", container.pid())), "the container's first process was given it");
    assert!(!example.canary.is_in(container.exec(&["env"]).as_bytes()));
    example.ends(container);
}

fn the_file_is_enough_for_a_server(runtime: Runtime) {
    let example = Example::new(runtime, &images::redis(), TELLING, &[]);
    let container = example.starts();
    // The server has the password: without it, it refuses; with it, it answers.
    example.bed.eventually("redis asks for a password", || {
        String::from_utf8_lossy(&container.try_exec(&["redis-cli", "ping"]).stdout).starts_with("NOAUTH")
    });
    let wrong = container.exec(&["sh", "-c", "REDISCLI_AUTH=wrong redis-cli ping 2>&1"]);
    assert!(wrong.contains("WRONGPASS") && !wrong.contains("PONG"), "{wrong}");
    let client = r#"REDISCLI_AUTH="$(cat "$DB_PASSWORD_FILE")" redis-cli ping"#;
    assert_eq!(container.exec(&["sh", "-c", client]), "PONG\n");
    // And no process has it where others could read it.
    is_nowhere_else(&example.bed, &example.canary, &example.bundle, &example.overlay, Some(&container));
    example.ends(container);
}
