//! What those who watch are told: every thing that happens to a secret on its way, by our own stream and by Docker's client.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testbed::running_agent::Place;
use testbed::{Bed, CLI, Runtime, program};

on_each_runtime!(everything_that_happens_is_told_as_it_happens, dockers_client_is_told_the_same);

/// A stream of events in JSON, one a line.
struct Watch {
    child: Child,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Watch {
    fn start(bed: &Bed, mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (ours, output) = (seen.clone(), BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                ours.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let watch = Self { child, seen };
        // It watches when it tells of what comes after it.
        let mut number = 0;
        bed.eventually("it watches", || {
            number += 1;
            bed.secret(&format!("first-{number}"), b"x");
            std::thread::sleep(std::time::Duration::from_millis(50));
            !watch.seen.lock().unwrap().is_empty()
        });
        watch
    }

    /// Kind and action of each, without those of the beginning.
    fn told(&self) -> Vec<String> {
        let is_later = |event: &&Value| !event["Actor"]["Attributes"]["name"].as_str().unwrap().starts_with("first-");
        let word = |event: &Value| format!("{} {}", event["Type"].as_str().unwrap(), event["Action"].as_str().unwrap());
        self.seen.lock().unwrap().iter().filter(is_later).map(word).collect()
    }

    fn find(&self, action: &str, key: &str) -> String {
        let seen = self.seen.lock().unwrap();
        let event = seen.iter().find(|event| event["Action"] == action).unwrap();
        event["Actor"]["Attributes"][key].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// A secret's life, and what is to be told of it.
fn live(bed: &Bed, watch: &Watch) {
    let mut expected: Vec<&str> = Vec::new();
    let mut told = |more: &[&'static str]| {
        expected.extend(more);
        bed.eventually("the next events", || watch.told().len() >= expected.len());
        assert_eq!(watch.told(), expected);
    };
    bed.secret("key", b"one");
    told(&["secret create"]);
    bed.service("web", &["key", "source=key,target=/etc/key,until=healthy"]);
    bed.cli_ok(&["service", "update", "--notify", "HUP", "web"]);
    told(&["service create", "service update"]);
    let data = tempfile::tempdir().unwrap();
    let bundle = bed.bundle("web").mounting("/data", "bind", data.path().to_str().unwrap(), &["bind"]);
    let container = bed.start(&bundle);
    told(&["container deliver"]);
    bed.refuse_start(&bed.bundle("nobody"), "service 'nobody' not found");
    told(&["container refuse"]);
    bed.cli_given(&["secret", "update", "key", "-"], b"two");
    told(&["container notify", "container rotate", "container rotate", "secret update"]);
    bed.cli_ok(&["service", "healthy", "web"]);
    told(&["container expire"]);
    bed.cli_ok(&["service", "update", "--secret-add", "source=key,target=other", "web"]);
    told(&["container notify", "container grant", "service update"]);
    bed.cli_ok(&["service", "update", "--secret-rm", "key", "web"]);
    told(&["container notify", "container revoke", "container revoke", "service update"]);
    // A target that is taken cannot be granted.
    let refused = bed.cli(&["service", "update", "--secret-add", "source=key,target=/data", "web"]);
    assert!(!refused.status.success());
    told(&["container change-failed", "service update"]);
    container.stop();
    told(&["container scrub"]);
    bed.cli_ok(&["service", "rm", "web"]);
    bed.cli_ok(&["secret", "rm", "key"]);
    told(&["service remove", "secret remove"]);
    assert_eq!(watch.find("deliver", "service"), "web");
    assert!(
        watch.find("deliver", "protection").contains("noswap") || watch.find("deliver", "protection").contains("ramfs")
    );
    assert_eq!(watch.find("refuse", "service"), "nobody");
    assert!(watch.find("refuse", "reason").contains("not found"));
    assert_eq!(watch.find("rotate", "target"), "/run/secrets/key");
    assert_eq!(watch.find("expire", "target"), "/etc/key");
    assert_eq!(watch.find("notify", "signal"), "SIGHUP");
    assert!(["process ended", "stopped"].contains(&watch.find("scrub", "reason").as_str()));
}

/// However slowly they take it.
#[test]
fn those_who_ask_for_the_past_are_told_all_of_it() {
    const MADE: usize = 200;
    let place = Place::new();
    let agent = place.start();
    (0..MADE).for_each(|number| drop(agent.create(&format!("s{number}"), "eA==")));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    // Past and no future: a time that has come when it is asked for.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let past = agent.get(&format!("/events?since=0&until={now}")).body;
    assert_eq!(past.matches("\"Action\":\"create\"").count(), MADE, "{past}");
}

fn everything_that_happens_is_told_as_it_happens(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let mut command = Command::new(CLI);
    command.arg("--run-dir").arg(bed.place.run()).args(["events", "--format", "json"]);
    let watch = Watch::start(&bed, command);
    live(&bed, &watch);
}

fn dockers_client_is_told_the_same(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let mut command = Command::new(program("docker", "docker.io"));
    command.env("DOCKER_CONFIG", bed.place.path("docker")).env_remove("DOCKER_API_VERSION");
    command.arg("-H").arg(format!("unix://{}", bed.place.admin().display())).args(["events", "--format", "{{json .}}"]);
    let watch = Watch::start(&bed, command);
    live(&bed, &watch);
}
