//! podman with our files of `hooks/` in its hooks.d: secrets through the whole life of its containers.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use testbed::podman::IMAGE;
use testbed::{Bed, Canary, Podman, Runtime, program};

on_each_runtime!(
    an_annotated_container_has_its_secrets,
    a_container_that_is_stopped_and_started_again_has_them_again,
    images_exports_and_files_of_podman_hold_nothing,
    changes_reach_a_running_container,
    secrets_leave_a_container_and_a_command_tells_it_of_changes,
    a_read_only_root_gets_its_secrets,
    owners_are_the_containers_own_in_a_user_namespace,
    owners_are_the_containers_own_where_podman_chooses_its_ids,
    a_health_check_reads_a_secret,
    containers_of_a_pod_have_their_own,
    a_pod_with_an_infra_container_shares_no_secrets,
    files_can_be_copied_in_and_out,
    an_unknown_service_is_refused_in_our_words,
    an_image_claims_only_where_podman_passes_annotations_on,
    a_hook_that_is_missing_starts_the_container_without_its_secrets,
);

const WEB: &str = "io.runsecrets.service=web";

fn web(runtime: Runtime, value: &[u8]) -> (Bed, Podman) {
    let bed = Bed::new(runtime);
    bed.secret("key", value);
    bed.service("web", &["key", "source=key,target=/etc/app/key,uid=7,gid=8,mode=0440"]);
    let podman = Podman::new(runtime, &bed.place.run());
    (bed, podman)
}

fn an_annotated_container_has_its_secrets(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    podman.start("plain", &[]).unwrap();
    assert!(!podman.run(&["exec", "plain", "ls", "/run/secrets/key"]).status.success());
    podman.start("web", &["--annotation", WEB]).unwrap();
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    assert_eq!(podman.exec("web", &["stat", "-c", "%u:%g %a", "/etc/app/key"]), "7:8 440\n");
    let id = podman.ok(&["inspect", "--format", "{{.Id}}", "web"]);
    bed.ps_until(&["ps", "--quiet", "--no-trunc"], |said| said == id);
    podman.remove("web");
    bed.holds_nothing();
}

fn a_container_that_is_stopped_and_started_again_has_them_again(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    podman.start("web", &["--annotation", WEB]).unwrap();
    assert!(podman.ok(&["diff", "web"]).contains("A /etc/app"));
    podman.ok(&["stop", "--time", "0", "web"]);
    podman.ok(&["wait", "--condition", "exited", "web"]);
    bed.holds_nothing();
    // No mount point is left: a directory in which one was made counts as changed.
    let left = podman.ok(&["diff", "web"]);
    assert!(left.lines().all(|line| line.starts_with("C ")), "{left}");
    podman.ok(&["start", "web"]);
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    podman.ok(&["restart", "--time", "0", "web"]);
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    bed.ps_until(&["ps", "--quiet"], |said| said.lines().count() == 1);
    podman.remove("web");
    bed.holds_nothing();
}

fn images_exports_and_files_of_podman_hold_nothing(runtime: Runtime) {
    let canary = Canary::new();
    let (bed, podman) = web(runtime, canary.value().as_bytes());
    podman.start("web", &["--annotation", WEB]).unwrap();
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key"]), canary.value());
    podman.ok(&["commit", "web", "localhost/committed"]);
    let [image, container] = ["image.tar", "container.tar"].map(|name| podman.path(name));
    podman.ok(&["save", "--output", image.to_str().unwrap(), "localhost/committed"]);
    podman.ok(&["export", "--output", container.to_str().unwrap(), "web"]);
    for file in [&image, &container] {
        assert!(std::fs::metadata(file).unwrap().len() > 100_000);
        canary.is_nowhere_in(std::slice::from_ref(file));
    }
    for words in [&["inspect", "web"][..], &["logs", "web"], &["events", "--stream=false"], &["diff", "web"]] {
        let output = podman.run(words);
        assert!(output.status.success(), "{words:?}: {}", testbed::words(&output));
        assert!(!canary.is_in(&output.stdout) && !canary.is_in(&output.stderr), "{words:?}");
    }
    canary.is_nowhere_in(&podman.places());
    canary.is_in_no_process();
    // What was committed runs, and has nothing of it.
    podman.ok(&["run", "--name", "copy", "localhost/committed", "sh", "-c", "! cat /run/secrets/key"]);
    podman.remove("web");
    canary.is_nowhere_in(&podman.places());
    bed.holds_nothing();
}

