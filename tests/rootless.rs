//! Containers that a user without privileges starts, with the agent of the system: the user's own get what is open to the
//! user, and nothing of others can be reached.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "rootless/asking.rs"]
mod asking;
mod testbed;

use asking::{Sleeper, as_user, ask, connect, withdraw};
use testbed::user::IMAGE;
use testbed::{Bed, Bundle, Canary, Rootfs, Runtime, User};

on_each_runtime!(
    a_rootless_container_has_the_secrets_of_a_service_that_is_open_to_its_user,
    who_has_no_business_is_refused_and_learns_nothing,
    a_later_agent_knows_a_users_containers_and_scrubs_what_is_open,
    root_of_a_rootless_container_cannot_make_its_secrets_writable,
    changes_reach_a_running_container_without_going_into_it,
    what_a_privileged_container_writes_among_its_secrets_goes_with_them,
);

const ROOTLESS: &str = "[rootless]\nenabled = true\n";

/// An agent with the service `web`, open to `user`, of `grants`.
fn bed(user: &User, grants: &[&str]) -> Bed {
    let bed = Bed::configured(user.runtime, ROOTLESS);
    bed.secret("key", b"k");
    bed.service("web", grants);
    bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "web"]);
    bed
}

/// What `ps` says once it lists this many containers: their start does not wait for the agent to have noted it.
fn listed(bed: &Bed, count: usize) -> serde_json::Value {
    let mut found = serde_json::Value::Null;
    bed.eventually("as many containers as there are hold secrets", || {
        found = bed.agent.get("/runsecrets/v1/ps").json();
        found.as_array().unwrap().len() == count
    });
    found
}

fn bundle(bed: &Bed, user: &User) -> std::path::PathBuf {
    user.bundle(bed.bundle("web"))
}

fn a_rootless_container_has_the_secrets_of_a_service_that_is_open_to_its_user(runtime: Runtime) {
    let user = User::new(runtime);
    let bed = bed(&user, &["key", "source=key,target=/etc/app/key,mode=0400"]);
    let bundle = bundle(&bed, &user);
    user.start(&bundle, "c1").unwrap_or_else(|error| panic!("{error}\nagent: {}", bed.agent.log.text()));
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    assert_eq!(user.exec("c1", &["stat", "-c", "%u:%g %a", "/etc/app/key"]), "0:0 400\n");
    for path in ["/run/secrets", "/etc/app"] {
        assert_eq!(user.exec("c1", &["stat", "-c", "%u:%g %a", path]), "0:0 755\n", "{path}");
    }
    let mounts = user.exec("c1", &["cat", "/proc/self/mountinfo"]);
    let mount = mounts.lines().find(|line| line.contains(" /run/secrets ")).unwrap();
    for option in ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "noswap"] {
        assert!(mount.split([' ', ',']).any(|word| word == option), "no {option} in {mount}");
    }
    let listed = listed(&bed, 1);
    assert_eq!((&listed[0]["Container"], &listed[0]["User"]), (&"c1".into(), &user.uid.into()));
    assert_eq!(listed[0]["Protection"], "noswap");
    user.stop("c1");
    bed.holds_nothing();
}

fn who_has_no_business_is_refused_and_learns_nothing(runtime: Runtime) {
    let (user, other) = (User::new(runtime), User::new(runtime));
    let bed = bed(&user, &["key"]);
    for service in ["web", "nowhere"] {
        let bundle = other.bundle(bed.bundle(service));
        let error = other.start(&bundle, "c1").unwrap_err();
        let words = format!("service {service} is not open to uid {}", other.uid);
        assert!(error.contains(&words), "no '{words}' in {error}");
    }
    bed.service("closed", &["key"]);
    let error = user.start(&user.bundle(bed.bundle("closed")), "c1").unwrap_err();
    assert!(error.contains("service closed is not open to uid"), "{error}");
    // An owner that the user's container has no place for.
    bed.service("far", &["source=key,uid=33"]);
    bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "far"]);
    let bundle = user.bundle(bed.bundle("far"));
    let error = user.start(&bundle, "c1").unwrap_err();
    assert!(error.contains("uid 33 has no place in the container's user namespace"), "{error}");
    // Closed again.
    bed.cli_ok(&["service", "update", "--user-rm", &user.uid.to_string(), "web"]);
    let error = user.start(&self::bundle(&bed, &user), "c1").unwrap_err();
    assert!(error.contains("service web is not open to uid"), "{error}");
    bed.holds_nothing();
}

