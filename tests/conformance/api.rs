//! The HTTP API. From moby `integration/secret/secret_test.go`, `daemon/server/router/swarm` and its API document.

use serde_json::{Value, json};

use super::Case;
use super::target::Target;

pub(crate) const CASES: &[Case] = &[
    ("api::status_codes", status_codes),
    ("api::labels_are_all_that_an_update_changes", labels_are_all_that_an_update_changes),
    ("api::an_update_needs_the_version_that_it_saw", an_update_needs_the_version_that_it_saw),
    ("api::filters_in_both_forms", filters_in_both_forms),
    ("api::version_and_ping", version_and_ping),
    ("api::events", events),
];

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

fn status_codes(target: &Target) {
    let (status, made) =
        target.http("POST", "/v1.41/secrets/create", r#"{"Name":"s","Labels":{"a":"b"},"Data":"eA=="}"#);
    assert_eq!(status, 201, "{made}");
    let id = made["ID"].as_str().unwrap_or_default();
    assert_eq!(made, json!({ "ID": id }));
    assert_eq!(target.http("POST", "/secrets/create", r#"{"Name":"S","Data":"eA=="}"#).0, 409);
    assert_eq!(target.http("POST", "/secrets/create", r#"{"Name":".","Data":"eA=="}"#).0, 400);
    assert_eq!(target.http("POST", "/secrets/create", r#"{"Name":"t"}"#).0, 400);
    assert_eq!(target.http("POST", "/secrets/create", r#"{"Data":"eA=="}"#).0, 400);
    assert_eq!(target.http("POST", "/secrets/create", "{").0, 400);
    assert_eq!(target.http("POST", "/secrets/create", r#"{"Name":"t","Data":"*"}"#).0, 400);
    for path in [format!("/secrets/{id}"), "/v1.41/secrets/s".to_owned(), format!("/secrets/{}", &id[..8])] {
        assert_eq!(target.get(&path).0, 200, "{path}");
    }
    let (status, refusal) = target.get("/secrets/nope");
    assert_eq!((status, message(&refusal)), (404, "secret nope not found"));
    target.service_create("web", &["s"]).ok();
    assert_eq!(target.http("DELETE", "/secrets/s", "").0, 400, "in use");
    target.service_remove("web").ok();
    assert_eq!(target.http("DELETE", "/secrets/s", ""), (204, Value::Null));
    assert_eq!(target.http("DELETE", "/secrets/s", "").0, 404);
    assert_eq!(target.http("POST", "/secrets/s/update?version=1", r#"{"Name":"s"}"#).0, 404);
}

/// TestSecretsUpdate, TestUpdateSecret: by id, by name, by the beginning of an id; only labels.
fn labels_are_all_that_an_update_changes(target: &Target) {
    let id = target.create("s", &["-l", "old=1"]);
    let spec = |reference: &str| target.get(&format!("/secrets/{reference}")).1;
    let update = |reference: &str, body: Value| {
        let index = &spec(&id)["Version"]["Index"];
        target.http("POST", &format!("/secrets/{reference}/update?version={index}"), &body.to_string())
    };
    for (number, reference) in [id.as_str(), "s", &id[..1]].into_iter().enumerate() {
        let labels = json!({ "n": number.to_string() });
        let before = spec(&id);
        let (status, answer) = update(reference, json!({ "Name": "s", "Labels": labels }));
        assert_eq!(status, 200, "{answer}");
        let after = spec(&id);
        assert_eq!((&after["Spec"]["Labels"], &after["CreatedAt"]), (&labels, &before["CreatedAt"]));
        assert!(after["Version"]["Index"].as_u64() > before["Version"]["Index"].as_u64());
    }
    let words = "only updates to Labels are allowed";
    for body in [json!({ "Name": "s", "Data": "b3RoZXI=" }), json!({ "Name": "other", "Labels": {} })] {
        let (status, refusal) = update(&id, body);
        assert_eq!(status, 400);
        assert!(message(&refusal).contains(words), "{refusal}");
    }
    // The same data ("the value") is no change; no labels are no labels.
    assert_eq!(update(&id, json!({ "Name": "s", "Data": "dGhlIHZhbHVl" })).0, 200);
    assert_eq!(spec(&id)["Spec"]["Labels"], json!({}));
}

fn an_update_needs_the_version_that_it_saw(target: &Target) {
    target.create("s", &[]);
    let index = target.get("/secrets/s").1["Version"]["Index"].as_u64().expect("an index");
    let update = |version: &str| {
        target.http("POST", &format!("/secrets/s/update{version}"), r#"{"Name":"s","Labels":{"a":"b"}}"#)
    };
    assert_eq!(update(&format!("?version={index}")).0, 200);
    let (status, refusal) = update(&format!("?version={index}"));
    assert!((400..=500).contains(&status), "{status}");
    assert!(message(&refusal).contains("update out of sequence"), "{refusal}");
    assert_eq!(update("?version=x").0, 400);
    assert_eq!(update("").0, 400);
}

/// `{"name":{"x":true}}` since API 1.22, `{"name":["x"]}` before; both are read. `names` is exact, `name` a prefix.
fn filters_in_both_forms(target: &Target) {
    target.create("a1", &["-l", "x=1"]);
    target.create("a2", &[]);
    let names = |filters: &str| -> Vec<String> {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, list) = target.get(&format!("/secrets?filters={encoded}"));
        assert_eq!(status, 200, "{list}");
        let mut names: Vec<String> = list.as_array().map_or_else(Vec::new, |list| {
            list.iter().map(|secret| secret["Spec"]["Name"].as_str().unwrap_or_default().to_owned()).collect()
        });
        names.sort();
        names
    };
    for filters in [r#"{"name":["a"]}"#, r#"{"name":{"a":true}}"#, "{}", r#"{"names":["a1","a2"]}"#] {
        assert_eq!(names(filters), ["a1", "a2"], "{filters}");
    }
    assert_eq!(names(r#"{"names":["a1","a"]}"#), ["a1"]);
    assert_eq!(names(r#"{"label":["x=1"],"name":["a"]}"#), ["a1"]);
    assert_eq!(target.get("/secrets?filters=%7B%22foo%22%3A%5B%22b%22%5D%7D").0, 400);
    // Docker 20.10 calls this its own fault (500), newer ones the client's (400).
    assert!([400, 500].contains(&target.get("/secrets?filters=x").0));
}

fn version_and_ping(target: &Target) {
    let (status, version) = target.get("/version");
    assert_eq!(status, 200);
    for key in ["Version", "ApiVersion", "MinAPIVersion", "Os", "Arch"] {
        assert!(version[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {version}");
    }
    assert_eq!(target.get("/v1.41/version").0, 200);
    assert_eq!(
        target.client(&["version", "--format", "{{.Server.Version}}"], b"").ok(),
        version["Version"].as_str().unwrap_or_default()
    );
    assert!([400, 404].contains(&target.get("/v1.99/version").0));
}

/// TestSwarmClusterEventsSecret: create, update, remove, with the name and nothing else.
fn events(target: &Target) {
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
    };
    let since = now();
    let id = target.create("s", &["-l", "a=b"]);
    let index = target.get("/secrets/s").1["Version"]["Index"].clone();
    assert_eq!(target.http("POST", &format!("/secrets/s/update?version={index}"), r#"{"Name":"s"}"#).0, 200);
    target.secret(&["rm", "s"]).ok();
    let events = |more: &[&str]| {
        // Docker's client cuts "0s" to the second, which would leave out what has just happened.
        let until = now();
        let arguments = ["events", "--since", &since, "--until", &until, "--filter", "type=secret"];
        target.client(&[&arguments, more].concat(), b"").ok()
    };
    let mine = format!("secret={id}");
    let lines = events(&["--filter", &mine]);
    let words: Vec<&str> = lines.lines().filter_map(|line| line.split_once(' ').map(|(_, words)| words)).collect();
    assert_eq!(words, ["create", "update", "remove"].map(|action| format!("secret {action} {id} (name=s)")), "{lines}");
    let template = "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Scope}}";
    let made = events(&["--filter", &mine, "--filter", "event=create", "--format", template]);
    assert_eq!(made, format!("create {id} s swarm"));
}
