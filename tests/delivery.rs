//! Secrets in real containers: where they stand, whose they are, what is refused, and that nothing is left.
//! What happens at the end of a container is in `scrub.rs`, hostile images are in `cves.rs`.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod testbed;

use testbed::{Bed, Bundle, Canary, Rootfs, Runtime};

on_each_runtime!(
    a_secret_is_where_docker_puts_it,
    one_secret_at_two_places_has_two_owners_and_modes,
    a_read_only_root_gets_its_secrets,
    owners_are_the_containers_own_in_a_user_namespace,
    owners_may_be_named_by_the_containers_own_files,
    the_operator_may_claim_by_argument,
    a_container_without_a_claim_does_not_need_the_agent,
    a_service_without_grants_gives_nothing_and_refuses_nothing,
    what_is_mounted_below_stays_visible,
    a_volume_on_the_directory_stays_alive,
    a_read_only_mount_on_the_directory_stays_visible,
    files_of_the_image_stay_visible,
    a_tmpfs_on_run_is_no_obstacle,
    the_value_is_nowhere_else,
    every_kind_of_byte_and_size_arrives,
    a_hook_that_is_registered_twice_delivers_once,
    kernels_without_noswap_get_ramfs,
);

fn a_secret_is_where_docker_puts_it(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("my-secret", b"this is a demo secret\n");
    bed.service("redis", &["my-secret"]);
    let container = bed.start(&bed.bundle("redis"));
    let listing = container.exec(&["ls", "-ln", "/run/secrets"]);
    let line = listing.lines().last().unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[..5], ["-r--r--r--", "1", "0", "0", "22"], "{listing}");
    assert_eq!(fields[8], "my-secret");
    assert_eq!(container.exec(&["cat", "/run/secrets/my-secret"]), "this is a demo secret\n");

    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    let mount = mounts.lines().find(|line| line.contains(" /run/secrets ")).unwrap();
    for option in ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "noswap"] {
        assert!(mount.split([' ', ',']).any(|word| word == option), "no {option} in {mount}");
    }
    assert!(mount.contains(" - tmpfs runsecrets "), "{mount}");
    for command in ["echo x > /run/secrets/my-secret", "rm /run/secrets/my-secret", "touch /run/secrets/new"] {
        assert!(!container.try_exec(&["sh", "-c", command]).status.success(), "{command}");
    }
}

fn one_secret_at_two_places_has_two_owners_and_modes(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service(
        "web",
        &["source=key,target=one,uid=1000,gid=1001,mode=0400", "source=key,target=/etc/deep/er/two,mode=640"],
    );
    let container = bed.start(&bed.bundle("web"));
    let stat = |path: &str| container.exec(&["stat", "-c", "%u:%g %a", path]);
    assert_eq!(stat("/run/secrets/one"), "1000:1001 400\n");
    assert_eq!(stat("/etc/deep/er/two"), "0:0 640\n");
    assert_eq!(stat("/run/secrets"), "0:0 755\n");
    assert_eq!(stat("/etc/deep"), "0:0 755\n");
    assert!(!container.exec(&["ls", "/run/secrets"]).contains("two"));
}

fn a_read_only_root_gets_its_secrets(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key", "source=key,target=/etc/app/key"]);
    let container = bed.start(&bed.bundle("web").read_only());
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/etc/app/key"]), "kk");
    assert!(!container.try_exec(&["touch", "/etc/x"]).status.success());
}

fn owners_are_the_containers_own_in_a_user_namespace(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["source=key,uid=7,gid=8,mode=0440", "source=key,target=/etc/app/key"]);
    let container = bed.start(&bed.bundle("web").in_user_namespace());
    let stat = |path: &str| container.exec(&["stat", "-c", "%u:%g %a", path]);
    assert_eq!(stat("/run/secrets/key"), "7:8 440\n");
    for path in ["/run/secrets", "/etc/app"] {
        assert_eq!(stat(path), "0:0 755\n", "{path}");
    }
    assert_eq!(container.exec(&["cat", "/etc/app/key"]), "k");
    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    assert!(mounts.lines().any(|line| line.contains(" /run/secrets ") && line.contains("noswap")), "{mounts}");
    container.stop();
    // An owner that the namespace has no place for.
    bed.service("far", &["source=key,uid=70000"]);
    bed.refuse(&bed.bundle("far").in_user_namespace(), "uid 70000 has no place in the container's user namespace");
}

