//! config.toml before and after, in each version of its format.
use super::*;

fn wish() -> Wish {
    Wish::default()
}

/// Installs, installs again, takes out again: what the file becomes in between.
fn round_trip(before: &str) -> String {
    let after = install(before, None, 2, &wish()).unwrap().text;
    assert_eq!(install(&after, None, 2, &wish()).unwrap().text, after, "not idempotent");
    if !before.is_empty() {
        assert_eq!(uninstall(&after).unwrap(), before);
    }
    assert_eq!(uninstall(before).unwrap(), before);
    assert_eq!(wrapper(&after).unwrap().as_deref(), Some("/usr/bin/runsecrets-runtime"));
    after
}

#[test]
fn version_1_has_no_full_names() {
    let before = "# mine\noom_score = -999\n\n[plugins.cri]\n  sandbox_image = \"p\" # pause\n";
    let after = format!(
        "{before}\n{MARK}\n[plugins.cri.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n
[plugins.cri.containerd.runtimes.runsecrets]
runtime_type = \"io.containerd.runc.v2\"
pod_annotations = [\"io.runsecrets.*\"]
container_annotations = [\"io.runsecrets.*\"]

[plugins.cri.containerd.runtimes.runsecrets.options]
BinaryName = \"/usr/bin/runsecrets-runtime\"
"
    );
    assert_eq!(round_trip(before), after);
    // The full name is taken, too.
    let full = round_trip("[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"p\"\n");
    assert!(full.contains("[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runsecrets]"), "{full}");
}

#[test]
fn version_2_inherits_the_default_runtime() {
    let before = r#"version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]
      # the usual one
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        # it has notes
        runtime_type = "io.containerd.runc.v2" # and here
        privileged_without_host_devices = true
        pod_annotations = ["a.b"]
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          SystemdCgroup = true

  # the last one
  [plugins."io.containerd.internal.v1.opt"]
    path = "/opt"
# end
"#;
    let ours = r#"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsecrets]
        runtime_type = "io.containerd.runc.v2"
        privileged_without_host_devices = true
        pod_annotations = ["a.b", "io.runsecrets.*"]
        container_annotations = ["io.runsecrets.*"]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsecrets.options]
          SystemdCgroup = true
          BinaryName = "/usr/bin/runsecrets-runtime"
"#;
    let at = before.find("\n  # the last one").unwrap();
    assert_eq!(round_trip(before), format!("{}{ours}{}", &before[..at], &before[at..]));
}

#[test]
fn version_3_and_4_have_the_runtimes_elsewhere() {
    for version in [3, 4] {
        let before = format!(
            "version = {version}\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'own'\n
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.own]\nruntime_type = 'io.containerd.runc.v2'
options = {{ SystemdCgroup = true }}\n"
        );
        let after = format!(
            "{before}
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runsecrets]
runtime_type = \"io.containerd.runc.v2\"
options = {{ SystemdCgroup = true, BinaryName = \"/usr/bin/runsecrets-runtime\" }}
pod_annotations = [\"io.runsecrets.*\"]
container_annotations = [\"io.runsecrets.*\"]
"
        );
        assert_eq!(round_trip(&before), after);
    }
    // From 2.0 on, the runtime that is built in stays.
    assert!(!round_trip("version = 3\n").contains("runtimes.runc]"));
}

#[test]
fn dotted_and_inline_tables_are_read_too() {
    for before in [
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\ncontainerd.runtimes.runc.runtime_type = \"io.containerd.runc.v2\"\ncontainerd.runtimes.runc.options.SystemdCgroup = true\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nruntimes = { runc = { runtime_type = \"io.containerd.runc.v2\", options = { SystemdCgroup = true } } }\n",
    ] {
        let after = round_trip(before);
        let document = tables::read(&after).unwrap();
        let ours =
            tables::table(&document, &["plugins", CRI_2, "containerd", "runtimes", "runsecrets", "options"]).unwrap();
        assert_eq!(ours.get("SystemdCgroup").and_then(Item::as_bool), Some(true), "{after}");
    }
}

#[test]
fn an_empty_file_gets_the_version_of_the_program() {
    let after = install("", None, 3, &wish()).unwrap().text;
    assert!(
        after.starts_with("version = 3\n\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runsecrets]"),
        "{after}"
    );
    assert!(is_blank(&uninstall(&after).unwrap()));
    assert!(round_trip("").starts_with("version = 2\n"));
    assert!(!is_blank("# a comment\nversion = 2\n") && !is_blank("version = 2\nroot = \"/r\"\n"));
}

#[test]
fn a_drop_in_inherits_from_the_main_file() {
    let main = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\noptions = { SystemdCgroup = true }\n";
    assert_eq!(imports(main).unwrap(), ["/etc/containerd/conf.d/*.toml"]);
    let after = install("", Some(main), 3, &wish()).unwrap().text;
    assert!(after.starts_with("version = 3\n\n") && after.contains("SystemdCgroup = true, BinaryName"), "{after}");
    assert_eq!(install(&after, Some(main), 3, &wish()).unwrap().text, after);
    assert!(is_blank(&uninstall(&after).unwrap()));
}

#[test]
fn another_runtime_behind_the_default_is_named() {
    let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nBinaryName = \"/usr/bin/crun\"\n";
    let edited = install(text, None, 2, &wish()).unwrap();
    assert!(edited.text.contains("BinaryName = \"/usr/bin/runsecrets-crun\"") && edited.notes.len() == 1);
    assert_eq!(install(&edited.text, None, 2, &wish()).unwrap().text, edited.text);
    let told = Wish { wrapper: "/w".to_owned(), wrapper_is_told: true, ..wish() };
    assert!(install(text, None, 2, &told).unwrap().text.contains("BinaryName = \"/w\""));
    let kata = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.kata.v2\"\n";
    assert!(matches!(install(kata, None, 2, &wish()), Err(EditError::DefaultRuntime { .. })));
}

#[test]
fn windows_line_ends_stay() {
    let before = "version = 2\r\n# c\r\n[grpc]\r\nuid = 0\r\n";
    let after = round_trip(before);
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
}

#[test]
fn what_is_broken_or_in_use_is_refused() {
    for text in ["version = ", "[a", "version = 2\nversion = 2\n"] {
        assert!(matches!(install(text, None, 2, &wish()), Err(EditError::Toml(_))), "{text}");
        assert!(uninstall(text).is_err(), "{text}");
    }
    for text in [
        "version = \"2\"\n",
        "version = 2\nplugins = 1\n",
        "version = 2\n[plugins]\n\"io.containerd.grpc.v1.cri\" = []\n",
    ] {
        assert!(matches!(install(text, None, 2, &wish()), Err(EditError::Shape { .. })), "{text}");
    }
    for version in [0, 5] {
        let text = format!("version = {version}\n");
        assert_eq!(install(&text, None, 2, &wish()), Err(EditError::Version(version.to_string())));
    }
    let after = round_trip("version = 2\n");
    let default =
        format!("{after}\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"runsecrets\"\n");
    assert!(matches!(uninstall(&default), Err(EditError::InUse { .. })));
    assert_eq!(install(&default, None, 2, &wish()).unwrap().text, default);
    let disabled = install("version = 2\ndisabled_plugins = [\"cri\"]\n", None, 2, &wish()).unwrap();
    assert!(disabled.notes[0].contains("CRI plugin is disabled"));
}
