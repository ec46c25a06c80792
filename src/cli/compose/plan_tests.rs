//! Compose files in, what they ask for out.

use super::*;
use crate::cli::compose::yaml;

fn planned(text: &str) -> Result<Plan, ComposeError> {
    let variable = |name: &str| match name {
        "MODE" => Some("0400".to_owned()),
        "DIR" => Some("/srv".to_owned()),
        "LEAK" => Some("hunter2 !".to_owned()),
        _ => None,
    };
    plan(&yaml::read(text).unwrap(), "shop", &Environment::of(variable).ok().unwrap())
}

/// Each secret as `key name origin labels`, each service as `name: grant grant`.
fn shown(text: &str) -> String {
    let plan = match planned(text) {
        Ok(plan) => plan,
        Err(error) => return error.to_string(),
    };
    let mut lines = Vec::new();
    for Declared { key, name, origin, labels } in &plan.secrets {
        let origin = match origin {
            Origin::File { path, .. } => format!("file {path}"),
            Origin::Variable { name, .. } => format!("variable {name}"),
            Origin::External => "external".to_owned(),
        };
        let own = labels.as_map().iter().filter(|(key, _)| !key.starts_with("io.runsecrets."));
        let own: Vec<String> = own.map(|(key, value)| format!(" {key}={value}")).collect();
        assert!(labels.matches("io.runsecrets.compose.project=shop"));
        lines.push(format!("{key} {name} {origin}{}", own.concat()));
    }
    for claimant in &plan.services {
        let grant =
            |grant: &Grant| format!(" {}@{}:{}:{}:{}", grant.source, grant.target, grant.uid, grant.gid, grant.mode);
        let grants: Vec<String> = claimant.grants.as_slice().iter().map(grant).collect();
        lines.push(format!("{}:{}", claimant.name, grants.concat()));
    }
    lines.join("\n")
}

const DOCUMENT: &str = "
services:
   db:
     image: mysql:latest
     secrets:
       - db_root_password
       - db_password
   wordpress:
     image: wordpress:latest
     secrets:
       - db_password
   mail: {image: mail}
secrets:
   db_password:
     file: db_password.txt
   db_root_password:
     file: db_root_password.txt
   unused:
     file: unused.txt
volumes:
    db_data:
";

#[test]
fn the_documents_file_is_read() {
    let expected = "\
db_root_password shop_db_root_password file db_root_password.txt
db_password shop_db_password file db_password.txt
shop_db: shop_db_root_password@/run/secrets/db_root_password:0:0:0444 shop_db_password@/run/secrets/db_password:0:0:0444
shop_wordpress: shop_db_password@/run/secrets/db_password:0:0:0444";
    assert_eq!(shown(DOCUMENT), expected);
}

/// A file with one service of these secrets, and these secrets.
fn file(service: &str, secrets: &str) -> String {
    format!("services: {{web: {{secrets: {service}}}}}\nsecrets: {{{secrets}}}\n")
}

#[test]
fn every_form_of_a_reference_is_read() {
    let table = [
        ("[a]", "shop_a@/run/secrets/a:0:0:0444"),
        ("[{source: a}]", "shop_a@/run/secrets/a:0:0:0444"),
        ("[{source: a, target: b}]", "shop_a@/run/secrets/b:0:0:0444"),
        ("[{source: a, target: /etc/app/b, x-y: 1}]", "shop_a@/etc/app/b:0:0:0444"),
        ("[{source: a, uid: \"103\", gid: 7, mode: 0440}]", "shop_a@/run/secrets/a:103:7:0440"),
        ("[{source: a, uid: www-data, mode: \"440\"}]", "shop_a@/run/secrets/a:www-data:0:0440"),
        ("[{source: a, mode: 0o400}]", "shop_a@/run/secrets/a:0:0:0400"),
        ("[{source: a, mode: \"${MODE}\"}]", "shop_a@/run/secrets/a:0:0:0400"),
        ("[{source: a, target: \"${DIR}/x\"}]", "shop_a@/srv/x:0:0:0444"),
        ("[a, {source: a, target: b}]", "shop_a@/run/secrets/a:0:0:0444 shop_a@/run/secrets/b:0:0:0444"),
        ("[a, {source: a, mode: 0400}]", "shop_a@/run/secrets/a:0:0:0400"),
    ];
    for (reference, expected) in table {
        let shown = shown(&file(reference, "a: {file: a.txt}"));
        assert_eq!(shown, format!("a shop_a file a.txt\nshop_web: {expected}"), "{reference}");
    }
}

