//! What `ps` says that a container may do and its secrets are not safe from: each remark is tried, and so is its absence.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use serde_json::{Value, json};
use testbed::{Bed, Bundle, Container, Rootfs, Runtime};

on_each_runtime!(
    without_a_capability_the_mount_stays_and_nothing_is_said,
    with_cap_sys_admin_the_mount_can_be_changed,
    in_a_user_namespace_of_its_own_too,
    what_can_be_gained_counts,
    who_sees_the_host_reads_what_others_hold,
    who_traces_there_reads_the_agents_memory,
    who_traces_reads_its_own_processes,
    kernel_modules_are_named,
);

const REMOUNT: [&str; 5] = ["mount", "-o", "remount,bind,rw", "none", "/run/secrets"];

fn bed(runtime: Runtime) -> Bed {
    let bed = Bed::new(runtime);
    bed.secret("a", b"aaa");
    bed.service("web", &["a"]);
    bed
}

fn granted(mut bundle: Bundle, sets: &[&str], capabilities: &[&str]) -> Bundle {
    for set in sets {
        let list = bundle.config["process"]["capabilities"][set].as_array_mut().unwrap();
        list.extend(capabilities.iter().map(|name| json!(name)));
    }
    bundle
}

const ALL_SETS: [&str; 3] = ["bounding", "effective", "permitted"];

/// What is said of `container`, in JSON and in the table alike.
fn said(bed: &Bed, container: &Container) -> Vec<String> {
    let listed = || {
        let all = bed.agent.get("/runsecrets/v1/services/web/ps").json();
        all.as_array().unwrap().iter().find(|it| it["Container"] == container.id.as_str()).cloned()
    };
    // It may run before its delivery has been taken note of.
    bed.eventually("it is listed", || listed().is_some());
    let its = listed().unwrap();
    let list: Vec<String> =
        its["Weaknesses"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    let protection = its["Protection"].as_str().unwrap();
    let line = [&[protection.to_owned()], list.as_slice()].concat().join(", ");
    let shown = bed.cli_ok(&["service", "ps", "--format", "{{.Container}} {{.Protection}}", "web"]);
    assert!(shown.lines().any(|it| it == format!("{} {line}", container.id)), "{line} not in: {shown}");
    list
}

fn without_a_capability_the_mount_stays_and_nothing_is_said(runtime: Runtime) {
    let bed = bed(runtime);
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(said(&bed, &container), [] as [&str; 0]);
    assert!(!container.try_exec(&REMOUNT).status.success());
    assert!(!container.try_exec(&["umount", "/run/secrets"]).status.success());
    assert!(!container.try_exec(&["sh", "-c", "echo x > /run/secrets/a"]).status.success());
}

fn can_change_the_mount(bed: &Bed, container: &Container) {
    assert_eq!(said(bed, container), ["remountable (CAP_SYS_ADMIN)"]);
    assert!(!container.try_exec(&["sh", "-c", "echo x > /run/secrets/a"]).status.success(), "it is read-only at first");
    container.exec(&REMOUNT);
    container.exec(&["sh", "-c", "echo x > /run/secrets/a"]);
    assert_eq!(container.exec(&["cat", "/run/secrets/a"]), "x\n");
    container.exec(&["umount", "/run/secrets"]);
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "");
}

fn with_cap_sys_admin_the_mount_can_be_changed(runtime: Runtime) {
    let bed = bed(runtime);
    let container = bed.start(&granted(bed.bundle("web"), &ALL_SETS, &["CAP_SYS_ADMIN"]));
    can_change_the_mount(&bed, &container);
    // What it did is done to its own copy.
    let other = bed.start(&bed.bundle("web"));
    assert_eq!(other.exec(&["cat", "/run/secrets/a"]), "aaa");
}

fn in_a_user_namespace_of_its_own_too(runtime: Runtime) {
    let bed = bed(runtime);
    let bundle = bed.bundle("web").in_user_namespace();
    let container = bed.start(&granted(bundle, &ALL_SETS, &["CAP_SYS_ADMIN"]));
    can_change_the_mount(&bed, &container);
}

