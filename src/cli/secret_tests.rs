//! Shapes pinned from the Docker client 28.2 against a swarm of Docker 20.10.

use super::*;

fn secrets() -> Value {
    let json = r#"[
        {"ID":"ej7navusj2oiqqiqoep6b9ucf","Version":{"Index":11},"CreatedAt":"1970-01-01T00:00:00.636793563Z","UpdatedAt":"1970-01-01T00:01:30Z","Spec":{"Name":"s10","Labels":{"env":"prod","tier":"1"}}},
        {"ID":"0jdjfbu99l6fydqj0ulbc6u67","Version":{"Index":12},"CreatedAt":"1970-01-01T00:00:00Z","UpdatedAt":"1970-01-01T00:00:00Z","Spec":{"Name":"s2","Labels":{}}},
        {"ID":"sadu6h4177iixcyk9vz2seujj","Version":{"Index":13},"CreatedAt":"1970-01-01T00:00:00Z","UpdatedAt":"1970-01-01T00:00:00Z","Spec":{"Name":"Alpha","Labels":{}}}]"#;
    serde_json::from_str::<Value>(json).unwrap().typed()
}

fn shown(format: &str, quiet: bool) -> String {
    let name = |secret: &Value| secret.field("Spec").unwrap().text_of("Name").to_owned();
    let Value::List(mut objects) = secrets() else { panic!("a list") };
    objects.sort_by(|a, b| format::natural_order(&name(a), &name(b)));
    let rows: Vec<Value> = objects.iter().map(|secret| row(secret, 120_000_000_000)).collect();
    format::listed(&COLUMNS, format, quiet, &rows).unwrap()
}

#[test]
fn the_table_is_dockers() {
    assert_eq!(
        shown("", false),
        "ID                          NAME      DRIVER    CREATED              UPDATED\n\
         sadu6h4177iixcyk9vz2seujj   Alpha               2 minutes ago        2 minutes ago\n\
         0jdjfbu99l6fydqj0ulbc6u67   s2                  2 minutes ago        2 minutes ago\n\
         ej7navusj2oiqqiqoep6b9ucf   s10                 About a minute ago   30 seconds ago\n"
    );
    assert_eq!(shown("table", false), shown("", false));
    assert_eq!(format::listed(&COLUMNS, "", false, &[]).unwrap(), "ID        NAME      DRIVER    CREATED   UPDATED\n");
}

#[test]
fn quiet_shows_ids_and_a_format_wins_over_it() {
    let ids = "sadu6h4177iixcyk9vz2seujj\n0jdjfbu99l6fydqj0ulbc6u67\nej7navusj2oiqqiqoep6b9ucf\n";
    assert_eq!(shown("", true), ids);
    assert_eq!(shown("{{.Name}}", true), "Alpha\ns2\ns10\n");
}

#[test]
fn json_has_dockers_keys_in_its_order() {
    let line = "{\"CreatedAt\":\"About a minute ago\",\"Driver\":\"\",\"ID\":\"ej7navusj2oiqqiqoep6b9ucf\",\
                \"Labels\":\"env=prod,tier=1\",\"Name\":\"s10\",\"UpdatedAt\":\"30 seconds ago\"}";
    assert_eq!(shown("json", false).lines().last(), Some(line));
    assert_eq!(shown("{{json .}}", false), shown("json", false));
}

#[test]
fn a_table_of_ones_own_has_titles_and_the_label_method() {
    assert_eq!(
        shown("table {{.ID}}\\t{{.Name}}\\t{{.Label \"env\"}}\\t{{.Labels}}", false),
        "ID                          NAME      env       LABELS\n\
         sadu6h4177iixcyk9vz2seujj   Alpha               \n\
         0jdjfbu99l6fydqj0ulbc6u67   s2                  \n\
         ej7navusj2oiqqiqoep6b9ucf   s10       prod      env=prod,tier=1\n"
    );
    assert_eq!(shown("table {{upper .Name}}: {{.Driver}}", false).lines().next(), Some("NAME: DRIVER"));
    assert_eq!(shown("raw", false), "raw\nraw\nraw\n");
}

#[test]
fn inspect_is_dockers_json() {
    let Value::List(objects) = secrets() else { panic!("a list") };
    let expected = r#"[
    {
        "ID": "ej7navusj2oiqqiqoep6b9ucf",
        "Version": {
            "Index": 11
        },
        "CreatedAt": "1970-01-01T00:00:00.636793563Z",
        "UpdatedAt": "1970-01-01T00:01:30Z",
        "Spec": {
            "Name": "s10",
            "Labels": {
                "env": "prod",
                "tier": "1"
            }
        }
    },
    {
        "ID": "0jdjfbu99l6fydqj0ulbc6u67",
        "Version": {
            "Index": 12
        },
        "CreatedAt": "1970-01-01T00:00:00Z",
        "UpdatedAt": "1970-01-01T00:00:00Z",
        "Spec": {
            "Name": "s2",
            "Labels": {}
        }
    }
]
"#;
    assert_eq!(format::inspected("", &objects[..2]).unwrap(), expected);
    assert_eq!(format::inspected("", &[]).unwrap(), "[]\n");
    assert!(format::inspected("json", &objects[1..2]).unwrap().starts_with("[{\"ID\":\"0jdj"));
    assert_eq!(format::inspected("{{.ID}} {{.Spec.Name}}", &objects[1..2]).unwrap(), "0jdjfbu99l6fydqj0ulbc6u67 s2\n");
}

#[test]
fn pretty_is_dockers() {
    let Value::List(objects) = secrets() else { panic!("a list") };
    let expected = "ID:              ej7navusj2oiqqiqoep6b9ucf
Name:              s10
Labels:
 - env=prod
 - tier=1
Driver:            
Created at:        1970-01-01 00:00:00.636793563 +0000 utc
Updated at:        1970-01-01 00:01:30 +0000 utc
ID:              0jdjfbu99l6fydqj0ulbc6u67
Name:              s2
Driver:            
Created at:        1970-01-01 00:00:00 +0000 utc
Updated at:        1970-01-01 00:00:00 +0000 utc
";
    assert_eq!(format::pretty(PRETTY, objects[..2].iter().map(pretty_fields).collect()).unwrap(), expected);
}

#[test]
fn only_yes_is_yes() {
    assert!(confirmed(&b"y\n"[..]) && confirmed(&b"Y"[..]));
    for answer in [&b""[..], b"\n", b"n\n", b"yes\n", b"\xff\n"] {
        assert!(!confirmed(answer), "{answer:?}");
    }
}
