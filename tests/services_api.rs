//! The endpoints below `/runsecrets/v1` on a real agent: services, their grants, and what keeps a secret from removal.
#![allow(clippy::unwrap_used)] // a test may end where it stands

mod running_agent;

use running_agent::{Agent, Place, base64};
use serde_json::{Value, json};

const SERVICES: &str = "/runsecrets/v1/services";

fn create(agent: &Agent, service: &Value) -> Value {
    let answer = agent.post(&format!("{SERVICES}/create"), service);
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

fn inspect(agent: &Agent, reference: &str) -> Value {
    let answer = agent.get(&format!("{SERVICES}/{reference}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn names(agent: &Agent, filters: &Value) -> Vec<String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.append_pair("filters", &filters.to_string()).finish();
    let listed = agent.get(&format!("{SERVICES}?{query}")).json();
    listed.as_array().unwrap().iter().map(|service| service["Name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_service_is_made_shown_changed_and_removed() {
    let place = Place::new();
    let agent = place.start();
    for name in ["site.key", "site.crt"] {
        agent.create(name, &base64(b"x"));
    }
    let grant =
        json!({"Source": "site.key", "Target": "/etc/nginx/site.key", "UID": "33", "GID": "www-data", "Mode": "440"});
    let made = create(
        &agent,
        &json!({"Name": "web", "Labels": {"tier": "front"}, "Secrets": [grant, {"Source": "site.crt"}]}),
    );
    assert_eq!(made.as_object().unwrap().len(), 1);
    let id = made["ID"].as_str().unwrap();
    let service = inspect(&agent, "web");
    let shown = json!([
        {"Source": "site.key", "Target": "/etc/nginx/site.key", "UID": "33", "GID": "www-data", "Mode": "0440", "Until": null},
        {"Source": "site.crt", "Target": "/run/secrets/site.crt", "UID": "0", "GID": "0", "Mode": "0444", "Until": null},
    ]);
    assert_eq!(
        (&service["ID"], &service["Name"], &service["RequireClaim"]),
        (&json!(id), &json!("web"), &json!(false))
    );
    assert_eq!((&service["Secrets"], &service["Labels"]), (&shown, &json!({"tier": "front"})));
    assert_eq!(inspect(&agent, &id[..10]), service);

    let change = json!({
        "SecretRm": ["site.key"], "SecretAdd": [{"Source": "site.crt", "Target": "copy"}],
        "LabelAdd": {"a": "b"}, "LabelRm": ["tier"],
    });
    let index = service["Version"]["Index"].as_u64().unwrap();
    let update = |index: u64| agent.post(&format!("{SERVICES}/web/update?version={index}"), &change);
    assert_eq!(update(index + 1).status, 400);
    let changed = update(index);
    assert_eq!(changed.status, 200, "{}", changed.body);
    let mut changed = changed.json();
    let containers = changed.as_object_mut().unwrap().remove("Containers");
    assert_eq!(containers, Some(json!([])), "none runs");
    assert_eq!(changed, inspect(&agent, "web"));
    assert_eq!(changed["Labels"], json!({"a": "b"}));
    let targets: Vec<_> = changed["Secrets"].as_array().unwrap().iter().map(|grant| grant["Target"].clone()).collect();
    assert_eq!(targets, ["/run/secrets/site.crt", "/run/secrets/copy"]);

    assert_eq!(agent.request("DELETE", &format!("{SERVICES}/web"), "").status, 204);
    let gone = agent.get(&format!("{SERVICES}/web"));
    assert_eq!((gone.status, gone.message().as_str()), (404, "service web not found"));
}

#[test]
fn a_secret_in_use_stays_and_prune_takes_the_rest() {
    let place = Place::new();
    let agent = place.start();
    for name in ["used", "spare-1", "spare-2"] {
        agent.create(name, &base64(b"x"));
    }
    create(&agent, &json!({"Name": "web", "Secrets": [{"Source": "used"}]}));
    let refused = agent.request("DELETE", "/v1.41/secrets/used", "");
    let words = "secret 'used' is in use by the following service: web";
    assert_eq!((refused.status, refused.message().as_str()), (400, words));
    let pruned = agent.post("/runsecrets/v1/secrets/prune", &json!({})).json();
    let mut deleted: Vec<_> = pruned["Deleted"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    deleted.sort_unstable();
    assert_eq!(deleted, ["spare-1", "spare-2"]);
    assert_eq!(agent.post(&format!("{SERVICES}/web/update"), &json!({"SecretRm": ["used"]})).status, 200);
    assert_eq!(agent.request("DELETE", "/secrets/used", "").status, 204);
    assert_eq!(agent.get("/secrets").json(), json!([]));
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let place = Place::new();
    let agent = place.start();
    for name in ["a", "b"] {
        agent.create(name, &base64(b"x"));
    }
    for (service, status, words) in [
        (json!({"Name": "web", "Secrets": [{"Source": "missing"}]}), 400, "secret not found: missing"),
        (json!({"Name": "-web"}), 400, "invalid service name"),
        (json!({"Name": ""}), 400, "name must be provided"),
        (json!({"Name": "web", "Secrets": [{"Source": ""}]}), 400, "source is required"),
        (json!({"Name": "web", "Secrets": [{"Source": "a", "Mode": "999"}]}), 400, "invalid mode specified"),
        (json!({"Name": "web", "Secrets": [{"Source": "a", "Mode": "4755"}]}), 400, "above 0777"),
        (json!({"Name": "web", "Secrets": [{"Source": "a", "UID": "a b"}]}), 400, "invalid uid or gid"),
        (json!({"Name": "web", "Secrets": [{"Source": "a", "Target": "/proc/x"}]}), 400, "inside /proc"),
        (
            json!({"Name": "web", "Secrets": [{"Source": "a", "Target": "t"}, {"Source": "b", "Target": "/run/secrets/./t"}]}),
            400,
            "secret references 'a' and 'b' have a conflicting target: '/run/secrets/t'",
        ),
        (json!({"Name": "web", "Secretz": []}), 400, "not the JSON that is expected"),
    ] {
        let answer = agent.post(&format!("{SERVICES}/create"), &service);
        assert_eq!(answer.status, status, "{service}: {}", answer.body);
        assert!(answer.message().contains(words), "{service}: {}", answer.message());
    }
    assert_eq!(names(&agent, &json!({})), [""; 0]);
    create(&agent, &json!({"Name": "web"}));
    assert_eq!(agent.post(&format!("{SERVICES}/create"), &json!({"Name": "WEB"})).status, 409);
}

#[test]
fn a_claim_is_shown_once_and_kept_as_a_hash() {
    let place = Place::new();
    let agent = place.start();
    let made = create(&agent, &json!({"Name": "web", "RequireClaim": true}));
    let claim = made["Claim"].as_str().unwrap();
    assert!(claim.starts_with("RSCLAIM-1-") && claim.len() > 40, "{claim}");
    let service = inspect(&agent, "web");
    assert_eq!(service["RequireClaim"], json!(true));
    assert!(!service.to_string().contains(claim));
    assert!(!agent.log.text().contains(claim));
}

#[test]
fn services_are_filtered_and_none_runs() {
    let place = Place::new();
    let agent = place.start();
    let front = create(&agent, &json!({"Name": "web", "Labels": {"tier": "front"}}));
    create(&agent, &json!({"Name": "db", "Labels": {"tier": "back"}}));
    assert_eq!(names(&agent, &json!({})), ["db", "web"]);
    assert_eq!(names(&agent, &json!({"name": ["w"]})), ["web"]);
    assert_eq!(names(&agent, &json!({"label": {"tier=back": true}})), ["db"]);
    assert_eq!(names(&agent, &json!({"id": [front["ID"]]})), ["web"]);
    assert_eq!(agent.get(&format!("{SERVICES}?filters=%7B%22mode%22:[]%7D")).message(), "invalid filter 'mode'");
    assert_eq!(agent.get("/runsecrets/v1/ps").json(), json!([]));
    assert_eq!(agent.get(&format!("{SERVICES}/web/ps")).json(), json!([]));
    assert_eq!(agent.get(&format!("{SERVICES}/none/ps")).status, 404);
    let events = agent.get("/events?since=0&until=1");
    assert_eq!(events.status, 200);
}

#[test]
fn selectors_are_kept_shown_and_changed_and_bad_ones_refused() {
    const NAMESPACE: &str = "io.kubernetes.cri.sandbox-namespace";
    let place = Place::new();
    let mut agent = place.start();
    let [shop, name] = [format!("{NAMESPACE}=shop-[0-9]+"), "io.kubernetes.cri.container-name=web".to_owned()];
    create(&agent, &json!({"Name": "web", "Match": [shop, name]}));
    create(&agent, &json!({"Name": "plain"}));
    assert_eq!(inspect(&agent, "web")["Match"], json!([shop, name]));
    assert_eq!(inspect(&agent, "plain")["Match"], json!([]));

    let update = |change: &Value| agent.post(&format!("{SERVICES}/web/update"), change);
    let other = format!("{NAMESPACE}=other");
    let changed = update(&json!({"MatchRm": [NAMESPACE], "MatchAdd": [other, "untrusted:tier=front"]})).json();
    assert_eq!(changed["Match"], json!([name, other, "untrusted:tier=front"]));

    for (selector, words) in [
        ("tier=front", "no engine stamps the annotation 'tier' itself"),
        ("io.kubernetes.cri.container-name", "KEY=REGEX is expected"),
        ("io.kubernetes.cri.container-name=(", "cannot be read: unclosed group"),
        ("io.kubernetes.cri.container-name=(a{1000}){1000}", "is too large"),
    ] {
        for answer in [
            agent.post(&format!("{SERVICES}/create"), &json!({"Name": "bad", "Match": [selector]})),
            update(&json!({"MatchAdd": [selector]})),
        ] {
            assert!(answer.status == 400 && answer.message().contains(words), "{selector}: {}", answer.body);
        }
    }
    let before = inspect(&agent, "web");
    agent.stop();
    let agent = place.start();
    assert_eq!(inspect(&agent, "web"), before, "kept in the store");
}
