//! Secrets on services. From docker/cli `opts/swarmopts/secret_test.go`, moby `docker_cli_service_create_test.go` and
//! swarmkit `controlapi/service_test.go`.

use super::Case;
use super::target::{Held, Target};

pub(crate) const CASES: &[Case] = &[
    ("reference::defaults", defaults),
    ("reference::every_field", every_field),
    ("reference::targets", targets),
    ("reference::one_secret_at_two_targets", one_secret_at_two_targets),
    ("reference::one_target_twice", one_target_twice),
    ("reference::one_target_in_two_spellings", one_target_in_two_spellings),
    ("reference::an_update_that_conflicts", an_update_that_conflicts),
    ("reference::a_blank_target", a_blank_target),
    ("reference::modes", modes),
    ("reference::an_owner_by_name", an_owner_by_name),
    ("reference::bad_syntax_sends_nothing", bad_syntax_sends_nothing),
    ("reference::a_secret_that_is_not_there", a_secret_that_is_not_there),
    ("reference::add_and_remove", add_and_remove),
    ("reference::update_in_place", update_in_place),
    ("reference::in_use", in_use),
    ("reference::a_service_name_is_unique_without_case", a_service_name_is_unique_without_case),
];

fn held(source: &str, target: &str, uid: &str, gid: &str, mode: u64) -> Held {
    (source.to_owned(), target.to_owned(), uid.to_owned(), gid.to_owned(), mode)
}

/// TestServiceCreateWithSecretSimple.
fn defaults(target: &Target) {
    target.create("s", &[]);
    target.service_create("web", &["s"]).ok();
    assert_eq!(target.held("web"), [held("s", "/run/secrets/s", "0", "0", 0o444)]);
}

/// TestSecretOptions: source, target, shorthand, uid and gid, mode; keys in any case; CSV quotes.
fn every_field(target: &Target) {
    for name in ["a", "b", "c"] {
        target.create(name, &[]);
    }
    let secrets =
        ["source=a,target=/etc/a,uid=1000,gid=1001,mode=0400", "src=b,TARGET=bb", "\"source=c\",\"target=/x,y\""];
    target.service_create("web", &secrets).ok();
    let expected = [
        held("a", "/etc/a", "1000", "1001", 0o400),
        held("b", "/run/secrets/bb", "0", "0", 0o444),
        held("c", "/x,y", "0", "0", 0o444),
    ];
    assert_eq!(target.held("web"), expected);
}

