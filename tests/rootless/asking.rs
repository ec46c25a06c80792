//! A user who speaks to the agent without our hook, and says what it likes.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use runsecrets::model::{Claim, ClaimRoute, ContainerId, ServiceName};
use runsecrets::sys::linux::pidfd::Process;
use runsecrets::sys::linux::process::give_thread_to;
use runsecrets::wire::{AgentReply, Channel, Deliver, HookRequest, Layout, MadePoint, PROTOCOL, Surroundings};

use crate::testbed::running_agent::LIMIT;

/// Does `work` on a thread that is the user `uid` without privileges: the kernel notes who connects thread by thread.
pub(crate) fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            give_thread_to(uid).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// A connection of `uid` to the agent of `run_dir`.
pub(crate) fn connect(uid: u32, run_dir: &Path) -> UnixStream {
    let stream = as_user(uid, || UnixStream::connect(run_dir.join("user.sock"))).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Asks as `uid` for the secrets of the service `web` for the container of the process `pid`; the refusal, or the mounts.
pub(crate) fn ask(uid: u32, run_dir: &Path, pid: u32, id: &str, bundle: &str) -> Result<Vec<OwnedFd>, String> {
    let channel = Channel::new(connect(uid, run_dir));
    let process = Process::open(i32::try_from(pid).unwrap()).unwrap();
    let claim = Claim { service: ServiceName::parse("web").unwrap(), route: ClaimRoute::Annotation, token: None };
    let request = Deliver {
        protocol: PROTOCOL,
        container: ContainerId::parse(id).unwrap(),
        bundle: bundle.to_owned(),
        claim: Some(claim),
        annotations: Default::default(),
        mount_label: None,
    };
    channel.send(&HookRequest::Deliver(request), &[process.as_fd()]).unwrap();
    let surroundings = Surroundings { layout: Layout::Directory { keep: Vec::new() }, mounts: Vec::new() };
    // The agent may have hung up already: its words are there to be read.
    let _ = channel.send(&HookRequest::Surroundings(surroundings), &[]);
    match channel.receive().unwrap() {
        (AgentReply::Mounts { mounts, .. }, fds) => {
            assert_eq!(mounts.len(), fds.len());
            // It keeps them: what it says is that they are attached.
            channel.send(&HookRequest::Attached { made: Vec::new() }, &[]).unwrap();
            Ok(fds)
        }
        (AgentReply::Refused { reason }, _) => Err(reason),
        (other, _) => panic!("{other:?}"),
    }
}

/// Says as `uid` that a container has stopped; what the agent says was made for it.
pub(crate) fn withdraw(uid: u32, run_dir: &Path, id: &str, bundle: &str) -> Vec<MadePoint> {
    let channel = Channel::new(connect(uid, run_dir));
    let request = HookRequest::Withdraw { container: ContainerId::parse(id).unwrap(), bundle: bundle.to_owned() };
    channel.send(&request, &[]).unwrap();
    match channel.receive().unwrap() {
        (AgentReply::Withdrawn { made }, _) => made,
        (other, _) => panic!("{other:?}"),
    }
}

/// A process of `uid` in new namespaces of these kinds (options of `unshare`); it ends when this is dropped.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn start(uid: u32, kinds: &[&str]) -> Self {
        use std::io::{BufRead, BufReader};
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("unshare");
        command.args(kinds).args(["sh", "-c", "echo ready; exec sleep 1000"]).uid(uid).gid(uid);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
