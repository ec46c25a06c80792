//! The same change in Docker Swarm: a new secret, and an update of the service that replaces all its tasks at one time, as
//! fast as Docker can be told to; and ours, in as many containers, in the same run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::apart::CGROUP;
use crate::docker::Docker;
use crate::figures::milliseconds;
use crate::ours::{Ours, good};
use crate::rotation::rotate;
use crate::testbed::Rootfs;

/// How often Docker's secret is changed for one figure.
const ROUNDS: usize = 3;
/// The service.
const NAME: &str = "load";
/// How long Docker may take for one step.
const PATIENCE: Duration = Duration::from_secs(300);

/// What Docker's changes took.
struct Changes {
    /// Until the last task ran with the new value.
    seen: Vec<Duration>,
    /// Until `docker service update` had ended.
    answered: Vec<Duration>,
    /// Containers that were started for one change.
    restarted: usize,
}

/// Measures, and prints a table.
pub fn measure(replicas: &[usize]) {
    let mut config = json!({"storage-driver": "overlay2"});
    if let Ok(cgroup) = std::env::var(CGROUP) {
        config["cgroup-parent"] = json!(format!("/{cgroup}"));
    }
    let docker = Docker::with(config);
    docker.import(&Rootfs::busybox(), "load");
    docker.ok(&["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1"]);
    let version = docker.ok(&["version", "--format", "{{.Server.Version}}"]);
    println!(
        "\n| one secret changed in | runsecrets: the last container has it | Docker Swarm {}: the last task has it | ratio | `service update` has ended | containers restarted: ours, Swarm's |",
        version.trim()
    );
    println!("|---|---|---|---|---|---|");
    for &count in replicas {
        let ours = {
            let ours = Ours::new();
            let mut fleet = ours.fleet("ten", false);
            good(fleet.start(count, 4));
            milliseconds(&rotate(&ours.place, "s0", &fleet.seen("/run/secrets/s0")).seen)
        };
        let theirs = change(&docker, count);
        let seen = milliseconds(&theirs.seen);
        println!(
            "| {count} containers | {ours:.1} ms | {seen:.0} ms | {:.0}x | {:.0} ms | 0, {} |",
            seen / ours,
            milliseconds(&theirs.answered),
            theirs.restarted
        );
    }
    docker.ok(&["swarm", "leave", "--force"]);
}

fn change(docker: &Docker, count: usize) -> Changes {
    let seen = tempfile::tempdir().unwrap();
    let secret = |number: usize| format!("v{number}-of-{count}");
    let make = |number: usize| {
        let file = seen.path().with_extension("value");
        std::fs::write(&file, secret(number)).unwrap();
        docker.ok(&["secret", "create", &secret(number), file.to_str().unwrap()]);
        std::fs::remove_file(&file).unwrap();
    };
    let grant = |number: usize| format!("source={},target=value", secret(number));
    make(0);
    let mount = format!("type=bind,source={},target=/seen", seen.path().display());
    // Each task says what it has, in a file of its own; it ends at once when it is told to.
    let script = "cp /run/secrets/value /seen/$TASK.new && mv /seen/$TASK.new /seen/$TASK; exec sleep 100000";
    let replicas = count.to_string();
    let mut arguments = vec!["service", "create", "--detach", "--name", NAME, "--replicas", &replicas];
    arguments.extend(["--network", "host", "--no-resolve-image", "--mount", &mount, "--env", "TASK={{.Task.ID}}"]);
    // As fast as it can be: all at one time, no time to stop, no time to watch the new ones.
    arguments.extend(["--stop-signal", "SIGKILL", "--stop-grace-period", "0s", "--update-parallelism", "0"]);
    arguments.extend([
        "--update-order",
        "start-first",
        "--update-delay",
        "0s",
        "--update-monitor",
        "1ms",
        "--restart-delay",
        "0s",
    ]);
    let first = grant(0);
    arguments.extend(["--secret", &first, "load", "sh", "-c", script]);
    docker.ok(&arguments);
    wait_for(seen.path(), &secret(0), count);

    let mut changes = Changes { seen: Vec::new(), answered: Vec::new(), restarted: 0 };
    for number in 1..=ROUNDS {
        let before = files(seen.path());
        let start = Instant::now();
        make(number);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                wait_for(seen.path(), &secret(number), count);
                start.elapsed()
            });
            let (old, new) = (secret(number - 1), grant(number));
            docker.ok(&[
                "service",
                "update",
                "--quiet",
                "--detach=false",
                "--secret-rm",
                &old,
                "--secret-add",
                &new,
                NAME,
            ]);
            changes.answered.push(start.elapsed());
            changes.seen.push(watch.join().unwrap());
        });
        changes.restarted = files(seen.path()) - before;
    }
    docker.ok(&["service", "rm", NAME]);
    let start = Instant::now();
    while !docker.ok(&["ps", "-q"]).is_empty() {
        assert!(start.elapsed() < PATIENCE, "tasks do not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    changes
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Waits until `count` tasks have said that they have `value`.
fn wait_for(directory: &Path, value: &str, count: usize) {
    let start = Instant::now();
    loop {
        let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let said = paths.filter(|path| path.extension().is_none());
        // Not there any more: it has got its own name meanwhile.
        let have = said.filter(|path| std::fs::read(path).is_ok_and(|text| text == value.as_bytes())).count();
        if have >= count {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{have} of {count} tasks have it");
        std::thread::sleep(Duration::from_millis(5));
    }
}
