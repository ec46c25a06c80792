//! Containers that a user without privileges starts, with the agent of the system: the user's own get what is open to the
//! user, and nothing of others can be reached.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use testbed::{Bed, Runtime, User};

/// Users may ask, and quickly fail.
const ROOTLESS: &str = "[rootless]\nenabled = true\n";

/// An agent with the service `web`, open to `user`, of `grants`.
fn bed(user: &User, grants: &[&str]) -> Bed {
    let bed = Bed::configured(user.runtime, ROOTLESS);
    bed.secret("key", b"k");
    bed.service("web", grants);
    bed.cli_ok(&["service", "update", "--user-add", &user.uid.to_string(), "web"]);
    bed
}

fn bundle(bed: &Bed, user: &User) -> std::path::PathBuf {
    user.bundle(bed.bundle("web"))
}

#[test]
fn a_rootless_container_has_the_secrets_of_a_service_that_is_open_to_its_user() {
    let user = User::new(Runtime::Runc);
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
    let listed: serde_json::Value = bed.agent.get("/runsecrets/v1/ps").json();
    assert_eq!((&listed[0]["Container"], &listed[0]["User"]), (&"c1".into(), &user.uid.into()));
    assert_eq!(listed[0]["Protection"], "noswap");
    user.stop("c1");
    bed.holds_nothing();
}
