//! `runsecrets compose`: the document's compose file on real engines, and what the command line says and refuses.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/image.rs"]
mod image;
#[path = "compose/refusals.rs"]
mod refusals;
#[path = "compose/several.rs"]
mod several;
#[path = "compose/shop.rs"]
mod shop;
mod testbed;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use docker::Docker;
use testbed::{Bed, CLI, Canary, Podman, Runtime, program, words};

/// How the adjusted file is called.
const ADJUSTED: &str = "compose.runsecrets.yaml";

/// An agent, and a directory with the document's file and its two files of passwords.
struct Shop {
    bed: Bed,
    directory: tempfile::TempDir,
    user: Canary,
    root: Canary,
}

impl Shop {
    fn new(runtime: Runtime) -> Self {
        let shop = Self {
            bed: Bed::new(runtime),
            directory: tempfile::tempdir().unwrap(),
            user: Canary::new(),
            root: Canary::new(),
        };
        shop.write("docker-compose.yml", shop::FILE);
        shop.write("db_password.txt", shop.user.value());
        shop.write("db_root_password.txt", shop.root.value());
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The CLI by `start`, in the project's directory; through files, since engines keep pipes open.
    fn run(&self, mut command: Command, arguments: &[&str]) -> Output {
        let [out, err] = ["out", "err"].map(|_| tempfile::NamedTempFile::new().unwrap());
        command.arg("--run-dir").arg(self.bed.place.run()).args(arguments).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
        let status = command.status().unwrap();
        let [stdout, stderr] = [out, err].map(|file| std::fs::read(file.path()).unwrap());
        for canary in [&self.user, &self.root] {
            assert!(!canary.is_in(&stdout) && !canary.is_in(&stderr), "a value is in the output");
        }
        Output { status, stdout, stderr }
    }

    /// The CLI's words.
    fn cli(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.run(Command::new(CLI), arguments);
        if output.status.success() { Ok(words(&output)) } else { Err(words(&output)) }
    }

    /// The values are in the user's two files, and in no other file of the project, of ours or of `places`, nor where
    /// processes get their arguments and environment from.
    fn values_are_nowhere_in(&self, places: &[PathBuf]) {
        for (canary, file) in [(&self.user, "db_password.txt"), (&self.root, "db_root_password.txt")] {
            assert_eq!(canary.search(self.directory.path()), [self.path(file)]);
            canary.is_nowhere_in(&[self.bed.place.path("")]);
            canary.is_nowhere_in(places);
            canary.is_in_no_process();
            assert!(!canary.is_in(self.bed.agent.log.text().as_bytes()));
        }
    }
}

/// docker-compose 1: the claim is in the environment. docker compose 2: an annotation, or from 2.30 on a device.
#[test]
fn the_documents_wordpress_by_docker_compose() {
    by_docker_compose(&[]);
}

/// docker-compose 1 does not know annotations, and says so; docker compose 2 hands them on.
#[test]
fn the_documents_wordpress_by_docker_compose_and_annotations() {
    by_docker_compose(&["--claim", "annotation"]);
}

#[test]
fn the_documents_wordpress_by_docker_compose_and_the_environment() {
    by_docker_compose(&["--claim", "runtime-env"]);
}

fn by_docker_compose(claim: &[&str]) {
    let shop = Shop::new(Runtime::Runc);
    let engine = Docker::start(&shop.bed);
    for (name, rootfs) in shop::images() {
        let files = tempfile::tempdir().unwrap();
        let layer = image::layer(&rootfs, files.path());
        engine.ok(&[&shop::IMPORT[..], &[layer.to_str().unwrap(), name]].concat());
    }
    let compose = program("docker-compose", "docker-compose");
    let version = Command::new(&compose).args(["version", "--short"]).output().unwrap();
    let is_first = version.stdout.starts_with(b"1.");
    let cli = |verb: &[&str]| {
        let mut command = Command::new(CLI);
        engine.told_to(&mut command);
        let output =
            shop.run(command, &[verb, &["-p", "shop"], claim, if verb[1] == "up" { &["-d"] } else { &[] }].concat());
        if output.status.success() { Ok(words(&output)) } else { Err(words(&output)) }
    };
    let up = ["compose", "up", "--with", compose.to_str().unwrap()];
    if is_first && claim.contains(&"annotation") {
        let said = cli(&up).unwrap_err();
        assert!(said.contains("Unsupported config option for services.db: 'annotations'"), "{said}");
        shop.values_are_nowhere_in(&engine.directories());
        return;
    }
    let said = cli(&["compose", "convert"]).unwrap();
    assert!(said.contains("secret shop_db_password: stored") && said.contains("service shop_db: made"), "{said}");
    let file = engine.devices().join("runsecrets.json");
    let (file, hook) = (file.to_str().unwrap(), testbed::hook());
    shop.bed.cli_ok(&["cdi", "generate", "--output", file, "--hook", hook.to_str().unwrap()]);
    cli(&up).unwrap();

    let sign = if is_first { '_' } else { '-' };
    let named = |service: &str| format!("shop{sign}{service}{sign}1");
    let exec = |service: &str, arguments: &[&str]| engine.docker(&[&["exec", &named(service)], arguments].concat());
    works(&shop, &exec, &|| engine.ok(&["logs", &named("wordpress")]));
    for service in ["db", "wordpress"] {
        let inspected = engine.ok(&["inspect", &named(service)]);
        assert!(!shop.user.is_in(inspected.as_bytes()) && !inspected.contains("db_password.txt"), "{inspected}");
    }
    shop.values_are_nowhere_in(&engine.directories());

    // A second time: nothing to do, for us and for docker-compose.
    let id = || engine.ok(&["inspect", "--format={{.Id}} {{.State.StartedAt}}", &named("db")]);
    let before = id();
    let said = cli(&up).unwrap();
    assert!(
        said.contains("secret shop_db_password: unchanged") && said.contains("service shop_db: unchanged"),
        "{said}"
    );
    assert_eq!(id(), before, "{said}");

    let mut down = Command::new(&compose);
    engine.told_to(&mut down).arg("-f").arg(shop.path(ADJUSTED)).args(["-p", "shop", "down", "-t", "2", "-v"]);
    let output = down.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    shop.bed.holds_nothing();
    shop.values_are_nowhere_in(&engine.directories());
}

on_each_runtime!(the_documents_wordpress_by_podman_compose);

/// podman-compose with podman: the claim is a CDI device.
fn the_documents_wordpress_by_podman_compose(runtime: Runtime) {
    let shop = Shop::new(runtime);
    let podman = Podman::without_hooks(shop.bed.runtime);
    for (name, rootfs) in shop::images() {
        let files = tempfile::tempdir().unwrap();
        let layer = image::layer(&rootfs, files.path());
        // The name in the file is one of Docker's registry.
        let name = format!("docker.io/library/{name}");
        podman.ok(&[&shop::IMPORT[..], &[layer.to_str().unwrap(), &name]].concat());
    }
    // No pod: that needs an image of its own, and the containers share nothing but a volume.
    shop.write("docker-compose.yml", &format!("{}\nx-podman:\n  in_pod: false\n", shop::FILE));
    // Devices are known to podman once they are in its file: first the services, then the file, then the containers.
    shop.cli(&["compose", "convert", "-p", "shop"]).unwrap();
    let mut generate = podman.inside(CLI);
    generate.arg("--run-dir").arg(shop.bed.place.run()).args([
        "cdi",
        "generate",
        "--output",
        "/etc/cdi/runsecrets.json",
    ]);
    let output = generate.arg("--hook").arg(testbed::hook()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));

