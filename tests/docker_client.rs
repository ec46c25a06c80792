//! Unmodified clients of Docker against a real agent: the `docker` command, docker-py, and the API's edges that they
//! depend on.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod running_agent;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use running_agent::{Agent, Place, base64, run};
use serde_json::{Value, json};

/// `docker -H unix://… ARGUMENTS`, with `input` on its standard input.
fn docker(place: &Place, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = docker_command(place, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("cannot run docker: {error}; apt-get install -y docker.io");
    });
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn docker_command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_CONFIG", place.path("docker")).env_remove("DOCKER_API_VERSION");
    command.arg("-H").arg(format!("unix://{}", place.admin().display())).args(arguments);
    command
}

fn succeeded(place: &Place, arguments: &[&str], input: &[u8]) -> String {
    let output = docker(place, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn failed(place: &Place, arguments: &[&str], input: &[u8]) -> String {
    let output = docker(place, arguments, input);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap().trim_end().to_owned()
}

#[test]
fn docker_secret_create_ls_inspect_rm() {
    let place = Place::new();
    let _agent = place.start();
    let id = succeeded(&place, &["secret", "create", "-l", "env=dev", "-l", "tier", "db_password", "-"], b"hunter2\n");
    assert!(id.len() == 25 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()), "{id}");
    let file = place.path("site.key");
    std::fs::write(&file, [0, 159, 146, 150]).unwrap();
    let other = succeeded(&place, &["secret", "create", "site.key", file.to_str().unwrap()], b"");

    let table = succeeded(&place, &["secret", "ls"], b"");
    let header: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]);
    assert_eq!(table.lines().count(), 3);
    let names = |filter: &[&str]| {
        let arguments = [&["secret", "ls", "--format", "{{.Name}}"], filter].concat();
        succeeded(&place, &arguments, b"")
    };
    assert_eq!(names(&[]), "db_password\nsite.key");
    assert_eq!(names(&["-f", "name=db"]), "db_password");
    assert_eq!(names(&["-f", "label=env=dev"]), "db_password");
    assert_eq!(names(&["-f", "label=tier", "-f", "label=env=prod"]), "");
    assert_eq!(names(&["-f", &format!("id={}", &other[..20])]), "site.key");
    assert_eq!(succeeded(&place, &["secret", "ls", "-q", "-f", "name=site"], b""), other);
    let line = succeeded(&place, &["secret", "ls", "--format", "{{.Labels}} {{.Label \"env\"}}", "-f", "name=db"], b"");
    assert!(line.contains("env=dev") && line.ends_with(" dev"), "{line}");

    let inspected = succeeded(&place, &["secret", "inspect", "db_password"], b"");
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected[0]["ID"], json!(id));
    assert_eq!(inspected[0]["Spec"], json!({"Name": "db_password", "Labels": {"env": "dev", "tier": ""}}));
    assert!(inspected[0]["Version"]["Index"].as_u64().unwrap() > 0);
    assert_eq!(inspected[0]["CreatedAt"], inspected[0]["UpdatedAt"]);
    assert_eq!(succeeded(&place, &["secret", "inspect", "-f", "{{.Spec.Name}}", &id[..12]], b""), "db_password");
    let pretty = succeeded(&place, &["secret", "inspect", "--pretty", &id], b"");
    assert!(pretty.starts_with(&format!("ID:              {id}\nName:              db_password\n")), "{pretty}");

    assert_eq!(succeeded(&place, &["secret", "rm", "db_password", &other], b""), format!("db_password\n{other}"));
    assert_eq!(names(&[]), "");
}

#[test]
fn docker_shows_dockers_own_words_when_it_fails() {
    let place = Place::new();
    let _agent = place.start();
    succeeded(&place, &["secret", "create", "s1", "-"], b"x");
    let daemon = "Error response from daemon: ";
    let create = |name: &str, value: &[u8]| failed(&place, &["secret", "create", name, "-"], value);
    assert_eq!(create("S1", b"x"), format!("{daemon}secret S1 already exists"));
    assert_eq!(
        create(".bad", b"x"),
        format!(
            "{daemon}invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be \
             [a-zA-Z0-9]"
        )
    );
    assert_eq!(
        create("big", &[7; 512_000]),
        format!("{daemon}secret data must be larger than 0 and less than 512000 bytes")
    );
    // Clients before 23 put a 404 in their own words.
    let missing = |words: &str| {
        let known = [&*format!("{daemon}secret missing not found"), "Error: No such secret: missing"];
        assert!(known.iter().any(|known| words.contains(known)), "{words}");
    };
    missing(&failed(&place, &["secret", "rm", "missing"], b""));
    assert_eq!(failed(&place, &["secret", "ls", "-f", "foo=x"], b""), format!("{daemon}invalid filter 'foo'"));
    let driver = failed(&place, &["secret", "create", "-d", "nodriver", "s2"], b"");
    assert_eq!(driver, format!("{daemon}plugin \"nodriver\" not found"));
    let template = failed(&place, &["secret", "create", "--template-driver", "golang", "s2", "-"], b"x");
    assert!(template.contains("not supported yet"), "{template}");

    let output = docker(&place, &["secret", "inspect", "missing"], b"");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"[]\n".as_slice()));
    missing(String::from_utf8_lossy(&output.stderr).trim_end());
}

