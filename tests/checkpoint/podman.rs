//! podman's checkpoints: with the wrapper as its runtime, and with the hooks alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::testbed::podman::IMAGE;
use crate::testbed::running_agent::set_mode;
use crate::testbed::{Bed, Canary, Podman, Runtime, words};
use crate::{IDLE, bed_with, captured, cgroups_as_they_are, is_not_captured, on_each_runtime, twice, works};

on_each_runtime!(
    what_podman_checkpoints_has_no_value_and_is_restored_with_its_secrets,
    an_archive_has_no_value_and_each_container_of_it_has_its_secrets,
    a_container_that_podman_leaves_running_has_them_again,
    without_the_wrapper_podman_is_refused,
);

/// podman on one runtime, and what its containers may claim.
struct Engine {
    podman: Podman,
    bed: Bed,
    /// What it is told before everything else.
    by: Vec<String>,
    /// In the secrets.
    canary: Canary,
    /// In a tmpfs that is not ours: what CRIU has captured it in, the search finds.
    mark: Canary,
}

impl Engine {
    /// With the wrapper as its runtime and no hooks.
    fn by_wrapper(runtime: Runtime) -> Self {
        let canary = Canary::new();
        let bed = bed_with(runtime, &canary);
        // podman knows by its name what a runtime can do.
        let (wrapper, program) = (bed.place.path("wrapper"), bed.place.path(runtime.name()));
        bed.write_wrapper(&wrapper, "");
        // podman cannot tell crun to leave the machine's cgroups as they are.
        let (more, verbs) = (cgroups_as_they_are(runtime).join(" "), "checkpoint | restore");
        let script = format!(
            "#!/bin/sh\nfor word; do shift; set -- \"$@\" \"$word\"; case $word in {verbs}) set -- \"$@\" {more} ;; esac; done\n\
             exec {} \"$@\"\n",
            wrapper.display()
        );
        std::fs::write(&program, script).unwrap();
        set_mode(&program, 0o755);
        let by = vec!["--runtime".to_owned(), program.to_str().unwrap().to_owned()];
        Self { podman: Podman::without_hooks(runtime), bed, by, canary, mark: Canary::new() }
    }