    let compose = shop::podman_compose();
    // `nsenter` begins at the root directory.
    let file = shop.path("docker-compose.yml");
    let with = ["compose", "up", "-f", file.to_str().unwrap(), "--with", compose.to_str().unwrap(), "-p", "shop", "-d"];
    let output = shop.run(podman.inside(CLI), &with);
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("secret shop_db_password: unchanged"), "{}", words(&output));

    works(
        &shop,
        &|container, arguments| podman.run(&[&["exec", &format!("shop_{container}_1")], arguments].concat()),
        &|| words(&podman.run(&["logs", "shop_wordpress_1"])),
    );
    for container in ["shop_db_1", "shop_wordpress_1"] {
        assert!(!shop.user.is_in(podman.ok(&["inspect", container]).as_bytes()));
    }
    shop.values_are_nowhere_in(&podman.places());

    let mut down = podman.inside(compose.to_str().unwrap());
    down.arg("-f").arg(shop.path(ADJUSTED)).args(["-p", "shop", "down", "-t", "2", "-v"]).stdin(Stdio::null());
    let output = down.output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    shop.bed.holds_nothing();
    shop.values_are_nowhere_in(&podman.places());
}

/// WordPress has reached its database, the passwords are those of the secrets, and each container has its own alone.
fn works(shop: &Shop, exec: &dyn Fn(&str, &[&str]) -> Output, log: &dyn Fn() -> String) {
    shop.bed.eventually("WordPress is installed", || log().contains("WordPress is installed."));
    let said = |container: &str, arguments: &[&str]| {
        let output = exec(container, arguments);
        assert!(output.status.success(), "{container} {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let who = |user: &str, secret: &str| {
        let arguments = shop::asks_who(user, secret);
        exec("db", &arguments.each_ref().map(String::as_str))
    };
    assert_eq!(who("wordpress", "db_password").stdout, b"wordpress@localhost\n");
    assert_eq!(who("root", "db_root_password").stdout, b"root@localhost\n");
    assert!(words(&who("root", "db_password")).contains("Access denied"));
    assert_eq!(said("db", &["cat", "/run/secrets/db_password"]), shop.user.value());
    assert_eq!(said("db", &["cat", "/run/secrets/db_root_password"]), shop.root.value());
    assert_eq!(said("wordpress", &["ls", "-A", "/run/secrets"]), "db_password\n");
    assert_eq!(said("wordpress", &["cat", "/run/secrets/db_password"]), shop.user.value());
    assert!(said("db", &["grep", " /run/secrets ", "/proc/mounts"]).contains(" tmpfs ro,"), "not in memory");
    shop.bed.ps_until(&["ps"], |said| said.contains("shop_db") && said.contains("shop_wordpress"));
}
