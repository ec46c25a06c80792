//! The configuration's limits, and where its errors point.

use super::*;

fn refused(text: &str) -> String {
    Config::parse(Path::new("c.toml"), text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse(Path::new("c.toml"), "").unwrap();
    assert_eq!(config.root_key_file(), Path::new("/var/lib/runsecrets/root.key"));
    assert!(!config.delivery.allow_swap);
    assert_eq!(config.delivery.filesystem, Filesystem::Auto);
}

#[test]
fn errors_say_where() {
    let unknown = refused("[paths]\nstate-dir = \"/a\"\n  sate-dir = \"/b\"\n");
    assert!(unknown.starts_with("c.toml:3:3: unknown field `sate-dir`"), "{unknown}");
    assert!(refused("[log\n").starts_with("c.toml:1:5: "), "{}", refused("[log\n"));
    let level = refused("[log]\nlevel = \"loud\"\n");
    assert!(level.starts_with("c.toml:2:9: unknown variant `loud`"), "{level}");
}

#[test]
fn numbers_have_limits() {
    let text = refused("[limits]\napi-connections = 0\n");
    assert_eq!(text, "c.toml:2:19: 0 is not within 1 to 1024");
    for text in ["api-connections = 1025", "header-seconds = -1", "body-seconds = 601", "hook-seconds = \"1\""] {
        assert!(refused(&format!("[limits]\n{text}\n")).starts_with("c.toml:2:"), "{text}");
    }
}

#[test]
fn relative_paths_are_refused() {
    for text in [
        "[paths]\nstate-dir = \"x\"",
        "[paths]\nrun-dir = \"/a/../b\"",
        "[root-key]\nfile = \"root.key\"",
        "[docker]\nsocket = [\"d\"]",
        "[cdi]\nhook = \"h\"",
    ] {
        assert!(refused(text).contains("is not an absolute path"), "{text}");
    }
}

#[test]
fn state_and_run_directory_differ() {
    let text = refused("[paths]\nstate-dir = \"/run/runsecrets\"");
    assert_eq!(text, "/run/runsecrets cannot be both the state and the run directory: choose two");
}

#[test]
fn the_shipped_example_names_every_key_and_states_the_defaults() {
    let shipped = include_str!("../../../packaging/config.toml");
    let given = Config::parse(Path::new("packaging/config.toml"), shipped).unwrap();
    assert_eq!(format!("{given:?}"), format!("{:?}", Config::default()));
    let all: String = shipped
        .lines()
        .map(|line| match line.strip_prefix("#") {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => key,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let all = Config::parse(Path::new("packaging/config.toml"), &all).unwrap();
    assert!(all.delivery.size_limit.is_some() && all.root_key.file.is_some());
    assert!(all.cdi.file.is_some());
    assert_eq!(all.docker.socket, [Path::new("/var/run/docker.sock")]);
}

#[test]
fn sockets_are_one_or_a_few() {
    let sockets =
        |text: &str| Config::parse(Path::new("c.toml"), &format!("[docker]\nsocket = {text}")).map(|c| c.docker.socket);
    assert_eq!(sockets("\"/a\"").unwrap(), sockets("[\"/a\"]").unwrap());
    assert_eq!(sockets("[]").unwrap(), [""; 0].map(PathBuf::from));
    assert!(sockets(r#"["/1", "/2", "/3", "/4", "/5"]"#).unwrap_err().to_string().contains("more than 4 sockets"));
}