#[test]
fn every_form_of_a_declaration_is_read() {
    let table = [
        ("file: ./a", "a shop_a file ./a"),
        ("file: \"${DIR}/a\"", "a shop_a file /srv/a"),
        ("environment: A_VALUE", "a shop_a variable A_VALUE"),
        ("file: a, name: b-2", "a b-2 file a"),
        ("external: true", "a a external"),
        ("external: true, name: b", "a b external"),
        ("external: {name: b}", "a b external"),
        ("file: a, external: false", "a shop_a file a"),
        ("file: a, labels: {k: v, l: }", "a shop_a file a k=v l="),
        ("file: a, labels: [k=v, l]", "a shop_a file a k=v l="),
        ("file: a, x-note: y, driver: ", "a shop_a file a"),
    ];
    for (declaration, expected) in table {
        let shown = shown(&file("[a]", &format!("a: {{{declaration}}}")));
        assert_eq!(shown.lines().next().unwrap(), expected, "{declaration}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_its_place() {
    let declared = "a: {file: a}";
    let table = [
        (file("[b]", declared), "service \"web\" refers to undefined secret b"),
        (file("a", declared), "services.web.secrets: is not a list"),
        (file("[[a]]", declared), "services.web.secrets: holds neither names nor mappings"),
        (file("[{target: a}]", declared), "services.web.secrets: holds a mapping without 'source'"),
        (file("[{source: a, owner: 1}]", declared), "services.web.secrets: takes source, target, uid, gid and mode"),
        (file("[{source: a, mode: 440}]", declared), "write it in octal with a zero: 0440"),
        (file("[{source: a, mode: 288}]", declared), "write it in octal with a zero: 0440"),
        (file("[{source: a, mode: \"rw\"}]", declared), "invalid mode specified: 'rw'"),
        (file("[{source: a, mode: 01777}]", declared), "is above 0777"),
        (file("[{source: a, target: /proc/x}]", declared), "services.web.secrets: target '/proc/x' cannot be used"),
        (
            file("[a, {source: a, target: a/b}]", declared),
            "services.web: secret references 'shop_a' and 'shop_a' have a conflicting",
        ),
        (file("[a]", "a: {}"), "secrets.a: takes exactly one of 'file', 'environment' and 'external: true'"),
        (file("[a]", "a: {file: a, environment: A}"), "secrets.a: takes exactly one"),
        (file("[a]", "a: {file: a, external: true}"), "secrets.a: takes exactly one"),
        (file("[a]", "a: {content: hunter2}"), "secrets.a: has its value in the file"),
        (file("[a]", "a: {driver: vault}"), "secrets.a: has a driver"),
        (file("[a]", "a: {external: maybe}"), "secrets.a: 'external' is true or false"),
        (file("[a]", "a: {fil: a}"), "secrets.a: takes file, environment, external, name and labels"),
        (file("[a]", "a: {file: a, name: a/b}"), "secrets.a: invalid name"),
        (file("[a, b]", "a: {file: a, name: x}, b: {file: b, name: X}"), "secrets.b: has the name of another secret"),
        (file("[a]", "a: {file: \"${\"}"), "secrets.a: '${' begins no name"),
        (file("[a]", "a: {file: \"${NONE:?where is it}\"}"), "required variable NONE is missing a value: where is it"),
        ("include: [b.yaml]\n".to_owned(), "include: is not followed"),
        ("services: [web]\n".to_owned(), "services: is not a mapping"),
        ("services: {web: text}\n".to_owned(), "services.web: is not a mapping"),
        ("services: {web: {secrets: [a]}, Web: {secrets: [a]}}\nsecrets: {a: {file: a}}\n".to_owned(), "'shop_Web'"),
        (
            "services: {web: {secrets: [a]}, b: {extends: web}}\nsecrets: {a: {file: a}}\n".to_owned(),
            "services.b.extends:",
        ),
        (
            format!("services: {{{}: {{secrets: [a]}}}}\nsecrets: {{a: {{file: a}}}}\n", "w".repeat(60)),
            "invalid service name",
        ),
    ];
    for (text, expected) in table {
        let words = shown(&text);
        assert!(words.contains(expected) && !words.contains("hunter2"), "{text}: {words}");
    }
}

#[test]
fn what_a_variable_holds_is_not_in_a_message() {
    for (reference, declaration) in [
        ("[{source: a, uid: \"${LEAK}\"}]", "file: a"),
        ("[{source: a, mode: \"${LEAK}\"}]", "file: a"),
        ("[{source: a, target: \"${LEAK}/\"}]", "file: a"),
        ("[a]", "file: a, name: \"${LEAK}\""),
        ("[a]", "file: a, labels: [\"${LEAK}\"]"),
        ("[a]", "external: \"${LEAK}\""),
        ("[\"${LEAK}\"]", "file: a"),
        ("[{source: \"${LEAK}\", target: b}]", "file: a"),
    ] {
        let words = shown(&file(reference, &format!("a: {{{declaration}}}")));
        assert!(planned(&file(reference, &format!("a: {{{declaration}}}"))).is_err(), "{reference} {declaration}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}
