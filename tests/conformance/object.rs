//! The secret object. From moby `integration/secret/secret_test.go` and swarmkit `manager/controlapi/secret_test.go`.

use super::Case;
use super::target::Target;

pub(crate) const CASES: &[Case] = &[
    ("object::inspect_by_id_and_by_name", inspect_by_id_and_by_name),
    ("object::create_and_remove", create_and_remove),
    ("object::a_name_that_is_anothers_id", a_name_that_is_anothers_id),
    ("object::a_prefix_of_two_ids_is_ambiguous", a_prefix_of_two_ids_is_ambiguous),
    ("object::good_names", good_names),
    ("object::bad_names", bad_names),
    ("object::names_are_unique_without_case", names_are_unique_without_case),
    ("object::sizes", sizes),
    ("object::a_value_is_never_shown", a_value_is_never_shown),
];

/// TestSecretInspect.
fn inspect_by_id_and_by_name(target: &Target) {
    let id = target.create("test_secret", &[]);
    assert!(id.len() == 25 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
    for reference in [id.as_str(), "test_secret"] {
        assert_eq!(
            target.secret(&["inspect", "-f", "{{.ID}} {{.Spec.Name}}", reference]).ok(),
            format!("{id} test_secret")
        );
        let (status, json) = target.get(&format!("/secrets/{reference}"));
        assert_eq!((status, &json["ID"], &json["Spec"]["Name"]), (200, &id.clone().into(), &"test_secret".into()));
        assert!(json["Version"]["Index"].is_u64(), "{json}");
        for time in ["CreatedAt", "UpdatedAt"] {
            let text = json[time].as_str().unwrap_or_default();
            assert!(text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'), "{time}: {text}");
        }
    }
}

/// TestSecretsCreateAndDelete.
fn create_and_remove(target: &Target) {
    let id = target.create("test_secret", &["--label", "type=test", "-l", "bare"]);
    target.secret_with(&["create", "test_secret", "-"], b"other").fails("secret test_secret already exists");
    assert_eq!(target.secret(&["inspect", "-f", "{{json .Spec.Labels}}", &id]).ok(), r#"{"bare":"","type":"test"}"#);
    assert_eq!(target.secret(&["rm", &id]).ok(), id);
    target.secret(&["inspect", &id]).fails(&format!("secret {id} not found"));
    target.secret(&["rm", "non-existing"]).fails("secret non-existing not found");
    // The name is free again, for another secret.
    assert_ne!(target.create("test_secret", &[]), id);
}

/// TestSecretCreateResolve (moby#28884).
fn a_name_that_is_anothers_id(target: &Target) {
    let id = target.create("first", &[]);
    let fake = target.create(&id, &[]);
    assert_eq!(target.secret(&["inspect", "-f", "{{.Spec.Name}}", &id]).ok(), "first");
    assert_eq!(target.secret(&["rm", &id]).ok(), id);
    assert_eq!(target.secret(&["ls", "-q"]).ok(), fake, "the real one went");
    // Now the text is a name only: the beginning of a name finds nothing, the whole name and the beginning of an id do.
    let beginning = &id[..5];
    assert!(!fake.starts_with(beginning), "two random ids begin alike");
    target.secret(&["rm", beginning]).fails(&format!("secret {beginning} not found"));
    assert_eq!(target.secret(&["inspect", "-f", "{{.ID}}", &id]).ok(), fake);
    assert_eq!(target.secret(&["rm", &fake[..5]]).ok(), fake[..5]);
    assert_eq!(target.secret(&["ls", "-q"]).ok(), "");
}

/// moby `daemon/cluster/helpers.go`: 37 ids have a first character in common.
fn a_prefix_of_two_ids_is_ambiguous(target: &Target) {
    let ids: Vec<String> = (0..37).map(|number| target.create(&format!("s{number}"), &[])).collect();
    let count = |first: &str| ids.iter().filter(|id| id.starts_with(first)).count();
    let first = ids.iter().map(|id| &id[..1]).find(|first| count(first) > 1).expect("37 ids, 36 characters");
    let words = format!("secret {first} is ambiguous ({} matches found)", count(first));
    target.secret(&["inspect", first]).fails(&words);
    target.secret(&["rm", first]).fails(&words);
    assert_eq!(target.secret(&["ls", "-q"]).ok().lines().count(), 37);
}

/// TestValidateSecretSpec, the names it takes.
fn good_names(target: &Target) {
    let longest = "a".repeat(64);
    for name in ["0", "A", "name-with--dashes", "name.with..dots", "a_b-c.d", "123", "a1", longest.as_str()] {
        target.create(name, &[]);
        assert_eq!(target.secret(&["inspect", "-f", "{{.Spec.Name}}", name]).ok(), name);
    }
}

/// TestValidateSecretSpec, the names it refuses.
fn bad_names(target: &Target) {
    let longer = "a".repeat(65);
    let words =
        "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]";
    for name in [".", "_", ".name", "name.", "/a", "a/b", "..", " ", "a\n", "!", "@", "a:b", ";", "é", longer.as_str()]
    {
        target.secret_with(&["create", name, "-"], b"x").fails(words);
    }
    target.secret_with(&["create", "", "-"], b"x").fails("name must be provided");
    assert_eq!(target.secret(&["ls", "-q"]).ok(), "");
}

fn names_are_unique_without_case(target: &Target) {
    let id = target.create("Secret", &[]);
    for name in ["secret", "SECRET"] {
        target.secret_with(&["create", name, "-"], b"x").fails(&format!("secret {name} already exists"));
    }
    // Look-up takes the name in any case as well, and an id only as it is.
    assert_eq!(target.secret(&["inspect", "-f", "{{.ID}}", "sEcReT"]).ok(), id);
    assert_eq!(target.secret(&["ls", "-q", "-f", "name=seC"]).ok(), id);
    let upper = id.to_ascii_uppercase();
    target.secret(&["inspect", &upper]).fails(&format!("secret {upper} not found"));
    assert_eq!(target.secret(&["rm", "SECRET"]).ok(), "SECRET");
}

/// TestValidateSecretSpec, the payloads: 1 to 511,999 bytes of any kind.
fn sizes(target: &Target) {
    target.secret_with(&["create", "one", "-"], b"x").ok();
    target.secret_with(&["create", "binary", "-"], b"\0\xff\xfe\r\n\0").ok();
    target.secret_with(&["create", "longest", "-"], &vec![0; 511_999]).ok();
    let words = "secret data must be larger than 0 and less than 512000 bytes";
    target.secret_with(&["create", "longer", "-"], &vec![0; 512_000]).fails(words);
    target.secret_with(&["create", "empty", "-"], b"").fails("error reading from STDIN: data is empty");
    let (status, refusal) = target.http("POST", "/secrets/create", r#"{"Name":"empty","Data":""}"#);
    assert_eq!(status, 400);
    assert!(refusal["message"].as_str().unwrap_or_default().contains(words), "{refusal}");
}

/// Every answer leaves `Spec.Data` out.
fn a_value_is_never_shown(target: &Target) {
    let value = b"correct horse battery staple";
    let encoded = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==";
    let id = target.secret_with(&["create", "s", "-"], value).ok();
    let (_, one) = target.get(&format!("/secrets/{id}"));
    let (_, all) = target.get("/secrets");
    assert!(one["Spec"]["Data"].is_null() && all[0]["Spec"]["Data"].is_null());
    let index = one["Version"]["Index"].as_u64().expect("an index");
    let spec = format!(r#"{{"Name":"s","Labels":{{"a":"b"}},"Data":"{encoded}"}}"#);
    let (status, updated) = target.http("POST", &format!("/secrets/{id}/update?version={index}"), &spec);
    assert_eq!(status, 200, "{updated}");
    let shown = [
        one.to_string(),
        all.to_string(),
        updated.to_string(),
        target.secret(&["inspect", "s"]).ok(),
        target.secret(&["inspect", "--pretty", "s"]).ok(),
        target.secret(&["ls", "--format", "json"]).ok(),
    ];
    for text in shown {
        assert!(!text.contains(encoded) && !text.contains("battery"), "{text}");
    }
}