fn owners_may_be_named_by_the_containers_own_files(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["source=key,uid=www-data,gid=ssl-cert,mode=0440"]);
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["stat", "-c", "%u:%g", "/run/secrets/key"]), "33:109\n");
    container.stop();
    bed.service("wrong", &["source=key,uid=nginx"]);
    bed.refuse(&bed.bundle("wrong"), "user 'nginx' is not in the container's own passwd file");
    let bundle = bed.bundle("web");
    std::fs::remove_file(bundle.rootfs.path("etc/passwd")).unwrap();
    bed.refuse(&bundle, "cannot read etc/passwd in the container");
}

fn the_operator_may_claim_by_argument(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let bundle = || Bundle::new(Rootfs::busybox()).hooked_with(&bed.place.run(), &["--service", "web"]);
    let container = bed.start(&bundle());
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    container.stop();
    bed.refuse(&bundle().claiming("other"), "argument says service 'web' and the container's annotation says 'other'");
}

fn a_container_without_a_claim_does_not_need_the_agent(runtime: Runtime) {
    let mut bed = Bed::new(runtime);
    bed.agent.stop();
    let bundle = Bundle::new(Rootfs::busybox()).hooked(&bed.place.run());
    let container = bed.start(&bundle);
    assert!(!container.try_exec(&["ls", "/run/secrets"]).status.success());
    container.stop();
    assert!(!std::fs::read_to_string(bundle.path().join("err")).unwrap().contains("runsecrets"));
}

fn a_service_without_grants_gives_nothing_and_refuses_nothing(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.service("empty", &[]);
    let container = bed.start(&bed.bundle("empty"));
    assert!(!container.try_exec(&["ls", "/run/secrets"]).status.success());
    bed.holds_nothing();
}

fn what_is_mounted_below_stays_visible(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key", "source=key,target=kubernetes.io/serviceaccount/extra"]);
    let account = tempfile::tempdir().unwrap();
    std::fs::write(account.path().join("token"), "theirs").unwrap();
    let at = "/run/secrets/kubernetes.io/serviceaccount";
    let bundle = bed.bundle("web").mounting(at, "bind", account.path().to_str().unwrap(), &["rbind", "rw"]);
    let container = bed.start(&bundle);
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    assert_eq!(container.exec(&["cat", &format!("{at}/token"), &format!("{at}/extra")]), "theirsk");
}

fn a_volume_on_the_directory_stays_alive(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let volume = tempfile::tempdir().unwrap();
    std::fs::write(volume.path().join("theirs"), "v").unwrap();
    let bundle = bed.bundle("web").mounting("/run/secrets", "bind", volume.path().to_str().unwrap(), &["rbind", "rw"]);
    let container = bed.start(&bundle);
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/run/secrets/theirs"]), "kv");
    container.exec(&["touch", "/run/secrets/new"]);
    assert!(volume.path().join("new").exists());
    assert!(!container.try_exec(&["sh", "-c", "echo x > /run/secrets/key"]).status.success());
}

fn a_read_only_mount_on_the_directory_stays_visible(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let theirs = tempfile::tempdir().unwrap();
    std::fs::create_dir(theirs.path().join("dir")).unwrap();
    std::fs::write(theirs.path().join("dir/a"), "a").unwrap();
    std::fs::write(theirs.path().join("b"), "b").unwrap();
    let bundle = bed.bundle("web").mounting("/run/secrets", "bind", theirs.path().to_str().unwrap(), &["rbind", "ro"]);
    let container = bed.start(&bundle);
    let all = container.exec(&["cat", "/run/secrets/key", "/run/secrets/dir/a", "/run/secrets/b"]);
    assert_eq!(all, "kab");
}