#[test]
fn without_rootless_in_the_configuration_there_is_no_way_in() {
    let user = User::new(Runtime::Runc);
    let bed = Bed::new(Runtime::Runc);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let error = user.start(&bundle(&bed, &user), "c1").unwrap_err();
    assert!(error.contains("users other than root need `enabled = true` in [rootless]"), "{error}");
    assert!(!bed.place.run().join("user.sock").exists());
}

#[test]
fn users_who_are_not_named_in_the_configuration_are_let_go() {
    let (user, other) = (User::new(Runtime::Runc), User::new(Runtime::Runc));
    let bed = Bed::configured(Runtime::Runc, &format!("{ROOTLESS}users = [{}]\n", user.uid));
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    for uid in [user.uid, other.uid] {
        bed.cli_ok(&["service", "update", "--user-add", &uid.to_string(), "web"]);
    }
    user.start(&bundle(&bed, &user), "c1").unwrap();
    let error = other.start(&bundle(&bed, &other), "c1").unwrap_err();
    assert!(error.contains("this user is not one of rootless.users"), "{error}");
    user.stop("c1");
}

/// What the user says of a container counts for nothing: the kernel knows whose it is.
#[test]
fn a_user_cannot_have_secrets_delivered_into_what_is_not_its_own() {
    let (user, other) = (User::new(Runtime::Runc), User::new(Runtime::Runc));
    let bed = bed(&user, &["key"]);
    let run = bed.place.run();
    let rooted = bed.start(&Bundle::new(Rootfs::busybox()));
    let mapped = bed.start(&Bundle::new(Rootfs::busybox()).in_user_namespace());
    let apart = ["--user", "--map-root-user", "--mount"];
    let others = Sleeper::start(other.uid, &apart);
    for (whose, pid) in [
        ("root's container", u32::try_from(rooted.pid()).unwrap()),
        ("root's container in a user namespace", u32::try_from(mapped.pid()).unwrap()),
        ("another user's", others.pid()),
        ("a process of root in a mount namespace", Sleeper::start(0, &["--mount"]).pid()),
    ] {
        let refusal = ask(user.uid, &run, pid, "c1", "/b");
        assert!(
            refusal.as_ref().is_err_and(|reason| reason.contains("not in namespaces of uid")),
            "{whose}: {refusal:?}"
        );
    }
    let hosts = Sleeper::start(user.uid, &["--user", "--map-root-user"]);
    let refusal = ask(user.uid, &run, hosts.pid(), "c1", "/b").unwrap_err();
    assert!(refusal.contains("shares the host's mount namespace"), "{refusal}");
    bed.holds_nothing();
    // The same request for its own is granted.
    let own = Sleeper::start(user.uid, &apart);
    assert_eq!(ask(user.uid, &run, own.pid(), "c1", "/b").unwrap().len(), 1);
    drop(own);
    bed.holds_nothing();
}

#[test]
fn what_a_user_calls_its_containers_reaches_no_other_container() {
    let (user, other) = (User::new(Runtime::Runc), User::new(Runtime::Runc));
    let bed = bed(&user, &["key"]);
    let run = bed.place.run();
    let container = bed.start(&bed.bundle("web"));
    let own = Sleeper::start(user.uid, &["--user", "--map-root-user", "--mount"]);
    let bundle = listed(&bed, 1)[0]["Bundle"].as_str().unwrap().to_owned();
    for uid in [user.uid, other.uid] {
        assert_eq!(withdraw(uid, &run, &container.id, &bundle), []);
    }
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    // The same name for another container: both are there, and each goes with its own.
    ask(user.uid, &run, own.pid(), &container.id, &bundle).unwrap();
    listed(&bed, 2);
    withdraw(other.uid, &run, &container.id, &bundle);
    listed(&bed, 2);
    withdraw(user.uid, &run, &container.id, &bundle);
    listed(&bed, 1);
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
}