#[test]
fn docker_version_and_what_is_not_ours() {
    let place = Place::new();
    let _agent = place.start();
    let version = succeeded(&place, &["version", "--format", "{{.Server.Version}} {{.Server.Os}}"], b"");
    assert_eq!(version, concat!(env!("CARGO_PKG_VERSION"), " linux"));
    assert!(succeeded(&place, &["version"], b"").contains("Server: runsecrets"));
    for (arguments, sentence) in [
        (&["ps"][..], "use your container engine"),
        (&["service", "ls"], "`runsecrets service create`"),
        (&["config", "ls"], "`runsecrets secret create`"),
    ] {
        let words = failed(&place, arguments, b"");
        assert!(words.starts_with("Error response from daemon: ") && words.contains(sentence), "{words}");
    }
}

#[test]
fn older_clients_are_served() {
    let place = Place::new();
    let _agent = place.start();
    for version in ["1.25", "1.41", "1.51"] {
        let old = |arguments: &[&str]| {
            let mut command = docker_command(&place, arguments);
            let output = run(command.env("DOCKER_API_VERSION", version).stdin(Stdio::null()), "docker.io");
            assert!(output.status.success(), "{version} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let file = place.path("value");
        std::fs::write(&file, "x").unwrap();
        old(&["secret", "create", "old", file.to_str().unwrap()]);
        assert_eq!(old(&["secret", "ls", "--format", "{{.Name}}"]), "old\n");
        old(&["secret", "rm", "old"]);
    }
}

#[test]
fn docker_events_shows_the_past_and_what_follows() {
    let place = Place::new();
    let agent = place.start();
    succeeded(&place, &["secret", "create", "before", "-"], b"x");
    let arguments = ["events", "--since", "1h", "--filter", "type=secret", "--format", "{{json .}}"];
    let mut watching = docker_command(&place, &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let past = next();
    assert_eq!((&past["Action"], &past["Actor"]["Attributes"]["name"]), (&json!("create"), &json!("before")));
    let id = agent.create("after", &base64(b"x"));
    let create = next();
    assert_eq!(
        (&create["Type"], &create["Action"], &create["scope"]),
        (&json!("secret"), &json!("create"), &json!("swarm"))
    );
    assert_eq!(create["Actor"], json!({"ID": id, "Attributes": {"name": "after"}}));
    let index = &agent.get("/secrets/after").json()["Version"]["Index"];
    let path = format!("/secrets/after/update?version={index}");
    assert_eq!(agent.post(&path, &json!({"Name": "after", "Labels": {"a": "b"}})).status, 200);
    assert_eq!(next()["Action"], json!("update"));
    succeeded(&place, &["secret", "rm", "after"], b"");
    assert_eq!(next()["Action"], json!("remove"));
    watching.kill().unwrap();
    watching.wait().unwrap();

    // A time in the past ends the stream by itself.
    let until = (std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1).to_string();
    let arguments =
        ["events", "--since", "0", "--until", &until, "--filter", "secret=after", "--format", "{{.Action}}"];
    assert_eq!(succeeded(&place, &arguments, b""), "create\nupdate\nremove");
}

#[test]
fn labels_are_updated_as_docker_updates_them() {
    let place = Place::new();
    let agent = place.start();
    let id = agent.create("s", &base64(b"value"));
    let index = |agent: &Agent| agent.get("/v1.41/secrets/s").json()["Version"]["Index"].as_u64().unwrap();
    let update = |version: String, spec: Value| {
        agent.post(&format!("/v1.41/secrets/{}/update?version={version}", &id[..8]), &spec)
    };
    let first = index(&agent);
    assert_eq!(update(first.to_string(), json!({"Name": "s", "Labels": {"a": "1"}})).status, 200);
    assert_eq!(agent.get("/secrets/s").json()["Spec"]["Labels"], json!({"a": "1"}));
    let stale = update(first.to_string(), json!({"Labels": {}}));
    assert_eq!(stale.status, 400);
    assert!(stale.message().contains("update out of sequence"), "{}", stale.message());
    let now = index(&agent).to_string();
    assert_eq!(update("x".into(), json!({})).message(), "invalid secret version");
    for spec in [json!({"Name": "t"}), json!({"Name": "s", "Data": base64(b"other")})] {
        let refused = update(now.clone(), spec);
        assert_eq!((refused.status, refused.message().as_str()), (400, "only updates to Labels are allowed"));
    }
    assert_eq!(update(now, json!({"Name": "s", "Data": base64(b"value"), "Labels": {}})).status, 200);
}

#[test]
fn docker_py_secrets() {
    let place = Place::new();
    let _agent = place.start();
    let script = r#"
import sys, docker
client = docker.DockerClient(base_url="unix://" + sys.argv[1])
assert client.ping()
assert client.version()["Os"] == "linux"
secret = client.secrets.create(name="py", data=bytes(range(256)), labels={"k": "v"})
assert len(secret.id) == 25, secret.id
client.secrets.create(name="other", data=b"x")
assert sorted(s.name for s in client.secrets.list()) == ["other", "py"]
assert [s.id for s in client.secrets.list(filters={"label": "k=v"})] == [secret.id]
assert [s.name for s in client.secrets.list(filters={"name": ["oth"]})] == ["other"]
found = client.secrets.get("py")
assert found.attrs["Spec"] == {"Name": "py", "Labels": {"k": "v"}}, found.attrs
try:
    client.secrets.create(name="py", data=b"x")
    raise SystemExit("a duplicate was taken")
except docker.errors.APIError as error:
    assert error.status_code == 409 and error.explanation == "secret py already exists", error
found.remove()
try:
    client.secrets.get("py")
    raise SystemExit("a removed secret was found")
except docker.errors.NotFound as error:
    assert error.explanation == "secret py not found", error
until = int(__import__("time").time()) + 1
actions = [e["Action"] for e in client.events(since=0, until=until, filters={"type": "secret", "secret": "py"}, decode=True)]
assert actions == ["create", "remove"], actions
"#;
    let has_docker = |python: &&str| {
        Command::new(python)
            .args(["-c", "import docker.models.secrets"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_docker)
        .expect("no python3 with the module docker: apt-get install -y python3-docker");
    let output = run(Command::new(python).args(["-c", script]).arg(place.admin()), "python3-docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn ping_and_versions_are_negotiated() {
    let place = Place::new();
    let agent = place.start();
    let ping = agent.get("/_ping");
    assert_eq!((ping.status, ping.body.as_str()), (200, "OK"));
    for (name, value) in [("Api-Version", "1.51"), ("Docker-Experimental", "false"), ("Ostype", "linux")] {
        assert_eq!(ping.header(name), Some(value), "{name}");
    }
    assert!(ping.header("Server").unwrap().starts_with("runsecrets/"));
    let head = agent.request("HEAD", "/v1.24/_ping", "");
    assert_eq!((head.status, head.body.as_str(), head.header("Api-Version")), (200, "", Some("1.51")));
    for version in ["1.24", "1.25", "1.41", "1.51"] {
        assert_eq!(agent.get(&format!("/v{version}/secrets")).json(), json!([]), "{version}");
    }
    let new = agent.get("/v1.52/secrets");
    assert_eq!(
        (new.status, new.message().as_str()),
        (400, "client version 1.52 is too new. Maximum supported API version is 1.51")
    );
    assert!(agent.get("/v1.12/secrets").message().starts_with("client version 1.12 is too old."));
}

#[test]
fn paths_and_methods_that_are_not_ours_are_answered_with_a_sentence() {
    let place = Place::new();
    let agent = place.start();
    agent.create("only", &base64(b"x"));
    for (method, path) in [
        ("GET", "/containers/json"),
        ("POST", "/v1.41/containers/create"),
        ("GET", "/"),
        ("GET", "/x%0ay"),
        ("PATCH", "/secrets"),
        ("PUT", "/secrets/only"),
        ("DELETE", "/secrets/"),
        ("DELETE", "/secrets//"),
        ("POST", "/secrets//update?version=1"),
        ("GET", "/runsecrets/v1/nothing"),
    ] {
        let answer = agent.request(method, path, "");
        assert_eq!(answer.status, 501, "{method} {path}");
        assert!(answer.message().starts_with("runsecrets does not answer "), "{}", answer.message());
        assert!(!answer.message().contains('\n'));
    }
    assert_eq!(agent.get("/secrets/only").status, 200);
    assert_eq!(agent.get("/secrets/%6fnly").status, 200);
    assert_eq!(agent.get("/secrets/no%20such").message(), "secret no such not found");
}

#[test]
fn filters_come_in_both_of_dockers_forms() {
    let place = Place::new();
    let agent = place.start();
    agent.create("one", &base64(b"x"));
    agent.create("two", &base64(b"x"));
    let names = |filters: &str| -> Vec<String> {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("filters", filters).finish();
        let listed = agent.get(&format!("/secrets?{query}")).json();
        listed.as_array().unwrap().iter().map(|secret| secret["Spec"]["Name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(r#"{"name":["o"]}"#), ["one"]);
    assert_eq!(names(r#"{"name":{"o":true,"t":false}}"#), ["one"]);
    assert_eq!(names(r#"{"names":{"two":true}}"#), ["two"]);
    assert_eq!(names(r#"{"names":["tw"]}"#), [""; 0]);
    assert_eq!(names("{}"), ["one", "two"]);
    assert_eq!(agent.get("/secrets?filters=nonsense").status, 400);
}
