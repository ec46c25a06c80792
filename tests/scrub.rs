//! The end of a container: what it held is overwritten and gone, however the end comes, also where it is still open.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsecrets::model::{Claim, ClaimRoute, ContainerId, ServiceName};
use runsecrets::sys::linux::pidfd::Process;
use runsecrets::wire::{AgentReply, Channel, Deliver, HookRequest, Layout, PROTOCOL, Surroundings};
use testbed::{Bed, Container, Runtime, program};

on_each_runtime!(
    stopping_empties_files_that_are_still_open,
    an_end_without_poststop_is_seen,
    mount_points_that_we_made_go_and_others_stay,
    a_create_that_fails_after_us_leaves_nothing,
    a_container_can_be_started_again_from_its_bundle,
    secrets_outlive_the_agent_and_end_with_the_container,
    a_new_agent_takes_over_and_scrubs,
    a_new_agent_waits_for_a_process_that_is_on_its_way_out,
    a_new_agent_leaves_alone_what_the_container_put_in_our_place,
);

/// Both kinds of target, opened from outside the container, as a process that looks into it would.
struct Open(Vec<File>);

const PATHS: [&str; 2] = ["run/secrets/key", "etc/app/key"];

impl Open {
    fn in_container(container: &Container) -> Self {
        let root = format!("/proc/{}/root", container.pid());
        let mut open = Self(PATHS.iter().map(|path| File::open(Path::new(&root).join(path)).unwrap()).collect());
        open.says("hunter2");
        open
    }

    fn says(&mut self, text: &str) {
        for file in &mut self.0 {
            file.rewind().unwrap();
            let mut found = String::new();
            file.read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
    }

    fn are_empty(&self) -> bool {
        self.0.iter().all(|file| file.metadata().unwrap().len() == 0)
    }
}

fn bed(runtime: Runtime) -> Bed {
    let bed = Bed::new(runtime);
    bed.secret("key", b"hunter2");
    bed.service("web", &["key", "source=key,target=/etc/app/key"]);
    bed
}

fn stopping_empties_files_that_are_still_open(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bed.bundle("web");
    let before = bundle.listing();
    let container = bed.start(&bundle);
    let mut open = Open::in_container(&container);
    container.stop();
    open.says("");
    assert_eq!(bundle.listing(), before);
    bed.holds_nothing();
}

fn an_end_without_poststop_is_seen(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bed.bundle("web");
    let before = bundle.listing();
    let container = bed.start(&bundle);
    let mut open = Open::in_container(&container);
    let pid = nix::unistd::Pid::from_raw(container.pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    bed.eventually("the files are empty", || open.are_empty());
    open.says("");
    bed.holds_nothing();
    bed.agent.log.wait_for("reason=\"process ended\"");
    // The runtime is told later: its hook still learns what is to be removed.
    container.delete();
    assert_eq!(bundle.listing(), before);
}

fn mount_points_that_we_made_go_and_others_stay(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bed.bundle("web");
    std::fs::create_dir_all(bundle.rootfs.path("etc/app")).unwrap();
    std::fs::write(bundle.rootfs.path("etc/app/key"), "").unwrap();
    let before = bundle.listing();
    let container = bed.start(&bundle);
    // The container's own, beside ours: what is not empty any more stays.
    container.exec(&["touch", "/run/left"]);
    container.stop();
    let mut after = bundle.listing();
    after.retain(|path| !path.ends_with("/run/left"));
    assert_eq!(after, before);
}

fn a_create_that_fails_after_us_leaves_nothing(runtime: Runtime) {
    let bed = bed(runtime);
    let mut bundle = bed.bundle("web");
    // Not before it has read its state: crun would end by SIGPIPE, and not by its hook's failure.
    let script = ["sh", "-c", "cat > /dev/null; exit 1"];
    let fails = serde_json::json!({"path": "/bin/sh", "args": script, "env": ["PATH=/usr/bin:/bin"]});
    bundle.config["hooks"]["createRuntime"].as_array_mut().unwrap().push(fails);
    bed.try_start(&bundle).map(|_| ()).unwrap_err();
    bed.agent.log.wait_for("delivered");
    bed.holds_nothing();
}

fn a_container_can_be_started_again_from_its_bundle(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bed.bundle("web");
    for _ in 0..3 {
        let container = Container::run_as(runtime, &runtime.path(), &bundle, "again").unwrap();
        assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "hunter2");
        container.stop();
    }
    // The last one's end may not have been seen, and nobody ran its poststop.
    let container = Container::run_as(runtime, &runtime.path(), &bundle, "again").unwrap();
    let open = Open::in_container(&container);
    container.kill();
    container.abandon();
    let container = Container::run_as(runtime, &runtime.path(), &bundle, "again").unwrap();
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "hunter2");
    assert!(open.are_empty());
}

fn secrets_outlive_the_agent_and_end_with_the_container(runtime: Runtime) {
    let mut bed = bed(runtime);
    let container = bed.start(&bed.bundle("web"));
    assert!(bed.agent.stop().success());
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "hunter2hunter2");
}