#[test]
fn a_user_has_its_part_and_no_more() {
    let user = User::new(Runtime::Runc);
    let bed = Bed::configured(Runtime::Runc, &format!("{ROOTLESS}containers = 2\nbytes = 131072\n"));
    bed.secret("key", b"k");
    bed.secret("large", &[b'x'; 70_000]);
    for (service, secret) in [("web", "key"), ("big", "large")] {
        bed.cli_ok(&["service", "create", "--name", service, "--secret", secret, "--user", &user.uid.to_string()]);
    }
    let error = user.start(&user.bundle(bed.bundle("big")), "c0").unwrap_err();
    assert!(error.contains("may have secrets in 2 containers and 131072 bytes of RAM"), "{error}");
    let bundles = [1, 2, 3].map(|_| bundle(&bed, &user));
    user.start(&bundles[0], "c1").unwrap();
    user.start(&bundles[1], "c2").unwrap();
    let error = user.start(&bundles[2], "c3").unwrap_err();
    assert!(error.contains("may have secrets in 2 containers"), "{error}");
    // Root is not concerned, and what is given back can be had again.
    bed.start(&bed.bundle("web")).stop();
    user.stop("c1");
    bed.eventually("what c1 had is free", || user.start(&bundles[2], "c3").is_ok());
    user.stop("c2");
    user.stop("c3");
    bed.holds_nothing();
}

/// A file system that is scrubbed and held open takes room still, and would be a place to write to.
#[test]
fn what_a_user_holds_on_to_counts_as_its_own() {
    let user = User::new(Runtime::Runc);
    let bed = Bed::configured(Runtime::Runc, &format!("{ROOTLESS}containers = 1\n"));
    bed.secret("key", b"k");
    bed.cli_ok(&["service", "create", "--name", "web", "--secret", "key", "--user", &user.uid.to_string()]);
    let run = bed.place.run();
    let own = Sleeper::start(user.uid, &["--user", "--map-root-user", "--mount"]);
    let mounts = ask(user.uid, &run, own.pid(), "c1", "/b").unwrap();
    withdraw(user.uid, &run, "c1", "/b");
    bed.holds_nothing();
    let refusal = ask(user.uid, &run, own.pid(), "c1", "/b").unwrap_err();
    assert!(refusal.contains("may have secrets in 1 containers"), "{refusal}");
    drop(mounts);
    bed.eventually("it is given back", || ask(user.uid, &run, own.pid(), "c1", "/b").is_ok());
}

#[test]
fn a_user_who_floods_the_socket_keeps_nobody_waiting() {
    let (user, other) = (User::new(Runtime::Runc), User::new(Runtime::Runc));
    let bed = bed(&user, &["key"]);
    bed.cli_ok(&["service", "update", "--user-add", &other.uid.to_string(), "web"]);
    let run = bed.place.run();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // It connects as fast as it can, says nothing, and holds on to what it gets.
            scope.spawn(|| {
                as_user(user.uid, || {
                    let mut held = std::collections::VecDeque::new();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        held.push_back(std::os::unix::net::UnixStream::connect(run.join("user.sock")));
                        if held.len() > 200 {
                            held.pop_front();
                        }
                    }
                })
            });
        }
        bed.agent.log.wait_for("too many hooks of users at one time");
        let others = other.start(&bundle(&bed, &other), "c1");
        let roots = bed.try_start(&bed.bundle("web"));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        others.unwrap();
        roots.unwrap().stop();
    });
    other.stop("c1");
    // Whoever sends more than it should is cut off.
    let file = std::fs::File::open("/dev/null").unwrap();
    let stream = connect(other.uid, &run);
    runsecrets::sys::linux::fds::send(&stream, b"RSEC", &[std::os::fd::AsFd::as_fd(&file); 200]).unwrap();
    bed.agent.log.wait_for("descriptors were cut off");
    bed.holds_nothing();
}

fn a_later_agent_knows_a_users_containers_and_scrubs_what_is_open(runtime: Runtime) {
    let user = User::new(runtime);
    let mut bed = bed(&user, &["key", "source=key,target=/etc/app/key,mode=0400"]);
    let bundle = bundle(&bed, &user);
    user.start(&bundle, "c1").unwrap();
    let pid = listed(&bed, 1)[0]["Pid"].as_u64().unwrap();
    let mut open =
        ["run/secrets/key", "etc/app/key"].map(|path| std::fs::File::open(format!("/proc/{pid}/root/{path}")).unwrap());
    bed.agent.stop();
    bed.agent = bed.place.start();
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    let listed = listed(&bed, 1);
    assert_eq!((&listed[0]["Container"], &listed[0]["User"]), (&"c1".into(), &user.uid.into()));
    user.stop("c1");
    bed.holds_nothing();
    for file in &mut open {
        assert_eq!(std::io::read_to_string(file).unwrap(), "");
    }
    // Nothing is left in the root file system, and the name can be used again.
    let rootfs = user.rootfs();
    assert!(!rootfs.join("run/secrets").exists() && !rootfs.join("etc/app").exists());
    user.start(&bundle, "c1").unwrap();
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key"]), "k");
    user.stop("c1");
}