fn changes_reach_a_running_container(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    podman.start("web", &["--annotation", WEB]).unwrap();
    bed.cli_given(&["secret", "update", "key", "-"], b"new");
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "newnew");
    bed.cli_ok(&["secret", "rollback", "key"]);
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    bed.secret("other", b"o");
    bed.cli_ok(&["service", "update", "web", "--secret-rm", "key", "--secret-add", "source=other,target=/etc/other"]);
    assert_eq!(podman.exec("web", &["cat", "/etc/other"]), "o");
    assert_eq!(podman.exec("web", &["ls", "-A", "/run/secrets"]), "");
    podman.remove("web");
    bed.holds_nothing();
}

fn a_read_only_root_gets_its_secrets(runtime: Runtime) {
    let (_bed, podman) = web(runtime, b"k");
    podman.start("web", &["--annotation", WEB, "--read-only"]).unwrap();
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    assert!(!podman.run(&["exec", "web", "touch", "/etc/x"]).status.success());
}

fn owners_are_the_containers_own_in_a_user_namespace(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    podman.start("web", &["--annotation", WEB, "--uidmap", "0:100000:65536"]).unwrap();
    assert_eq!(podman.exec("web", &["cat", "/proc/self/uid_map"]).split_whitespace().nth(1), Some("100000"));
    assert_eq!(podman.exec("web", &["stat", "-c", "%u:%g %a", "/run/secrets/key"]), "0:0 444\n");
    assert_eq!(podman.exec("web", &["stat", "-c", "%u:%g %a", "/etc/app/key"]), "7:8 440\n");
    assert_eq!(podman.exec("web", &["stat", "-c", "%u:%g %a", "/etc/app"]), "0:0 755\n");
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/key"]), "k");
    podman.remove("web");
    bed.holds_nothing();
}

/// `--userns=auto`: podman takes a free range of the user `containers`, here of a file that no other podman sees.
fn owners_are_the_containers_own_where_podman_chooses_its_ids(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    for file in ["/etc/subuid", "/etc/subgid"] {
        podman.write(file, "containers:300000:200000\n");
    }
    // Since shadow 4.17 a range is a user's that is there.
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    podman.write("/etc/passwd", &format!("{users}containers:x:64999:64999::/nonexistent:/usr/sbin/nologin\n"));
    podman.start("first", &["--annotation", WEB, "--userns=auto"]).unwrap();
    podman.start("second", &["--annotation", WEB, "--userns=auto:size=2048"]).unwrap();
    let first = podman.exec("first", &["cat", "/proc/self/uid_map"]);
    let second = podman.exec("second", &["cat", "/proc/self/uid_map"]);
    assert!(first != second && second.contains("2048"), "{first} {second}");
    for name in ["first", "second"] {
        let map = podman.exec(name, &["cat", "/proc/self/uid_map"]);
        let start: u32 = map.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!((300_000..500_000).contains(&start), "{map}");
        assert_eq!(podman.exec(name, &["stat", "-c", "%u:%g %a", "/run/secrets/key"]), "0:0 444\n");
        assert_eq!(podman.exec(name, &["stat", "-c", "%u:%g %a", "/etc/app/key"]), "7:8 440\n");
        assert_eq!(podman.exec(name, &["cat", "/run/secrets/key"]), "k");
        podman.remove(name);
    }
    bed.holds_nothing();
}

fn a_health_check_reads_a_secret(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    // Without systemd nobody runs it but us.
    let check = ["--health-cmd", "grep -q k /run/secrets/key", "--health-interval=disable"];
    podman.start("web", &[&["--annotation", WEB], &check[..]].concat()).unwrap();
    podman.start("plain", &check).unwrap();
    assert_eq!(podman.run(&["healthcheck", "run", "web"]).status.code(), Some(0));
    assert_eq!(podman.run(&["healthcheck", "run", "plain"]).status.code(), Some(1));
    podman.remove("web");
    bed.holds_nothing();
}

