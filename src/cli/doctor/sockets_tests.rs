//! Run directories in every state, made in a temporary directory.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::super::agent::tests::status;
use super::*;
use crate::finding::Level;

/// A run directory with two sockets as an agent makes them; the listeners keep them alive.
fn run_dir() -> (tempfile::TempDir, Vec<UnixListener>) {
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o711);
    let listeners = ["agent.sock", "hook.sock"].map(|name| {
        let path = directory.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        set_mode(&path, 0o600);
        listener
    });
    (directory, listeners.into())
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn look(directory: &Path) -> Doors {
    Doors::look(directory, &directory.join("agent.sock"), None)
}

/// The worst of what is found, as `level: text`.
fn worst(doors: &Doors, status: Option<&Status>) -> String {
    let found = judge(doors, status);
    let worst = found.iter().max_by_key(|finding| finding.level()).unwrap();
    format!("{}: {worst}", worst.level())
}

#[test]
fn sockets_as_the_agent_makes_them_are_well() {
    let (directory, _listeners) = run_dir();
    let found = judge(&look(directory.path()), Some(&status()));
    assert!(found.iter().all(|finding| finding.level() == Level::Ok), "{found:?}");
    assert_eq!(found.len(), 3);
}

#[test]
fn every_socket_that_the_agent_tells_is_looked_at() {
    let (directory, _listeners) = run_dir();
    let mut told = status();
    for name in ["user.sock", "../agent.sock"] {
        told.sockets.push(super::super::agent::Socket { name: name.to_owned(), mode: "0666".to_owned() });
    }
    let doors = Doors::look(directory.path(), &directory.path().join("agent.sock"), Some(&told));
    let names: Vec<_> = doors.doors.iter().map(|door| door.path.strip_prefix(directory.path()).unwrap()).collect();
    assert_eq!(names, ["agent.sock", "hook.sock", "user.sock"].map(Path::new));
    assert!(worst(&doors, Some(&told)).contains("user.sock was removed while the agent runs"));
}

#[test]
fn a_mode_that_is_not_the_agents_is_an_error() {
    let (directory, _listeners) = run_dir();
    set_mode(&directory.path().join("hook.sock"), 0o666);
    let words = worst(&look(directory.path()), Some(&status()));
    assert!(
        words.starts_with("error: ") && words.contains("hook.sock has mode 0666, and the agent made it with 0600"),
        "{words}"
    );
    assert!(words.contains("chmod 0600"), "{words}");
    set_mode(directory.path(), 0o777);
    let found = judge(&look(directory.path()), None);
    assert!(found[0].to_string().contains("has mode 0777, wider than 0711"), "{found:?}");
}

#[test]
fn a_socket_that_nobody_answers_on_is_stale() {
    let (directory, listeners) = run_dir();
    drop(listeners);
    let words = worst(&look(directory.path()), None);
    assert!(words.starts_with("error: nobody answers at ") && words.contains("systemctl start"), "{words}");
}

#[test]
fn what_is_no_socket_is_not_the_agents() {
    let (directory, _listeners) = run_dir();
    let path = directory.path().join("hook.sock");
    std::fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &path).unwrap();
    let words = worst(&look(directory.path()), Some(&status()));
    assert!(words.starts_with("error: ") && words.contains("is no socket, or a link to one"), "{words}");
}

#[test]
fn a_process_that_is_not_the_agent_is_an_impostor() {
    let (directory, _listeners) = run_dir();
    let mut other = status();
    other.pid += 1;
    let words = worst(&look(directory.path()), Some(&other));
    assert!(words.starts_with("error: process ") && words.contains("not the agent"), "{words}");
    let mut doors = look(directory.path());
    doors.doors[1].knock = Knock::Answered(Peer { pid: 7, uid: 65534, gid: 65534 });
    let words = worst(&doors, Some(&status()));
    assert!(words.starts_with("error: user 65534 answers at "), "{words}");
    doors.doors[1].found.as_mut().unwrap().uid = 65534;
    assert!(judge(&doors, None).iter().any(|finding| finding.to_string().contains("hook.sock belongs to user 65534")));
    doors.found.as_mut().unwrap().uid = 65533;
    doors.me = 0;
    assert!(judge(&doors, None)[0].to_string().contains("who can put a socket of another agent there"));
}

#[test]
fn what_may_not_be_looked_at_is_said() {
    let (directory, _listeners) = run_dir();
    let mut doors = look(directory.path());
    doors.doors[1].knock = Knock::Denied;
    let words = worst(&doors, Some(&status()));
    assert!(words.starts_with("unchecked: who answers at "), "{words}");
    let missing = directory.path().join("none");
    assert_eq!(worst(&look(&missing), None).split(':').next(), Some("note"));
    std::fs::remove_file(directory.path().join("hook.sock")).unwrap();
    assert!(worst(&look(directory.path()), Some(&status())).contains("was removed while the agent runs"));
}
