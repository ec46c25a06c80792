//! crio.conf before and after, and what we write against the keys and types that crio.conf(5) documents.
use super::*;

const OURS: &str = "/usr/share/runsecrets/hooks.d";

/// The keys that we may write, with the types that crio.conf(5) of CRI-O 1.36 gives them.
const DOCUMENTED: [(&[&str], &str); 2] = [
    (&["crio", "runtime"], "default_runtime:string hooks_dir:strings"),
    (
        &["crio", "runtime", "runtimes", "*"],
        "runtime_path:string runtime_root:string runtime_type:string inherit_default_runtime:boolean \
         runtime_config_path:string privileged_without_host_devices:boolean allowed_annotations:strings \
         monitor_path:string monitor_cgroup:string monitor_env:strings monitor_exec_cgroup:string \
         container_min_memory:string platform_runtime_paths:table no_sync_log:boolean default_annotations:table \
         stream_websockets:boolean seccomp_profile:string container_create_timeout:integer",
    ),
];

/// What is in `text` that the documentation does not have so.
fn undocumented(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let document = tables::read(text).unwrap();
    walk(document.as_table(), &mut Vec::new(), &mut found);
    found
}

fn walk(table: &dyn toml_edit::TableLike, path: &mut Vec<String>, found: &mut Vec<String>) {
    let matches = |pattern: &[&str]| {
        pattern.len() == path.len() && pattern.iter().zip(&*path).all(|(want, is)| *want == "*" || want == is)
    };
    let keys = DOCUMENTED.iter().find(|(pattern, _)| matches(pattern)).map_or("", |(_, keys)| *keys);
    for (key, item) in table.iter() {
        let kind = match item {
            Item::Value(toml_edit::Value::Array(list)) if list.iter().all(toml_edit::Value::is_str) => "strings",
            other => other.type_name(),
        };
        if keys.split_whitespace().any(|documented| documented == format!("{key}:{kind}")) {
            continue;
        }
        path.push(key.to_owned());
        let leads_on = DOCUMENTED.iter().any(|(pattern, _)| {
            pattern.len() >= path.len() && pattern.iter().zip(&*path).all(|(want, is)| *want == "*" || want == is)
        });
        match item.as_table_like().filter(|_| leads_on) {
            Some(inner) => walk(inner, path, found),
            None => found.push(format!("{}:{kind}", path.join("."))),
        }
        path.pop();
    }
}

fn source(text: &str) -> Source {
    Source { path: "/etc/crio/crio.conf".into(), text: text.to_owned() }
}

/// Installs, installs again, takes out again: what the file becomes in between.
fn round_trip(before: &str, sources: &[Source]) -> Edited {
    let after = install_runtime(before, sources, &Wish::default()).unwrap();
    assert_eq!(install_runtime(&after.text, sources, &Wish::default()).unwrap().text, after.text, "not idempotent");
    assert_eq!(uninstall_runtime(&after.text).unwrap(), before);
    assert_eq!(undocumented(&after.text), [""; 0]);
    after
}

#[test]
fn the_list_of_directories_is_as_documented() {
    let text = hooks_dir::install("", TABLE, &["/a".to_owned()], &Wish::default()).unwrap();
    assert_eq!(text, format!("[crio.runtime]\nhooks_dir = [\"/a\", \"{OURS}\"]\n"));
    assert_eq!(undocumented(&text), [""; 0]);
}

#[test]
fn the_check_against_the_documentation_can_fail() {
    for (text, fault) in [
        ("[crio.runtime]\nhooks_dirs = []\n", "crio.runtime.hooks_dirs:strings"),
        ("[crio.runtime]\nhooks_dir = \"/a\"\n", "crio.runtime.hooks_dir:string"),
        ("[crio]\nhooks_dir = []\n", "crio.hooks_dir:strings"),
        ("[crio.runtime.runtimes.x]\nBinaryName = \"/a\"\n", "crio.runtime.runtimes.x.BinaryName:string"),
    ] {
        assert_eq!(undocumented(text), [fault]);
    }
}

#[test]
fn a_runtime_stands_alone() {
    let after = round_trip("", &[]);
    let expected = "[crio.runtime.runtimes.runsecrets]\nruntime_path = \"/usr/bin/runsecrets-runtime\"\n\
                    runtime_type = \"oci\"\nruntime_root = \"/run/runc\"\n";
    assert_eq!((after.text.as_str(), after.notes.len()), (expected, 0));
    assert_eq!(wrapper(&after.text).unwrap().as_deref(), Some("/usr/bin/runsecrets-runtime"));
}

#[test]
fn a_runtime_inherits_the_default_one_of_all_files() {
    let files = [
        source(
            "[crio.runtime]\ndefault_runtime = \"crun\"\n[crio.runtime.runtimes.crun]\nruntime_path = \"/usr/bin/crun\"\nruntime_root = \"/run/crun\"\n",
        ),
        source(
            "[crio.runtime.runtimes.crun]\nmonitor_path = \"/usr/bin/conmon\"\ninherit_default_runtime = true\nallowed_annotations = [\"io.kubernetes.cri-o.Devices\"]\n",
        ),
    ];
    let before = "# mine\n[crio.runtime]\nlog_level = \"info\"\n";
    let after = install_runtime(before, &files, &Wish::default()).unwrap();
    let ours = "\n[crio.runtime.runtimes.runsecrets]\nruntime_path = \"/usr/bin/runsecrets-crun\"\nruntime_root = \"/run/crun\"\n\
                monitor_path = \"/usr/bin/conmon\"\nallowed_annotations = [\"io.kubernetes.cri-o.Devices\"]\nruntime_type = \"oci\"\n";
    assert_eq!(after.text, format!("{before}{ours}"));
    assert!(after.notes[0].contains("runsecrets-crun"));
    assert_eq!(uninstall_runtime(&after.text).unwrap(), before);
    assert_eq!(round_trip("", &files).text, ours.trim_start());
}

#[test]
fn what_cannot_be_is_refused() {
    let vm =
        [source("[crio.runtime]\ndefault_runtime = \"kata\"\n[crio.runtime.runtimes.kata]\nruntime_type = \"vm\"\n")];
    assert!(matches!(install_runtime("", &vm, &Wish::default()), Err(EditError::DefaultRuntime { .. })));
    assert!(matches!(install_runtime("[", &[], &Wish::default()), Err(EditError::Toml(_))));
    assert!(is_default(&[source("[crio.runtime]\ndefault_runtime = \"runsecrets\"\n")]).unwrap());
    assert!(!is_default(&vm).unwrap());
}