/// With an infra container that podman makes of catatonit, and with one of another image. It holds the namespaces of the
/// pod, and what one container claims is no other's.
fn a_pod_with_an_infra_container_shares_no_secrets(runtime: Runtime) {
    program("catatonit", "catatonit");
    let (bed, podman) = web(runtime, b"k");
    for infra in [&[][..], &["--infra-image", IMAGE, "--infra-command", "sleep 1000"]] {
        podman.ok(&[&["pod", "create", "--name", "pod", "--infra-name", "infra"], infra].concat());
        podman.start("web", &["--pod", "pod", "--annotation", WEB]).unwrap();
        podman.start("plain", &["--pod", "pod"]).unwrap();
        assert_eq!(podman.exec("web", &["cat", "/run/secrets/key"]), "k");
        assert!(!podman.run(&["exec", "plain", "ls", "/run/secrets/key"]).status.success());
        let pid = podman.ok(&["inspect", "--format", "{{.State.Pid}}", "infra"]);
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", pid.trim_end())).unwrap();
        assert!(mounts.contains(" / / ") && !mounts.contains("/run/secrets"), "{mounts}");
        // The pod is stopped and started as a whole.
        podman.ok(&["pod", "stop", "--time", "0", "pod"]);
        bed.holds_nothing();
        podman.ok(&["pod", "start", "pod"]);
        assert_eq!(podman.exec("web", &["cat", "/run/secrets/key"]), "k");
        podman.ok(&["pod", "rm", "--force", "--time", "0", "pod"]);
        bed.holds_nothing();
    }
}

fn containers_of_a_pod_have_their_own(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    bed.secret("other", b"o");
    bed.service("db", &["other"]);
    // Without an infra container.
    podman.ok(&["pod", "create", "--infra=false", "--name", "pod"]);
    podman.start("web", &["--pod", "pod", "--annotation", WEB]).unwrap();
    podman.start("db", &["--pod", "pod", "--annotation", "io.runsecrets.service=db"]).unwrap();
    assert_eq!(podman.exec("web", &["ls", "/run/secrets"]), "key\n");
    assert_eq!(podman.exec("db", &["ls", "/run/secrets"]), "other\n");
    assert_eq!(podman.exec("db", &["cat", "/run/secrets/other"]), "o");
    podman.ok(&["pod", "stop", "--time", "0", "pod"]);
    podman.ok(&["pod", "rm", "--force", "pod"]);
    bed.holds_nothing();
}

