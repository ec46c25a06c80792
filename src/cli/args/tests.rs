//! Command lines as people write them.

use super::*;

#[test]
fn the_definition_is_sound() {
    definition(&[]).debug_assert();
}

#[test]
fn aliases_and_short_forms_are_dockers() {
    for line in
        ["secret list -q", "secret remove a b", "secret create -l a=b -d x n -", "service list", "secret ls -f name=x"]
    {
        let words = ["runsecrets"].into_iter().chain(line.split(' '));
        assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
    }
}

#[test]
fn bad_flags_are_refused_in_dockers_words() {
    let words = |line: &str| {
        Arguments::try_parse_from(["runsecrets"].into_iter().chain(line.split('|'))).unwrap_err().to_string()
    };
    assert!(words("secret|create|-l|=x|n|-").contains("invalid label '=x': empty name"));
    assert!(words("secret|create|-l|a b=x|n|-").contains("label 'a b' contains whitespaces"));
    assert!(words("secret|ls|-f|bad").contains("bad format of filter (expected name=value)"));
    assert!(words("service|create|--name|s|--secret|source=a,foo=b").contains("invalid field in secret request: foo"));
    assert!(words("service|create|--name|s|--secret|target=b").contains("source is required"));
}

#[cfg(target_os = "linux")]
#[test]
#[cfg(target_os = "linux")]
fn the_host_must_be_a_unix_socket() {
    let place = |host: &str| Place { run_dir: None, host: Some(host.into()) };
    assert_eq!(socket(&place("unix:///a/b.sock")).unwrap(), PathBuf::from("/a/b.sock"));
    for host in ["tcp://1.2.3.4", "unix://", "unix://a", "/a"] {
        assert!(socket(&place(host)).is_err(), "{host}");
    }
}