/// What root of the container, and of a namespace below it, can do to its secrets.
fn root_of_a_rootless_container_cannot_make_its_secrets_writable(runtime: Runtime) {
    let user = User::new(runtime);
    let bed = bed(&user, &["key", "source=key,target=/etc/app/key"]);
    let mut bundle = bed.bundle("web");
    // What podman gives, and the kernel asks for where root of a namespace becomes root of another.
    for set in bundle.config["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
        set.as_array_mut().unwrap().push("CAP_SETFCAP".into());
    }
    user.start(&user.bundle(bundle), "c1").unwrap();
    for command in [
        "echo x > /run/secrets/key",
        "rm /run/secrets/key",
        "touch /run/secrets/new",
        "mount -o remount,bind,rw /run/secrets",
        "mount -o remount,rw /run/secrets",
        "umount /run/secrets",
        // In a user namespace of its own it has every capability, and the mounts are not its own.
        "busybox unshare -r -m sh -c 'mount -o remount,bind,rw /run/secrets'",
        "busybox unshare -r -m sh -c 'mount -o remount,bind,rw /etc/app/key'",
        "busybox unshare -r -m sh -c 'umount /run/secrets'",
    ] {
        let output = user.runtime(&["exec", "c1", "sh", "-c", command]);
        assert!(!output.status.success(), "{command}");
    }
    // There such a namespace can be had, and its own mounts can be changed.
    user.exec("c1", &["busybox", "unshare", "-r", "-m", "sh", "-c", "mount -t tmpfs none /tmp && umount /tmp"]);
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    user.stop("c1");
}

/// The agent changes what it holds the writable side of. It does not go into a user's namespaces for the rest: what shows
/// there at a target may be a directory of the host's.
fn changes_reach_a_running_container_without_going_into_it(runtime: Runtime) {
    let user = User::new(runtime);
    let bed = bed(&user, &["key", "source=key,target=/etc/app/key"]);
    user.start(&bundle(&bed, &user), "c1").unwrap();
    listed(&bed, 1);
    let said = |arguments: &[&str]| testbed::words(&bed.cli(arguments));
    let file = bed.place.path("value");
    std::fs::write(&file, "new").unwrap();
    let words = said(&["secret", "update", "key", file.to_str().unwrap()]);
    assert!(words.contains("1 of the files") && words.contains("when it is started the next time"), "{words}");
    assert_eq!(user.exec("c1", &["cat", "/run/secrets/key", "/etc/app/key"]), "newk");
    bed.secret("more", b"m");
    let words = said(&["service", "update", "--secret-add", "source=more,target=/etc/more", "web"]);
    assert!(words.contains("when it is started the next time"), "{words}");
    assert!(!user.rootfs().join("etc/more").exists());
    let pid = listed(&bed, 1)[0]["Pid"].as_u64().unwrap();
    let mut open = std::fs::File::open(format!("/proc/{pid}/root/etc/app/key")).unwrap();
    // Closed to the user: what the container has is taken from it.
    bed.cli_ok(&["service", "update", "--user-rm", &user.uid.to_string(), "web"]);
    assert_eq!(user.exec("c1", &["ls", "/run/secrets"]), "");
    assert_eq!(user.exec("c1", &["cat", "/etc/app/key"]), "");
    assert_eq!(std::io::read_to_string(&mut open).unwrap(), "");
    user.stop("c1");
    bed.holds_nothing();
}

/// What a container with CAP_SYS_ADMIN does to its own secrets is its own affair; it goes with the rest.
fn what_a_privileged_container_writes_among_its_secrets_goes_with_them(runtime: Runtime) {
    let user = User::new(runtime);
    let bed = bed(&user, &["key"]);
    let mut bundle = bed.bundle("web");
    for set in bundle.config["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
        set.as_array_mut().unwrap().push("CAP_SYS_ADMIN".into());
    }
    user.start(&user.bundle(bundle), "c1").unwrap();
    user.exec("c1", &["mount", "-o", "remount,bind,rw", "/run/secrets"]);
    user.exec(
        "c1",
        &["sh", "-c", "mkdir -p /run/secrets/a/b && echo mine > /run/secrets/a/b/c && ln -s / /run/secrets/l"],
    );
    let pid = listed(&bed, 1)[0]["Pid"].as_u64().unwrap();
    let mut open =
        ["key", "a/b/c"].map(|name| std::fs::File::open(format!("/proc/{pid}/root/run/secrets/{name}")).unwrap());
    user.stop("c1");
    bed.holds_nothing();
    for file in &mut open {
        assert_eq!(std::io::read_to_string(file).unwrap(), "");
    }
    assert!(!bed.agent.log.text().contains("cannot scrub"), "{}", bed.agent.log.text());
}