fn a_new_agent_takes_over_and_scrubs(runtime: Runtime) {
    let mut bed = bed(runtime);
    let bundle = bed.bundle("web");
    let before = bundle.listing();
    let container = bed.start(&bundle);
    let mut open = Open::in_container(&container);
    // The start does not wait until the mount points that were made are on record.
    bed.agent.log.wait_for("delivered");
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    bed.agent = bed.place.start();
    bed.agent.log.wait_for("taken over from an earlier agent");
    assert!(bed.cli_ok(&["service", "ps", "web"]).contains(&container.id[..12]));
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "hunter2hunter2");
    open.says("hunter2");
    container.stop();
    open.says("");
    assert_eq!(bundle.listing(), before);
    bed.holds_nothing();
}

/// It has left its namespaces, so nothing in them can be taken over, and has not ended.
fn a_new_agent_waits_for_a_process_that_is_on_its_way_out(runtime: Runtime) {
    let mut bed = bed(runtime);
    let container = bed.start(&bed.bundle("web"));
    let pid = container.pid();
    // The first process of a pid namespace ends after all others, and one whose parent is outside is there until that has
    // taken note of its end.
    let mut command = Command::new(program("nsenter", "util-linux"));
    let mut parent = command.args([&format!("--target={pid}"), "--pid", "sleep", "1000"]).spawn().unwrap();
    let parent_id = Pid::from_raw(parent.id().try_into().unwrap());
    let children = format!("/proc/{parent_id}/task/{parent_id}/children");
    bed.eventually("it has joined", || !std::fs::read_to_string(&children).unwrap().is_empty());
    kill(parent_id, Signal::SIGSTOP).unwrap();
    let status = format!("/proc/{parent_id}/status");
    bed.eventually("it has stopped", || std::fs::read_to_string(&status).unwrap().contains("State:\tT"));
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    bed.eventually("it has left", || std::fs::read_link(format!("/proc/{pid}/ns/mnt")).is_err());
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    bed.agent = bed.place.start();
    bed.agent.log.wait_for("it ends, or has left its namespaces");
    assert!(bed.cli_ok(&["service", "ps", "web"]).contains(&container.id[..12]));
    kill(parent_id, Signal::SIGCONT).unwrap();
    parent.wait().unwrap();
    bed.holds_nothing();
}

fn a_new_agent_leaves_alone_what_the_container_put_in_our_place(runtime: Runtime) {
    let mut bed = bed(runtime);
    let mut bundle = bed.bundle("web");
    for set in ["bounding", "effective", "permitted"] {
        bundle.config["process"]["capabilities"][set].as_array_mut().unwrap().push(serde_json::json!("CAP_SYS_ADMIN"));
    }
    let container = bed.start(&bundle);
    container.exec(&["sh", "-c", "mount -t tmpfs own /run/secrets && echo theirs > /run/secrets/key"]);
    let theirs = File::open(format!("/proc/{}/root/run/secrets/key", container.pid())).unwrap();
    bed.agent.child.kill().unwrap();
    bed.agent.child.wait().unwrap();
    bed.agent = bed.place.start();
    bed.agent.log.wait_for("taken over from an earlier agent");
    container.stop();
    bed.holds_nothing();
    assert_eq!(std::io::read_to_string(theirs).unwrap(), "theirs\n");
}