fn files_of_the_image_stay_visible(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let bundle = bed.bundle("web");
    std::fs::create_dir(bundle.rootfs.path("run/secrets")).unwrap();
    std::fs::write(bundle.rootfs.path("run/secrets/own"), "image").unwrap();
    let before = bundle.listing();
    let container = bed.start(&bundle);
    assert_eq!(container.exec(&["cat", "/run/secrets/key", "/run/secrets/own"]), "kimage");
    container.stop();
    assert_eq!(bundle.listing(), before);
}

fn a_tmpfs_on_run_is_no_obstacle(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let container = bed.start(&bed.bundle("web").mounting("/run", "tmpfs", "tmpfs", &["mode=755"]));
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
}

fn the_value_is_nowhere_else(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let canary = Canary::new();
    bed.secret("key", canary.value().as_bytes());
    bed.service("web", &["key", "source=key,target=/etc/app/key,mode=0400"]);
    let bundle = bed.bundle("web");
    let container = bed.start(&bundle);
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), canary.value());
    let everywhere = || {
        canary.is_nowhere_in(&[bed.place.path(""), bundle.path(), bundle.rootfs.path("")]);
        canary.is_in_no_process();
        assert!(!canary.is_in(bed.agent.log.text().as_bytes()));
        for arguments in [&["secret", "inspect", "key"][..], &["service", "inspect", "web"], &["ps"], &["secret", "ls"]]
        {
            assert!(!canary.is_in(&bed.cli(arguments).stdout), "{arguments:?}");
        }
    };
    everywhere();
    container.stop();
    everywhere();
}

fn every_kind_of_byte_and_size_arrives(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let all: Vec<u8> = (0..=255).collect();
    let largest: Vec<u8> = all.iter().cycle().take(511_999).copied().collect();
    bed.secret("one", b"\0");
    bed.secret("all", &all);
    bed.secret("largest", &largest);
    bed.service("web", &["one", "all", "largest"]);
    let container = bed.start(&bed.bundle("web"));
    for (name, value) in [("one", &b"\0"[..]), ("all", &all), ("largest", &largest)] {
        let output = container.try_exec(&["cat", &format!("/run/secrets/{name}")]);
        assert!(output.stdout == value, "{name} differs");
    }
}

fn a_hook_that_is_registered_twice_delivers_once(runtime: Runtime) {
    let bed = Bed::new(runtime);
    bed.secret("key", b"k");
    bed.service("web", &["key"]);
    let mut bundle = bed.bundle("web");
    let hook = bundle.config["hooks"]["createRuntime"][0].clone();
    bundle.config["hooks"]["createRuntime"].as_array_mut().unwrap().push(hook.clone());
    bundle.config["hooks"]["prestart"] = serde_json::json!([hook]);
    let container = bed.start(&bundle);
    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    assert_eq!(mounts.lines().filter(|line| line.contains(" /run/secrets ")).count(), 1, "{mounts}");
    container.stop();
    bed.holds_nothing();
}

fn kernels_without_noswap_get_ramfs(runtime: Runtime) {
    let bed = Bed::configured(runtime, "[delivery]\nfilesystem = \"ramfs\"\n");
    bed.secret("key", b"k");
    bed.service("web", &["key", "source=key,target=/etc/app/key,uid=5,mode=0400"]);
    let container = bed.start(&bed.bundle("web"));
    assert_eq!(container.exec(&["cat", "/run/secrets/key"]), "k");
    let mounts = container.exec(&["cat", "/proc/self/mountinfo"]);
    assert!(mounts.lines().any(|line| line.contains(" /run/secrets ") && line.contains(" - ramfs ")), "{mounts}");
    assert!(bed.cli_ok(&["ps"]).contains("ramfs"));
    container.stop();
    bed.holds_nothing();
}