fn what_can_be_gained_counts(runtime: Runtime) {
    let bed = bed(runtime);
    let rootfs = Rootfs::busybox().with_program("setpriv", "util-linux");
    let gain = testbed::program("setpriv", "util-linux");
    testbed::running_agent::set_mode(&rootfs.path(gain.strip_prefix("/").unwrap().to_str().unwrap()), 0o4755);
    let bundle = Bundle::new(rootfs).hooked(&bed.place.run()).claiming("web");
    let mut bundle = granted(bundle, &["bounding"], &["CAP_SYS_ADMIN"]);
    bundle.config["process"]["noNewPrivileges"] = json!(false);
    bundle.config["process"]["user"] = json!({"uid": 33, "gid": 33});
    // By a program that is root's for everybody, as images have them; not by itself.
    let remount = REMOUNT.join(" ");
    let tries = format!("{remount}; echo $?; {} --reuid 0 {remount}; echo $?; exec sleep 1000", gain.display());
    bundle.config["process"]["args"] = json!(["sh", "-c", tries]);
    let container = bed.start(&bundle);
    assert_eq!(said(&bed, &container), ["remountable (CAP_SYS_ADMIN)"]);
    bed.eventually("it has tried twice", || container.output().lines().count() == 2);
    assert_eq!(container.output(), "1\n0\n");
    assert!(container.exec(&["cat", "/proc/self/mountinfo"]).contains("/run/secrets rw,"));
    container.stop();
    // Nothing in there can gain it, but what the runtime lets in may.
    bundle.config["process"]["noNewPrivileges"] = json!(true);
    bundle.config["process"]["user"] = json!({"uid": 0, "gid": 0});
    let container = bed.start(&bundle);
    assert_eq!(said(&bed, &container), ["remountable (CAP_SYS_ADMIN)"]);
    let gains_none = container.exec(&["cat", "/proc/self/status"]).contains("NoNewPrivs:\t1");
    assert_eq!(gains_none, runtime == Runtime::Runc);
    assert_eq!(container.try_exec(&REMOUNT).status.success(), !gains_none);
}

fn who_sees_the_host_reads_what_others_hold(runtime: Runtime) {
    let bed = bed(runtime);
    let other = bed.start(&bed.bundle("web"));
    let container = bed.start(&bed.bundle("web").sharing("pid"));
    assert_eq!(said(&bed, &container), ["sees the host's processes (pid=host)"]);
    let theirs = format!("/proc/{}/root/run/secrets/a", other.pid());
    assert_eq!(container.exec(&["cat", &theirs]), "aaa");
    let agents = format!("/proc/{}/maps", bed.agent.pid());
    assert!(!container.try_exec(&["cat", &agents]).status.success(), "that takes more");
    assert_eq!(said(&bed, &other), [] as [&str; 0]);
    assert!(!other.try_exec(&["stat", &theirs]).status.success());
}

fn who_traces_there_reads_the_agents_memory(runtime: Runtime) {
    let bed = bed(runtime);
    let container = bed.start(&granted(bed.bundle("web").sharing("pid"), &ALL_SETS, &["CAP_SYS_PTRACE"]));
    assert_eq!(said(&bed, &container), ["reads the host's memory (pid=host, CAP_SYS_PTRACE)"]);
    let maps = container.exec(&["cat", &format!("/proc/{}/maps", bed.agent.pid())]);
    let start = maps.lines().find(|line| line.contains("runsecrets-agent")).unwrap().split('-').next().unwrap();
    let page = u64::from_str_radix(start, 16).unwrap() / 4096;
    let memory = format!(
        "busybox dd if=/proc/{}/mem bs=4096 skip={page} count=1 2>/dev/null | busybox od -c -N 4",
        bed.agent.pid()
    );
    assert!(container.exec(&["sh", "-c", &memory]).contains("177   E   L   F"), "the agent's own first page");
}

fn who_traces_reads_its_own_processes(runtime: Runtime) {
    let bed = bed(runtime);
    let rootfs = Rootfs::busybox().with_program("setpriv", "util-linux");
    let setpriv = testbed::program("setpriv", "util-linux");
    let child = format!("OWN=1 {} --reuid 33 --clear-groups /bin/sleep 999 & exec sleep 1000", setpriv.display());
    let bundle = Bundle::new(rootfs).hooked(&bed.place.run()).claiming("web").running(&["sh", "-c", &child]);
    let look = "for p in /proc/[0-9]*; do if [ $(stat -c %u $p) = 33 ]; then cat $p/environ; fi; done";
    let seen = |container: &Container| testbed::words(&container.try_exec(&["sh", "-c", look]));
    let container = bed.start(&bundle);
    assert_eq!(said(&bed, &container), [] as [&str; 0]);
    bed.eventually("it is kept from it", || seen(&container).contains("ermission denied"));
    container.stop();
    let container = bed.start(&granted(bundle, &ALL_SETS, &["CAP_SYS_PTRACE"]));
    assert_eq!(said(&bed, &container), ["reads its processes' memory (CAP_SYS_PTRACE)"]);
    bed.eventually("it reads it", || seen(&container).contains("OWN=1"));
}

/// Not tried: a module in the machine's kernel.
fn kernel_modules_are_named(runtime: Runtime) {
    let bed = bed(runtime);
    let container = bed.start(&granted(bed.bundle("web"), &ALL_SETS, &["CAP_SYS_MODULE"]));
    assert_eq!(said(&bed, &container), ["loads kernel modules (CAP_SYS_MODULE)"]);
    container.stop();
    // In a user namespace it is good for nothing.
    let container = bed.start(&granted(bed.bundle("web").in_user_namespace(), &ALL_SETS, &["CAP_SYS_MODULE"]));
    assert_eq!(said(&bed, &container), [] as [&str; 0]);
    let ps: Value = bed.agent.get("/runsecrets/v1/ps").json();
    assert_eq!(ps[0]["Weaknesses"], json!([]));
}
