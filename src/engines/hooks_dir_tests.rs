//! hooks_dir before and after, for podman and CRI-O alike.
use super::*;

const TABLE: &[&str] = &["engine"];
const OURS: &str = "/usr/share/runsecrets/hooks.d";

fn source(name: &str, text: &str) -> Source {
    Source { path: name.into(), text: text.to_owned() }
}

/// Installs, installs again, takes out again: what the file becomes in between.
fn round_trip(before: &str, table: &[&str]) -> String {
    let inherited = [DEFAULT.to_owned()];
    let after = install(before, table, &inherited, &Wish::default()).unwrap();
    assert_eq!(install(&after, table, &inherited, &Wish::default()).unwrap(), after, "not idempotent");
    assert_eq!(uninstall(&after, table, &inherited, &[OURS.to_owned()]).unwrap(), before);
    assert_eq!(uninstall(before, table, &inherited, &[OURS.to_owned()]).unwrap(), before);
    after
}

#[test]
fn without_a_list_it_is_set_with_what_is_the_default() {
    let list = format!("hooks_dir = [\"{DEFAULT}\", \"{OURS}\"]\n");
    for table in [&["engine"][..], &["crio", "runtime"]] {
        let header = format!("[{}]\n", table.join("."));
        assert_eq!(install("", table, &[DEFAULT.to_owned()], &Wish::default()).unwrap(), format!("{header}{list}"));
        let before = format!("# mine\n{header}runtime = \"crun\" # fast\n# end\n");
        let after = format!("# mine\n{header}runtime = \"crun\" # fast\n{list}# end\n");
        assert_eq!(round_trip(&before, table), after);
    }
}

#[test]
fn to_a_list_it_is_added() {
    for (before, after) in [
        (
            "[engine]\nhooks_dir = [\"/a\"] # one\nx = 1\n",
            "[engine]\nhooks_dir = [\"/a\", \"/usr/share/runsecrets/hooks.d\"] # one\nx = 1\n",
        ),
        ("[engine]\nhooks_dir = []\n", "[engine]\nhooks_dir = [\"/usr/share/runsecrets/hooks.d\"]\n"),
        ("engine.hooks_dir = ['/a']\n", "engine.hooks_dir = ['/a', \"/usr/share/runsecrets/hooks.d\"]\n"),
        (
            "[engine]\nhooks_dir = [\"/a\", {append=true}]\n",
            "[engine]\nhooks_dir = [\"/a\", \"/usr/share/runsecrets/hooks.d\", {append=true}]\n",
        ),
    ] {
        assert_eq!(round_trip(before, TABLE), after);
    }
}

#[test]
fn a_later_list_replaces_an_earlier_one_but_where_it_appends() {
    let files = |texts: &[&str]| texts.iter().map(|text| source("f", text)).collect::<Vec<_>>();
    for (texts, expected) in [
        (&[][..], &[DEFAULT][..]),
        (&["[engine]\n", "[other]\nhooks_dir = ['/x']\n"], &[DEFAULT]),
        (&["[engine]\nhooks_dir = ['/a']\n", "[engine]\nhooks_dir = ['/b']\n"], &["/b"]),
        (&["[engine]\nhooks_dir = ['/a']\n", "[engine]\nhooks_dir = ['/b', {append=true}]\n"], &["/a", "/b"]),
        (&["[engine]\nhooks_dir = ['/b', {append=false}]\n"], &["/b"]),
    ] {
        assert_eq!(effective(&files(texts), TABLE).unwrap(), expected, "{texts:?}");
    }
    assert!(replaces("[engine]\nhooks_dir = []\n", TABLE).unwrap());
    assert!(!replaces("[engine]\nhooks_dir = [{append=true}]\n", TABLE).unwrap());
    assert!(!replaces("[engine]\n", TABLE).unwrap());
    // Where another file has it, nothing is needed.
    let inherited = [DEFAULT.to_owned(), OURS.to_owned()];
    assert_eq!(install("[engine]\n", TABLE, &inherited, &Wish::default()).unwrap(), "[engine]\n");
}

#[test]
fn what_is_broken_is_refused() {
    for text in ["[engine", "[engine]\nhooks_dir = \"/a\"\n", "[engine]\nhooks_dir = [1]\n", "engine = 1\n"] {
        assert!(install(text, TABLE, &[], &Wish::default()).is_err(), "{text}");
    }
    let error = effective(&[source("/etc/x.conf", "[")], TABLE).unwrap_err().to_string();
    assert!(error.contains("/etc/x.conf") && error.contains("not TOML"), "{error}");
}

#[test]
fn only_the_list_goes_from_a_file_of_ours() {
    assert_eq!(without_list("# c\n[engine]\nhooks_dir = []\n", TABLE).unwrap(), "# c\n".replace("# c\n", ""));
    assert_eq!(without_list("[engine]\nhooks_dir = []\nx = 1\n", TABLE).unwrap(), "[engine]\nx = 1\n");
}