/// TestServiceCreateWithSecretSourceTargetPaths.
fn targets(target: &Target) {
    for name in ["a", "b", "c", "d"] {
        target.create(name, &[]);
    }
    let secrets = [
        "source=a,target=/etc/secret",
        "source=b,target=test_secret",
        "source=c,target=relative/secret",
        "source=d,target=../secret",
    ];
    target.service_create("web", &secrets).ok();
    let found: Vec<String> = target.held("web").into_iter().map(|held| held.1).collect();
    // Docker keeps the text and joins it in the daemon; we show where the file will be.
    let outside = if target.is_swarm() { "/run/secrets/../secret" } else { "/run/secret" };
    let mut expected = ["/etc/secret", "/run/secrets/test_secret", "/run/secrets/relative/secret", outside];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// TestServiceCreateWithSecretReferencedTwice.
fn one_secret_at_two_targets(target: &Target) {
    target.create("s", &[]);
    target.service_create("web", &["source=s,target=foo,mode=0400", "source=s,target=bar,uid=7"]).ok();
    let expected = [held("s", "/run/secrets/bar", "7", "0", 0o444), held("s", "/run/secrets/foo", "0", "0", 0o400)];
    assert_eq!(target.held("web"), expected);
}

/// docker/cli `ParseSecrets`.
fn one_target_twice(target: &Target) {
    target.create("a", &[]);
    target.create("b", &[]);
    target.service_create("web", &["a", "a"]).fails("duplicate secret target for a not allowed");
    target.service_create("web", &["a", "source=b,target=a"]).fails("duplicate secret target for b not allowed");
    target.service_update("web", &[]).fails("web");
}

/// We differ: Docker compares the texts, and one secret silently hides the other. We compare the places.
fn one_target_in_two_spellings(target: &Target) {
    target.create("a", &[]);
    target.create("b", &[]);
    let spellings = [["a", "source=b,target=/run/secrets/a"], ["a", "source=b,target=./a"]];
    for (number, secrets) in spellings.iter().enumerate() {
        let ran = target.service_create(&format!("web{number}"), secrets);
        if target.is_swarm() {
            ran.ok();
        } else {
            ran.fails("duplicate secret target for b not allowed");
        }
    }
    // One below the other cannot both be files.
    let ran = target.service_create("below", &["a", "source=b,target=a/b"]);
    if target.is_swarm() {
        ran.ok();
    } else {
        ran.fails("secret references 'a' and 'b' have a conflicting target: '/run/secrets/a/b'");
    }
}

/// TestSecretValidation: what the manager says when only it can see the conflict.
fn an_update_that_conflicts(target: &Target) {
    target.create("a", &[]);
    target.create("b", &[]);
    target.service_create("web", &["a"]).ok();
    let shown = if target.is_swarm() { "a" } else { "/run/secrets/a" };
    target
        .service_update("web", &["--secret-add", "source=b,target=a"])
        .fails(&format!("secret references 'a' and 'b' have a conflicting target: '{shown}'"));
    assert_eq!(target.held("web").len(), 1);
}

/// We differ: `target=` means the source's name to Docker's client; to us it is a mistake.
fn a_blank_target(target: &Target) {
    target.create("s", &[]);
    let ran = target.service_create("web", &["source=s,target="]);
    if target.is_swarm() {
        ran.ok();
        assert_eq!(target.held("web"), [held("s", "/run/secrets/s", "0", "0", 0o444)]);
    } else {
        ran.misused("invalid target ''");
    }
}

/// We differ: Docker reads `444` as a decimal number, which is mode 0674 (swarmkit#3190), and drops bits above 0777 when
/// it delivers. To us a mode is octal however it is written, and at most 0777.
fn modes(target: &Target) {
    target.create("s", &[]);
    let swarm = target.is_swarm();
    for (number, (text, docker, ours)) in
        [("0440", 0o440, 0o440), ("0o400", 0o400, 0o400), ("0777", 0o777, 0o777), ("444", 444, 0o444), ("0", 0, 0)]
            .iter()
            .enumerate()
    {
        let name = format!("web{number}");
        target.service_create(&name, &[&format!("source=s,mode={text}")]).ok();
        assert_eq!(target.held(&name)[0].4, if swarm { *docker } else { *ours }, "mode={text}");
    }
    for (number, (text, docker)) in [("04755", 0o4755), ("0x1ff", 0x1ff), ("1000", 1000)].iter().enumerate() {
        let name = format!("wide{number}");
        let ran = target.service_create(&name, &[&format!("source=s,mode={text}")]);
        if swarm {
            ran.ok();
            assert_eq!(target.held(&name)[0].4, *docker, "mode={text}");
        } else {
            ran.misused("invalid mode specified: ");
        }
    }
    target.service_create("bad", &["source=s,mode=abc"]).misused("invalid mode specified: ");
    target.service_create("bad", &["source=s,mode="]).misused("invalid mode specified: ");
}

/// Both take a name. Docker then cannot start the task (`strconv.Atoi: parsing "www-data"`); we look it up in the container.
fn an_owner_by_name(target: &Target) {
    target.create("s", &[]);
    target.service_create("web", &["source=s,uid=www-data,gid=ssl-cert"]).ok();
    assert_eq!(target.held("web"), [held("s", "/run/secrets/s", "www-data", "ssl-cert", 0o444)]);
}

fn bad_syntax_sends_nothing(target: &Target) {
    target.create("s", &[]);
    for (text, words) in [
        ("source=s,foo=b", "invalid field in secret request: foo"),
        ("source=s,b", "invalid field 'b' must be a key=value pair"),
        ("target=b", "source is required"),
        ("source=", "source is required"),
    ] {
        target.service_create("web", &[text]).misused(words);
    }
    assert_eq!(target.service_create("web", &["\"source=s"]).code, 125);
    assert_eq!(target.service_create("web", &[""]).code, 125);
    target.service_remove("web").fails("service web not found");
}

fn a_secret_that_is_not_there(target: &Target) {
    target.create("s", &[]);
    target.service_create("web", &["s", "nope"]).fails("secret not found: nope");
    target.service_create("web", &["s"]).ok();
    target.service_update("web", &["--secret-add", "nope"]).fails("secret not found: nope");
    assert_eq!(target.held("web").len(), 1);
}

/// TestServiceUpdateSecrets.
fn add_and_remove(target: &Target) {
    target.create("s", &[]);
    target.service_create("web", &[]).ok();
    assert_eq!(target.held("web"), []);
    assert_eq!(target.service_update("web", &["--secret-add", "source=s,target=/etc/s,mode=0400"]).ok(), "web");
    assert_eq!(target.held("web"), [held("s", "/etc/s", "0", "0", 0o400)]);
    // A secret that the service does not have is no error.
    target.service_update("web", &["--secret-rm", "other"]).ok();
    target.service_update("web", &["--secret-rm", "s"]).ok();
    assert_eq!(target.held("web"), []);
}

/// TestUpdateSecretUpdateInPlace: what is taken away goes first, so one update moves a secret.
fn update_in_place(target: &Target) {
    target.create("a", &[]);
    target.create("b", &[]);
    target.service_create("web", &["a", "b"]).ok();
    target.service_update("web", &["--secret-rm", "a", "--secret-add", "source=a,target=moved"]).ok();
    assert_eq!(
        target.held("web"),
        [held("b", "/run/secrets/b", "0", "0", 0o444), held("a", "/run/secrets/moved", "0", "0", 0o444)]
    );
}

/// TestRemoveUsedSecret, TestRemoveUnusedSecret; the document's example: refused while in use, fine once revoked.
fn in_use(target: &Target) {
    target.create("s", &[]);
    target.service_create("one", &["s"]).ok();
    target.secret(&["rm", "s"]).fails("secret 's' is in use by the following service: one");
    target.service_create("two", &["s"]).ok();
    let refused = target.secret(&["rm", "s"]).fails("secret 's' is in use by the following services: ");
    assert!(refused.err.contains("one, two") || refused.err.contains("two, one"), "{refused:?}");
    assert_eq!(target.secret(&["ls", "--format", "{{.Name}}"]).ok(), "s");
    target.service_update("one", &["--secret-rm", "s"]).ok();
    target.service_remove("two").ok();
    assert_eq!(target.secret(&["rm", "s"]).ok(), "s");
}

/// As a secret's; but unlike a secret a service is found by its name in its own case only.
fn a_service_name_is_unique_without_case(target: &Target) {
    target.create("s", &[]);
    target.service_create("Web", &["s"]).ok();
    target.service_create("weB", &["s"]).fails("service weB already exists");
    target.service_update("WEB", &["--secret-rm", "s"]).fails("service WEB not found");
    target.service_remove("web").fails("service web not found");
    assert_eq!(target.held("Web").len(), 1);
}