fn files_can_be_copied_in_and_out(runtime: Runtime) {
    let (_bed, podman) = web(runtime, b"k");
    podman.start("web", &["--annotation", WEB]).unwrap();
    let file = podman.path("file");
    std::fs::write(&file, "copied").unwrap();
    podman.ok(&["cp", file.to_str().unwrap(), "web:/tmp/file"]);
    assert_eq!(podman.exec("web", &["cat", "/tmp/file", "/run/secrets/key"]), "copiedk");
    podman.ok(&["cp", "web:/tmp/file", podman.path("back").to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(podman.path("back")).unwrap(), "copied");
}

/// runc quotes what a hook says; crun only writes it where an annotation tells it to.
fn an_unknown_service_is_refused_in_our_words(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    let file = podman.path("said");
    let shown = format!("run.oci.hooks.stderr={}", file.display());
    let options = ["--annotation", "io.runsecrets.service=nobody", "--annotation", &shown];
    let mut said = podman.start("web", &options).unwrap_err();
    if runtime == Runtime::Crun {
        said = std::fs::read_to_string(file).unwrap();
    }
    assert!(said.contains("runsecrets-hook: ") && said.contains("nobody"), "{said}");
    assert_eq!(podman.ok(&["ps", "--quiet"]), "");
    bed.holds_nothing();
}

/// podman 4.3 gives a container the annotations of its image: why the README names `--require-claim`. podman 5 does not.
fn an_image_claims_only_where_podman_passes_annotations_on(runtime: Runtime) {
    let (bed, podman) = web(runtime, b"k");
    bed.cli_ok(&["service", "create", "--name", "db", "--secret", "key", "--require-claim"]);
    std::fs::write(podman.path("Containerfile"), format!("FROM {IMAGE}\n")).unwrap();
    let file = podman.path("Containerfile");
    for service in ["web", "db"] {
        let annotation = format!("io.runsecrets.service={service}");
        let words = ["build", "--pull=never", "--annotation", &annotation, "--tag", service, "--file"];
        podman.ok(&[&words[..], &[file.to_str().unwrap(), podman.path("hooks.d").to_str().unwrap()]].concat());
    }
    let cat = |image: &str| podman.run(&["run", image, "cat", "/run/secrets/key"]);
    if podman.major() >= 5 {
        for image in ["localhost/web", "localhost/db"] {
            let said = testbed::words(&cat(image));
            assert!(said.contains("can't open '/run/secrets/key': No such file"), "{said}");
        }
    } else {
        assert_eq!(cat("localhost/web").stdout, b"k");
        assert!(!cat("localhost/db").status.success());
    }
    bed.holds_nothing();
}

/// Why the README says to remove the files of hooks.d before the binary: podman does not start here what it should.
fn a_hook_that_is_missing_starts_the_container_without_its_secrets(runtime: Runtime) {
    let (_bed, podman) = web(runtime, b"k");
    let missing = podman.path("missing");
    podman.add_hook("60-runsecrets-create.json", &missing, &missing);
    podman.start("web", &["--annotation", WEB]).unwrap();
    assert!(!podman.run(&["exec", "web", "ls", "/run/secrets/key"]).status.success());
    assert_eq!(podman.run(&["run", IMAGE, "true"]).status.code(), Some(0));
}

/// Ends of grants, the command of the notifier, and what ps says of capabilities, as with a bare runtime.
fn secrets_leave_a_container_and_a_command_tells_it_of_changes(runtime: Runtime) {
    const PROGRAM: &str = "trap 'cat /run/secrets/key > /tmp/told' HUP; while :; do sleep 0.1; done";
    let (bed, podman) = web(runtime, b"one");
    let add =
        ["--secret-add", "source=key,target=once,until=read", "--secret-add", "source=key,target=first,until=healthy"];
    bed.cli_ok(&[&["service", "update", "web"], &add[..]].concat());
    bed.cli_ok(&["service", "update", "web", "--notify-command", "podman busybox kill -HUP 1"]);
    // As packaging/notify.d/podman, for the podman of this test.
    let (directory, inside) = (bed.place.path("notify.d"), podman.inside("podman"));
    let words: Vec<&str> = inside.get_args().map(|word| word.to_str().unwrap()).collect();
    let script = format!(
        "#!/bin/sh\nexec {} {} exec \"$RUNSECRETS_CONTAINER\" \"$@\"\n",
        inside.get_program().to_str().unwrap(),
        words.join(" ")
    );
    std::fs::create_dir(&directory).unwrap();
    testbed::running_agent::set_mode(&directory, 0o755);
    testbed::running_agent::write_program(&directory.join("podman"), &script);
    let mut notifier = std::process::Command::new(testbed::CLI);
    notifier.arg("--run-dir").arg(bed.place.run()).args(["notifier", "--directory"]).arg(&directory);
    let mut notifier = notifier.stdout(std::process::Stdio::null()).spawn().unwrap();

    let options = ["--cap-add", "SYS_ADMIN", "--health-cmd", "cat /run/secrets/key", "--annotation", WEB];
    podman.ok(&[&["run", "--detach", "--name", "web"], &options[..], &[IMAGE, "sh", "-c", PROGRAM]].concat());
    let shown = || bed.cli_ok(&["service", "ps", "--no-trunc", "web"]);
    bed.eventually("it is listed", || shown().contains(" remountable (CAP_SYS_ADMIN)"));
    assert_eq!(podman.exec("web", &["cat", "/run/secrets/once"]), "one");
    bed.eventually("it has been read", || shown().contains("key:1 ended "));
    // A health check that has passed, and whoever watches it for the operator.
    podman.ok(&["healthcheck", "run", "web"]);
    let id = podman.ok(&["inspect", "--format", "{{.Id}}", "web"]);
    bed.cli_ok(&["container", "healthy", id.trim()]);
    bed.eventually("only what stays is there", || podman.exec("web", &["ls", "/run/secrets"]) == "key\n");
    bed.cli_given(&["secret", "update", "key", "-"], b"two");
    bed.eventually("it has read the new value", || {
        podman.exec("web", &["sh", "-c", "cat /tmp/told 2>/dev/null || true"]) == "two"
    });
    bed.eventually("that is said", || shown().contains(" podman exit 0 "));
    let _ = (notifier.kill(), notifier.wait());
    podman.remove("web");
    bed.holds_nothing();
}
