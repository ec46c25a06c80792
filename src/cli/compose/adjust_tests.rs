//! Compose files in, adjusted files out.

use super::*;
use crate::cli::compose::environment::Environment;
use crate::cli::compose::{plan, yaml};

fn adjusted(text: &str, claim: Claim) -> String {
    adjusted_under(text, claim, claim.runtime())
}

fn adjusted_under(text: &str, claim: Claim, runtime: Option<&str>) -> String {
    let mut document = yaml::read(text).unwrap();
    let plan = plan::plan(&document, "shop", &Environment::of(|_| None).ok().unwrap()).unwrap();
    let whole = document.clone();
    match adjust_all(&mut [&mut document], &whole, &plan.services, claim, runtime) {
        Ok(()) => yaml::write(&document),
        Err(error) => error.to_string(),
    }
}

/// The document's file.
const DOCUMENT: &str = r#"
services:
   db:
     image: mysql:latest
     volumes:
       - db_data:/var/lib/mysql
     environment:
       MYSQL_ROOT_PASSWORD_FILE: /run/secrets/db_root_password
       MYSQL_DATABASE: wordpress
     secrets:
       - db_root_password
       - db_password

   wordpress:
     depends_on:
       - db
     image: wordpress:latest
     ports:
       - "8000:80"
     environment:
       - WORDPRESS_DB_PASSWORD_FILE=/run/secrets/db_password
     secrets:
       - db_password
   mail:
     image: mail
secrets:
   db_password:
     file: db_password.txt
   db_root_password:
     file: db_root_password.txt
volumes:
    db_data:
"#;

#[test]
fn by_device() {
    let expected = r#"services:
  db:
    image: mysql:latest
    volumes:
      - db_data:/var/lib/mysql
    environment:
      MYSQL_ROOT_PASSWORD_FILE: /run/secrets/db_root_password
      MYSQL_DATABASE: wordpress
    devices:
      - "runsecrets.io/service=shop_db"
  wordpress:
    depends_on:
      - db
    image: wordpress:latest
    ports:
      - "8000:80"
    environment:
      - WORDPRESS_DB_PASSWORD_FILE=/run/secrets/db_password
    devices:
      - "runsecrets.io/service=shop_wordpress"
  mail:
    image: mail
volumes:
  db_data:
"#;
    assert_eq!(adjusted(DOCUMENT, Claim::Device), expected);
}

#[test]
fn by_annotation() {
    let text = adjusted(DOCUMENT, Claim::Annotation);
    let added =
        "    annotations:\n      io.runsecrets.service: \"shop_db\"\n    runtime: \"runsecrets\"\n  wordpress:\n";
    assert!(text.contains(added), "{text}");
    let without = adjusted_under(DOCUMENT, Claim::Annotation, None);
    assert!(without.contains("io.runsecrets.service: \"shop_db\"") && !without.contains("runtime:"), "{without}");
}

#[test]
fn by_environment() {
    let text = adjusted(DOCUMENT, Claim::RuntimeEnv);
    let map =
        "      MYSQL_DATABASE: wordpress\n      RUNSECRETS_SERVICE: \"shop_db\"\n    runtime: \"runsecrets-env\"\n";
    let list = "db_password\n      - \"RUNSECRETS_SERVICE=shop_wordpress\"\n    runtime: \"runsecrets-env\"\n";
    assert!(text.contains(map) && text.contains(list), "{text}");
}

/// A service with a secret and `more`.
fn with(more: &str) -> String {
    format!("services: {{web: {{secrets: [a], {more}}}}}\nsecrets: {{a: {{file: a}}}}\n")
}

#[test]
fn what_is_there_is_added_to() {
    let table = [
        (
            Claim::Device,
            "devices: [/dev/fuse]",
            "devices:\n      - /dev/fuse\n      - \"runsecrets.io/service=shop_web\"\n",
        ),
        (Claim::Device, "devices: ", "devices:\n      - \"runsecrets.io/service=shop_web\"\n"),
        (Claim::Annotation, "annotations: [k=v]", "- k=v\n      - \"io.runsecrets.service=shop_web\"\n"),
        (Claim::RuntimeEnv, "environment: {A: }", "A:\n      RUNSECRETS_SERVICE: \"shop_web\"\n"),
        (Claim::RuntimeEnv, "runtime: runsecrets-env", "runtime: runsecrets-env\n"),
        (Claim::RuntimeEnv, "runtime: ", "runtime: \"runsecrets-env\"\n"),
        (Claim::Device, "runtime: nvidia", "runtime: nvidia\n"),
    ];
    for (claim, more, expected) in table {
        let text = adjusted(&with(more), claim);
        assert!(text.contains(expected), "{more}: {text}");
    }
}

#[test]
fn what_says_it_already_is_refused() {
    let table = [
        (Claim::Device, "devices: [runsecrets.io/service=other]", "services.web.devices: names a service"),
        (Claim::Device, "devices: {a: b}", "services.web.devices: is not a list"),
        (Claim::Annotation, "annotations: {io.runsecrets.service: x}", "services.web.annotations: says already"),
        (Claim::RuntimeEnv, "environment: [RUNSECRETS_SERVICE=x]", "services.web.environment: says already"),
        (Claim::RuntimeEnv, "environment: text", "services.web.environment: is neither"),
        (Claim::Annotation, "runtime: nvidia", "services.web.runtime: is another runtime"),
    ];
    for (claim, more, expected) in table {
        let text = adjusted(&with(more), claim);
        assert!(text.starts_with(expected), "{more}: {text}");
    }
}

#[test]
fn secrets_of_a_build_stay_and_aliases_do_not_bring_others_back() {
    let text = "
x-base: &base
  secrets: [a]
services:
  web:
    <<: *base
    build: {context: ., secrets: [b, {source: c, target: d}]}
secrets: {a: {file: a}, b: {file: b}, c: {file: c}}
";
    let expected = "x-base:
  secrets:
    - a
services:
  web:
    build:
      context: .
      secrets:
        - b
        - source: c
          target: d
    devices:
      - \"runsecrets.io/service=shop_web\"
secrets:
  b:
    file: b
  c:
    file: c
";
    assert_eq!(adjusted(text, Claim::Device), expected);
}