/// A container's first process without a runtime: asleep in a mount namespace of its own.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn start(bed: &Bed) -> Self {
        let sleeper = Self(Command::new("unshare").args(["-m", "sleep", "1000"]).spawn().unwrap());
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).unwrap();
        bed.eventually("a mount namespace of its own", || namespace(&sleeper.0.id().to_string()) != namespace("self"));
        sleeper
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The hook's part of the exchange up to and with the mounts; then it is as if the hook was killed.
fn half_a_delivery(bed: &Bed, sleeper: &Sleeper) -> (Channel, Vec<OwnedFd>) {
    let stream = UnixStream::connect(bed.place.hook()).unwrap();
    let channel = Channel::new(stream);
    let process = Process::open(sleeper.0.id().try_into().unwrap()).unwrap();
    let claim = Claim { service: ServiceName::parse("web").unwrap(), route: ClaimRoute::Argument, token: None };
    let request = Deliver {
        protocol: PROTOCOL,
        container: ContainerId::parse("half").unwrap(),
        bundle: "/half".to_owned(),
        claim: Some(claim),
        annotations: std::collections::BTreeMap::new(),
        mount_label: None,
    };
    channel.send(&HookRequest::Deliver(request), &[process.as_fd()]).unwrap();
    let surroundings = Surroundings { layout: Layout::Directory { keep: Vec::new() }, mounts: Vec::new() };
    channel.send(&HookRequest::Surroundings(surroundings), &[]).unwrap();
    match channel.receive().unwrap() {
        (AgentReply::Mounts { mounts, .. }, fds) => {
            assert_eq!((mounts.len(), fds.len()), (2, 2));
            (channel, fds)
        }
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn a_hook_that_is_killed_before_it_attached_leaves_nothing() {
    let bed = bed(Runtime::Runc);
    let sleeper = Sleeper::start(&bed);
    let (channel, fds) = half_a_delivery(&bed, &sleeper);
    let mut key = File::open(format!("/proc/self/fd/{}/key", std::os::fd::AsRawFd::as_raw_fd(&fds[0]))).unwrap();
    let mut text = String::new();
    key.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hunter2");
    drop(channel);
    bed.eventually("the file is empty", || key.metadata().unwrap().len() == 0);
    bed.holds_nothing();
}

#[test]
fn a_container_that_dies_while_it_is_delivered_to_leaves_nothing() {
    let bed = bed(Runtime::Runc);
    let sleeper = Sleeper::start(&bed);
    let (channel, fds) = half_a_delivery(&bed, &sleeper);
    let key = File::open(format!("/proc/self/fd/{}/key", std::os::fd::AsRawFd::as_raw_fd(&fds[0]))).unwrap();
    drop(sleeper);
    channel.send(&HookRequest::Attached { made: Vec::new() }, &[]).unwrap();
    bed.eventually("the file is empty", || key.metadata().unwrap().len() == 0);
    bed.holds_nothing();
}

/// A change waits for a hook only so long; then it is the delivery that has to look what has become of its service.
#[test]
fn what_is_revoked_while_a_hook_is_slow_is_revoked() {
    let bed = Bed::configured(Runtime::Runc, "[limits]\nhook-seconds = 300\n");
    for name in ["key", "other"] {
        bed.secret(name, b"hunter2");
    }
    bed.service("web", &["key", "source=key,target=/etc/app/key"]);
    let sleeper = Sleeper::start(&bed);
    let (channel, fds) = half_a_delivery(&bed, &sleeper);
    let mut key = File::open(format!("/proc/self/fd/{}/key", std::os::fd::AsRawFd::as_raw_fd(&fds[0]))).unwrap();
    let changed = bed.cli_ok(&["service", "update", "web", "--secret-rm", "key", "--secret-add", "other"]);
    assert_eq!(changed, "web\n");
    let mut text = String::new();
    key.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hunter2", "nobody has waited for the hook for longer than the test wants");
    channel.send(&HookRequest::Attached { made: Vec::new() }, &[]).unwrap();
    bed.eventually("the file is empty", || key.metadata().unwrap().len() == 0);
    bed.eventually("it has what is granted now", || {
        let ps = bed.agent.get("/runsecrets/v1/ps").json();
        let names: Vec<&serde_json::Value> =
            ps[0]["Secrets"].as_array().into_iter().flatten().map(|secret| &secret["Name"]).collect();
        names == ["other"]
    });
    drop(sleeper);
    bed.holds_nothing();
}

/// Who hangs up before the answer ends the waiting for what was asked, and not the work: it is told all the same.
#[test]
fn what_is_done_for_who_has_hung_up_is_on_record() {
    let bed = Bed::configured(Runtime::Runc, "[limits]\nhook-seconds = 300\n");
    bed.secret("key", b"hunter2");
    bed.service("web", &["key", "source=key,target=/etc/app/key"]);
    let sleeper = Sleeper::start(&bed);
    // The change waits for this one.
    let (channel, _fds) = half_a_delivery(&bed, &sleeper);
    let mut client = bed.agent.connect();
    let body = serde_json::json!({"Data": testbed::running_agent::base64(b"second")}).to_string();
    let head = "POST /runsecrets/v1/secrets/key/update HTTP/1.1\r\nHost: x\r\nContent-Length:";
    std::io::Write::write_all(&mut client, format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    bed.eventually("it is stored", || bed.cli_ok(&["secret", "history", "--quiet", "key"]) == "2\n1\n");
    drop(client);
    assert_eq!(bed.agent.get("/_ping").status, 200, "the agent has seen that it has gone");
    channel.send(&HookRequest::Attached { made: Vec::new() }, &[]).unwrap();
    bed.agent.log.wait_for("secret update");
    let told = || bed.cli_ok(&["events", "--since", "10m", "--until", "0s", "--filter", "event=update"]);
    bed.eventually("those who watch are told", || told().contains("name=key"));
    drop(sleeper);
    bed.holds_nothing();
}

#[test]
fn what_the_hook_is_given_cannot_be_written() {
    let bed = bed(Runtime::Runc);
    let sleeper = Sleeper::start(&bed);
    let (_channel, fds) = half_a_delivery(&bed, &sleeper);
    let directory = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fds[0]));
    assert!(File::create(format!("{directory}/new")).is_err());
    assert!(File::options().write(true).open(format!("{directory}/key")).is_err());
    // Nor is what is not for it to be seen from there.
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    assert!(std::fs::metadata(format!("{directory}/../files")).is_err());
}