mod podman {
    use super::*;

    fn bed_and_user(runtime: Runtime, value: &[u8]) -> (Bed, User) {
        let user = User::new(runtime);
        let bed = Bed::configured(runtime, ROOTLESS);
        bed.secret("key", value);
        bed.cli_ok(&[
            "service",
            "create",
            "--name",
            "web",
            "--user",
            &user.uid.to_string(),
            "--secret",
            "key",
            "--secret",
            "source=key,target=/etc/app/key,uid=7,gid=8,mode=0440",
        ]);
        let user = user.with_podman(&bed.place.run());
        (bed, user)
    }

    const WEB: &str = "io.runsecrets.service=web";

    fn start(bed: &Bed, user: &User, options: &[&str]) {
        let words =
            [&["run", "--detach", "--name", "web", "--annotation", WEB], options, &[IMAGE, "sleep", "1000"]].concat();
        let output = user.run("podman", &words);
        assert!(output.status.success(), "{}\nagent: {}", testbed::words(&output), bed.agent.log.text());
    }

    fn exec(user: &User, arguments: &[&str]) -> String {
        user.ok("podman", &[&["exec", "web"], arguments].concat())
    }

    fn has_its_secrets_all_its_life(runtime: Runtime) {
        let (bed, user) = bed_and_user(runtime, b"k");
        start(&bed, &user, &[]);
        assert_eq!(exec(&user, &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
        assert_eq!(exec(&user, &["stat", "-c", "%u:%g %a", "/etc/app/key", "/etc/app"]), "7:8 440\n0:0 755\n");
        let mounts = exec(&user, &["cat", "/proc/self/mountinfo"]);
        assert!(mounts.lines().any(|line| line.contains(" /run/secrets ") && line.contains("noswap")), "{mounts}");
        let id = user.ok("podman", &["inspect", "--format", "{{.Id}}", "web"]);
        bed.ps_until(&["ps", "--quiet", "--no-trunc"], |said| said == id);
        user.ok("podman", &["stop", "--time", "0", "web"]);
        bed.holds_nothing();
        for verb in [&["start", "web"][..], &["restart", "--time", "0", "web"]] {
            user.ok("podman", verb);
            assert_eq!(exec(&user, &["cat", "/run/secrets/key", "/etc/app/key"]), "kk", "{verb:?}");
        }
        listed(&bed, 1);
        user.ok("podman", &["rm", "--force", "--time", "0", "web"]);
        bed.holds_nothing();
    }

    fn owners_are_the_containers_own_in_a_namespace_below_the_users(runtime: Runtime) {
        let (bed, user) = bed_and_user(runtime, b"k");
        start(&bed, &user, &["--userns=keep-id", "--user=0:0"]);
        assert_eq!(exec(&user, &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
        let stat = exec(&user, &["stat", "-c", "%u:%g %a", "/etc/app/key", "/etc/app", "/run/secrets"]);
        assert_eq!(stat, "7:8 440\n0:0 755\n0:0 755\n");
        user.ok("podman", &["rm", "--force", "--time", "0", "web"]);
        bed.holds_nothing();
    }

    fn the_value_is_nowhere_else(runtime: Runtime) {
        let canary = Canary::new();
        let (bed, user) = bed_and_user(runtime, canary.value().as_bytes());
        start(&bed, &user, &[]);
        assert_eq!(exec(&user, &["cat", "/run/secrets/key"]), canary.value());
        user.ok("podman", &["commit", "web", "localhost/committed"]);
        let places = [user.places(), vec![bed.place.state(), bed.place.run()]].concat();
        // What the test itself was shown.
        std::fs::remove_file(user.path("out")).unwrap();
        canary.is_nowhere_in(&places);
        canary.is_in_no_process();
        assert!(!canary.is_in(bed.agent.log.text().as_bytes()));
        user.ok("podman", &["rm", "--force", "--time", "0", "web"]);
        bed.holds_nothing();
        canary.is_nowhere_in(&places);
        assert!(
            !user.run("podman", &["run", "--rm", "localhost/committed", "cat", "/run/secrets/key"]).status.success()
        );
    }

    on_each_runtime!(
        has_its_secrets_all_its_life,
        owners_are_the_containers_own_in_a_namespace_below_the_users,
        the_value_is_nowhere_else,
    );
}