    /// With our hooks in its hooks.d.
    fn by_hooks(runtime: Runtime) -> Self {
        let canary = Canary::new();
        let bed = bed_with(runtime, &canary);
        Self { podman: Podman::new(runtime, &bed.place.run()), bed, by: Vec::new(), canary, mark: Canary::new() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let by: Vec<&str> = self.by.iter().map(String::as_str).collect();
        self.podman.run(&[&by, arguments].concat())
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", words(&output), self.logs());
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the agent says, and CRIU.
    fn logs(&self) -> String {
        let mut find = Command::new("find");
        find.args(self.podman.places()).args(["-name", "dump.log", "-o", "-name", "restore.log"]);
        let found = String::from_utf8(find.output().unwrap().stdout).unwrap();
        let logs = found.lines().filter_map(|path| std::fs::read_to_string(path).ok());
        logs.chain([self.bed.agent.log.text()]).collect::<Vec<_>>().join("\n")
    }

    /// Starts `web`, with a cgroup by which CRIU can stop it, and puts the mark into a tmpfs of its own.
    fn start(&self) {
        let options = ["run", "--detach", "--name", "web", "--tmpfs", "/data"];
        let cgroups = if works(self.bed.runtime) { &["--cgroups=enabled"][..] } else { &[] };
        let claim = ["--annotation", "io.runsecrets.service=web", IMAGE, "sh", "-c", IDLE];
        self.ok(&[&options[..], cgroups, &claim].concat());
        self.ok(&["exec", "web", "sh", "-c", &format!("echo {} > /data/mark", self.mark.value())]);
        assert_eq!(self.both("web"), twice(&self.canary));
    }

    fn both(&self, name: &str) -> String {
        self.ok(&["exec", name, "cat", "/run/secrets/key", "/etc/app/key"])
    }

    /// A new value that has to be in the container `name`.
    fn changes_reach(&self, name: &str) {
        let fresh = Canary::new();
        self.bed.cli_given(&["secret", "update", "key", "-"], fresh.value().as_bytes());
        assert_eq!(self.both(name), twice(&fresh), "changes reach it");
    }

    /// `container checkpoint` of `web`: it goes well where CRIU can work, and the value is nowhere in what podman keeps.
    fn checkpoint(&self, options: &[&str]) {
        let done = self.run(&[&["container", "checkpoint"], options, &["web"]].concat());
        self.nothing_has_the_value();
        let expected = works(self.bed.runtime);
        assert_eq!(done.status.success(), expected, "{}\n{}", words(&done), self.logs());
        if expected {
            self.bed.agent.log.wait_for("out of sight for a checkpoint");
        } else {
            let exec = ["exec", "web", "cat", "/etc/app/key"];
            self.bed.eventually("it has them again", || self.run(&exec).status.success());
            assert_eq!(self.both("web"), twice(&self.canary));
        }
    }

    /// The same into an archive; its files, where CRIU can work.
    fn export(&self, options: &[&str]) -> Option<PathBuf> {
        let archive = self.archive();
        let to = ["--compress", "none", "--export", archive.to_str().unwrap()];
        self.checkpoint(&[options, &to].concat());
        if !works(self.bed.runtime) {
            assert!(!archive.exists());
            return None;
        }
        let images = unpacked(&archive);
        is_not_captured(&self.canary, &archive);
        is_not_captured(&self.canary, &images);
        assert!(!captured(&self.mark, &images).is_empty(), "the search finds nothing in the archive");
        Some(archive)
    }

    fn archive(&self) -> PathBuf {
        self.podman.path("archive.tar")
    }

    /// The value is in nothing that podman keeps.
    fn nothing_has_the_value(&self) {
        self.podman.places().iter().for_each(|place| is_not_captured(&self.canary, place));
    }

    fn remove(&self, name: &str) {
        self.ok(&["rm", "--force", "--time", "0", name]);
    }
}

/// An archive that podman has exported, unpacked.
fn unpacked(archive: &Path) -> PathBuf {
    let directory = archive.with_extension("unpacked");
    std::fs::create_dir(&directory).unwrap();
    let output = Command::new("tar").arg("-C").arg(&directory).arg("-xf").arg(archive).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    directory
}

fn what_podman_checkpoints_has_no_value_and_is_restored_with_its_secrets(runtime: Runtime) {
    let engine = Engine::by_wrapper(runtime);
    engine.start();
    engine.checkpoint(&["--keep"]);
    if works(runtime) {
        let kept = engine.podman.places().iter().flat_map(|place| captured(&engine.mark, place)).count();
        assert!(kept > 0, "the search finds nothing anywhere");
        engine.bed.holds_nothing();
        engine.ok(&["container", "restore", "--keep", "web"]);
        assert_eq!(engine.both("web"), twice(&engine.canary));
        engine.nothing_has_the_value();
        engine.changes_reach("web");
    }
    engine.remove("web");
    engine.bed.holds_nothing();
}

fn an_archive_has_no_value_and_each_container_of_it_has_its_secrets(runtime: Runtime) {
    let engine = Engine::by_wrapper(runtime);
    engine.start();
    if let Some(archive) = engine.export(&["--keep"]) {
        engine.remove("web");
        engine.bed.holds_nothing();
        let import = ["container", "restore", "--import", archive.to_str().unwrap()];
        engine.ok(&import);
        // The wrapper is in the archive as the container's runtime.
        engine.podman.ok(&[&import[..], &["--name", "second"]].concat());
        for name in ["web", "second"] {
            assert_eq!(engine.both(name), twice(&engine.canary), "{name}");
            assert_eq!(engine.ok(&["exec", name, "cat", "/data/mark"]).trim(), engine.mark.value());
        }
        assert_eq!(engine.bed.cli_ok(&["ps", "--quiet"]).lines().count(), 2);
        engine.nothing_has_the_value();
        engine.changes_reach("web");
        engine.changes_reach("second");
        engine.remove("second");
    }
    engine.remove("web");
    engine.bed.holds_nothing();
}

fn a_container_that_podman_leaves_running_has_them_again(runtime: Runtime) {
    let engine = Engine::by_wrapper(runtime);
    engine.start();
    if engine.export(&["--leave-running"]).is_some() {
        engine.bed.agent.log.wait_for("in sight again");
    }
    assert_eq!(engine.both("web"), twice(&engine.canary));
    engine.changes_reach("web");
    engine.remove("web");
    engine.bed.holds_nothing();
}

fn without_the_wrapper_podman_is_refused(runtime: Runtime) {
    let engine = Engine::by_hooks(runtime);
    engine.start();
    let archive = engine.archive();
    let to = archive.to_str().unwrap();
    for more in [&["--keep"][..], &["--keep", "--compress", "none", "--export", to]] {
        let done = engine.run(&[&["container", "checkpoint"], more, &["web"]].concat());
        assert!(!done.status.success(), "{}", words(&done));
        if works(runtime) {
            let logs = engine.ok(&["inspect", "--format", "{{.StaticDir}}", "web"]);
            let log = std::fs::read_to_string(Path::new(logs.trim()).join("dump.log")).unwrap();
            assert!(log.contains("doesn't have a proper root mount"), "refused for another reason: {log}");
        }
        engine.nothing_has_the_value();
        assert!(!archive.exists());
        assert_eq!(engine.both("web"), twice(&engine.canary), "what runs on keeps its secrets");
    }
    engine.remove("web");
    engine.bed.holds_nothing();
}
