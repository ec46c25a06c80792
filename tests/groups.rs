//! Secrets that change together: all of one time for whoever opens the generation directory, and all or none in the store.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::running_agent::base64;
use testbed::{Bed, Container, Runtime};

on_each_runtime!(
    a_certificate_and_its_key_are_never_of_two_times,
    the_current_generation_has_what_is_granted,
    a_new_agent_goes_on_where_the_earlier_one_was,
    an_old_generation_is_emptied_where_it_is_still_open,
    all_are_changed_or_none,
    a_target_in_the_generation_directory_is_refused,
);

const DIRECTORY: &str = "/run/secrets/..current";
/// How often both are replaced under the eyes of a reader.
const FLIPS: usize = 300;

fn bed(runtime: Runtime) -> (Bed, Container) {
    let bed = Bed::configured(runtime, "[delivery]\ngenerations = true\n");
    bed.secret("crt", b"crt 0");
    bed.secret("key", b"key 0");
    bed.service("web", &["crt", "key", "source=key,target=deep/key", "source=key,target=/etc/app/key"]);
    let container = bed.start(&bed.bundle("web"));
    (bed, container)
}

fn seen(container: &Container, target: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{target}", container.pid()))
}

/// What `name` in the directory that `open` is says.
fn read_in(open: &File, name: &str) -> String {
    let path = format!("/proc/self/fd/{}/{name}", open.as_raw_fd());
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn update(bed: &Bed, number: usize) {
    let member = |name: &str| serde_json::json!({"Name": name, "Data": base64(format!("{name} {number}").as_bytes())});
    let body = serde_json::json!({"Secrets": [member("crt"), member("key")]});
    let answer = bed.agent.post("/runsecrets/v1/secrets/update", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!answer.body.contains("Failure"), "{}", answer.body);
}

fn a_certificate_and_its_key_are_never_of_two_times(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    let directory = seen(&container, DIRECTORY);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !stop.load(Ordering::Relaxed) {
                let open = File::open(&directory).unwrap();
                let crt = read_in(&open, "crt");
                let number = crt.strip_prefix("crt ").unwrap();
                assert_eq!(read_in(&open, "key"), format!("key {number}"));
                assert_eq!(read_in(&open, "deep/key"), format!("key {number}"));
                reads += 1;
            }
            reads
        });
        (1..=FLIPS).for_each(|number| update(&bed, number));
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > FLIPS);
    });
    let last = format!("key {FLIPS}").repeat(4);
    let paths = ["/run/secrets/key", "/run/secrets/deep/key", "/etc/app/key", "/run/secrets/..current/key"];
    assert_eq!(container.exec(&[&["cat"][..], &paths].concat()), last);
    assert_eq!(container.exec(&["ls", "-A", "/run/secrets"]), "..current\ncrt\ndeep\nkey\n");
    container.stop();
    bed.holds_nothing();
}

fn the_current_generation_has_what_is_granted(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    assert_eq!(container.exec(&["ls", DIRECTORY]), "crt\ndeep\nkey\n");
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", DIRECTORY]), "0:0 755\n");
    let revoked = File::open(seen(&container, "/run/secrets/..current/key")).unwrap();
    bed.secret("ca", b"ca 0");
    bed.cli_ok(&["service", "update", "web", "--secret-rm", "key", "--secret-add", "source=ca,uid=7,gid=8,mode=0440"]);
    assert_eq!(revoked.metadata().unwrap().len(), 0);
    assert_eq!(container.exec(&["sh", "-c", "cd /run/secrets/..current && ls && cat ca"]), "ca\ncrt\nca 0");
    assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/run/secrets/..current/ca"]), "7:8 440\n");
    bed.cli_given(&["secret", "update", "ca", "-"], b"ca 1");
    assert_eq!(container.exec(&["cat", "/run/secrets/..current/ca", "/run/secrets/ca"]), "ca 1ca 1");
    bed.cli_ok(&["service", "rm", "web"]);
    assert_eq!(container.exec(&["ls", DIRECTORY]), "");
    container.stop();
    bed.holds_nothing();
}

fn a_new_agent_goes_on_where_the_earlier_one_was(runtime: Runtime) {
    let (mut bed, container) = bed(runtime);
    update(&bed, 1);
    for number in 2..5 {
        drop(bed.agent);
        bed.agent = bed.place.start();
        update(&bed, number);
        let paths = ["/run/secrets/..current/crt", "/run/secrets/..current/key", "/run/secrets/key", "/etc/app/key"];
        let expected = format!("crt {number}{}", format!("key {number}").repeat(3));
        assert_eq!(container.exec(&[&["cat"][..], &paths].concat()), expected);
    }
    // What the earlier ones have left went with the next change; what this one has replaced goes in its time.
    bed.eventually("no old generation is left", || {
        container.exec(&["ls", "-A", "/run/secrets"]) == "..current\ncrt\ndeep\nkey\n"
    });
    let open = File::open(seen(&container, "/run/secrets/..current/key")).unwrap();
    container.stop();
    assert_eq!(open.metadata().unwrap().len(), 0);
    bed.holds_nothing();
}

fn an_old_generation_is_emptied_where_it_is_still_open(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    let directory = File::open(seen(&container, DIRECTORY)).unwrap();
    let open = File::open(format!("/proc/self/fd/{}/key", directory.as_raw_fd())).unwrap();
    bed.cli_given(&["secret", "update", "key", "-"], b"key 1");
    // The whole generation can still be read, also what has not changed.
    assert_eq!((read_in(&directory, "crt"), read_in(&directory, "key")), ("crt 0".to_owned(), "key 0".to_owned()));
    bed.eventually("the old value is gone", || open.metadata().unwrap().len() == 0);
    assert_eq!(container.exec(&["cat", "/run/secrets/..current/crt", "/run/secrets/crt"]), "crt 0crt 0");
}

fn all_are_changed_or_none(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    let [crt, key] = ["crt", "key"].map(|name| bed.place.path(name));
    std::fs::write(&crt, "crt 7").unwrap();
    std::fs::write(&key, "key 7").unwrap();
    let [crt, key] = [&crt, &key].map(|path| path.to_str().unwrap());
    let refused = bed.cli(&["secret", "update", "crt", crt, "nobody", key]);
    assert!(testbed::words(&refused).contains("secret nobody not found"), "{}", testbed::words(&refused));
    let refused = bed.cli(&["secret", "update", "crt", crt, "crt", key]);
    assert!(testbed::words(&refused).contains("secret 'crt' is named twice"), "{}", testbed::words(&refused));
    assert_eq!(container.exec(&["cat", "/run/secrets/..current/crt", "/run/secrets/crt"]), "crt 0crt 0");
    assert_eq!(bed.cli_ok(&["secret", "update", "crt", crt, "key", key]), "crt\nkey\n");
    assert_eq!(container.exec(&["cat", "/run/secrets/..current/crt", "/run/secrets/..current/key"]), "crt 7key 7");
    assert_eq!(bed.cli(&["secret", "update", "crt", crt, "key"]).status.code(), Some(1));
}

fn a_target_in_the_generation_directory_is_refused(runtime: Runtime) {
    let (bed, container) = bed(runtime);
    container.stop();
    bed.service("odd", &["source=key,target=..current/key"]);
    bed.refuse(&bed.bundle("odd"), "/run/secrets/..current");
}
