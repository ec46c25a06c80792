//! What `compose convert` does with every kind of secret, what it says, and what it refuses; no engine is needed.

use super::*;

impl Shop {
    /// The same project with this file.
    fn with(text: &str) -> Self {
        let shop = Self::new(Runtime::Runc);
        shop.write("docker-compose.yml", text);
        shop
    }

    /// Converts as the project `shop`.
    fn convert(&self, more: &[&str]) -> Result<String, String> {
        self.cli(&[&["compose", "convert", "-p", "shop"], more].concat())
    }

    /// The refusal, after which the agent has what it had.
    fn refuses(&self, more: &[&str], part: &str) {
        let state = |bed: &Bed| {
            bed.cli_ok(&["secret", "ls", "--format", "{{.ID}} {{.Name}}"]) + &bed.cli_ok(&["service", "ls", "-q"])
        };
        let before = state(&self.bed);
        let said = self.convert(more).unwrap_err();
        assert!(said.contains(part), "no '{part}' in: {said}");
        assert_eq!(state(&self.bed), before, "after: {said}");
    }

    fn inspect(&self, kind: &str, name: &str) -> serde_json::Value {
        let found: serde_json::Value = serde_json::from_str(&self.bed.cli_ok(&[kind, "inspect", name])).unwrap();
        found[0].clone()
    }
}

const ONE: &str = "services: {web: {image: web, secrets: [key]}}\nsecrets: {key: {file: db_password.txt}}\n";

#[test]
fn every_origin_is_stored() {
    let shop = Shop::with(
        "name: ignored\nservices:\n  web:\n    image: web\n    secrets:\n      - {source: a, target: /etc/a, uid: \"7\", gid: \"8\", mode: 0440}\n      \
         - b\n      - c\n      - d\nsecrets:\n  a: {file: db_password.txt, labels: {team: blue}}\n  b: {environment: B}\n  \
         c: {environment: C, name: special}\n  d: {external: true, name: elsewhere}\n",
    );
    shop.write(".env", &format!("B='{}'\n", shop.root.value()));
    shop.bed.secret("elsewhere", b"e");
    let mut command = Command::new(CLI);
    command.env("C", shop.user.value());
    let output = shop.run(command, &["compose", "convert", "-p", "shop"]);
    assert!(output.status.success(), "{}", words(&output));
    let secret = shop.inspect("secret", "shop_a");
    assert_eq!(secret["Spec"]["Labels"]["team"], "blue");
    assert_eq!(secret["Spec"]["Labels"]["io.runsecrets.compose.project"], "shop");
    let service = shop.inspect("service", "shop_web");
    let grant = serde_json::json!({
        "Source": "shop_a", "Target": "/etc/a", "UID": "7", "GID": "8", "Mode": "0440", "Until": null,
    });
    assert_eq!(service["Secrets"][0], grant);
    let sources: Vec<_> = service["Secrets"].as_array().unwrap().iter().map(|grant| grant["Source"].clone()).collect();
    assert_eq!(sources, ["shop_a", "shop_b", "special", "elsewhere"]);

    // The container has them, each with its own value.
    let container = shop.bed.start(&shop.bed.bundle("shop_web"));
    let read = |path: &str| container.exec(&["cat", path]);
    assert_eq!(read("/etc/a"), shop.user.value());
    assert_eq!(read("/run/secrets/b"), shop.root.value());
    assert_eq!(read("/run/secrets/c"), shop.user.value());
    assert_eq!(read("/run/secrets/d"), "e");
    container.stop();
    // Nothing is in the adjusted file, nor left of writing it.
    let adjusted = std::fs::read_to_string(shop.path(ADJUSTED)).unwrap();
    assert!(
        adjusted.starts_with("# Written by runsecrets from docker-compose.yml, of the project shop:"),
        "{adjusted}"
    );
    assert!(!adjusted.contains("secrets:") && !shop.user.is_in(adjusted.as_bytes()), "{adjusted}");
    let mut names: Vec<_> = std::fs::read_dir(shop.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".env", ADJUSTED, "db_password.txt", "db_root_password.txt", "docker-compose.yml"]);
}

#[test]
fn a_second_time_changes_nothing_and_what_differs_is_told() {
    let shop = Shop::with(ONE);
    let said = shop.convert(&[]).unwrap();
    assert!(said.contains("secret shop_key: stored\nservice shop_web: made\n"), "{said}");
    let state = || (shop.inspect("secret", "shop_key"), shop.inspect("service", "shop_web"));
    let before = state();
    let said = shop.convert(&[]).unwrap();
    assert!(said.contains("secret shop_key: unchanged\nservice shop_web: unchanged\n"), "{said}");
    assert_eq!(state(), before);

    // Another value.
    shop.write("db_password.txt", shop.root.value());
    shop.refuses(&[], "is not the one that is stored: shop_key;");
    assert_eq!(state(), before);
    // What it says to do works, both ways.
    shop.write("docker-compose.yml", &ONE.replace("file: db", "name: shop_key_2, file: db"));
    let said = shop.convert(&[]).unwrap();
    assert!(said.contains("secret shop_key_2: stored\nservice shop_web: grants updated"), "{said}");
    let grants = shop.inspect("service", "shop_web")["Secrets"].clone();
    assert_eq!((grants.as_array().unwrap().len(), &grants[0]["Source"]), (1, &"shop_key_2".into()));
    let container = shop.bed.start(&shop.bed.bundle("shop_web"));
    let read = || container.exec(&["cat", "/run/secrets/key"]);
    assert_eq!(read(), shop.root.value());
    shop.write("db_password.txt", shop.user.value());
    let said = shop.convert(&["--update"]).unwrap();
    assert!(said.contains("secret shop_key_2: given its new value\nservice shop_web: unchanged"), "{said}");
    assert_eq!(read(), shop.user.value());
    container.stop();

    // What is no longer in the file is told.
    assert!(
        said.contains("secret shop_key: no longer in the file; remove it with: runsecrets secret rm shop_key\n"),
        "{said}"
    );
    shop.bed.cli_ok(&["secret", "rm", "shop_key"]);

    // Other grants and labels of the same secret.
    let two = "services: {web: {image: web, secrets: [{source: key, mode: 0400}, {source: key, target: again}]}}\n\
               secrets: {key: {name: shop_key_2, file: db_password.txt, labels: [team=blue]}}\n";
    shop.write("docker-compose.yml", two);
    let said = shop.convert(&[]).unwrap();
    assert!(said.contains("secret shop_key_2: labels updated\nservice shop_web: grants updated"), "{said}");
    let service = shop.inspect("service", "shop_web");
    let grants = service["Secrets"].as_array().unwrap();
    let shown = |grant: &serde_json::Value| format!("{} {}", grant["Target"], grant["Mode"]);
    let shown: Vec<String> = grants.iter().map(shown).collect();
    assert_eq!(shown, [r#""/run/secrets/key" "0400""#, r#""/run/secrets/again" "0444""#]);
    let said = shop.convert(&[]).unwrap();
    assert!(said.contains("secret shop_key_2: unchanged\nservice shop_web: unchanged\n"), "{said}");
}

#[test]
fn what_belongs_to_others_is_not_touched() {
    let shop = Shop::with(ONE);
    shop.bed.secret("shop_key", b"mine");
    shop.refuses(&[], "secret 'shop_key' exists and was not made from this project");
    shop.bed.cli_ok(&["secret", "rm", "shop_key"]);
    shop.bed.service("shop_web", &[]);
    shop.refuses(&[], "service 'shop_web' exists and was not made from this project");
    shop.bed.cli_ok(&["service", "rm", "shop_web"]);
    shop.write(ADJUSTED, "services: {}\n");
    shop.refuses(&[], "exists and was not written by this program");
    assert_eq!(std::fs::read_to_string(shop.path(ADJUSTED)).unwrap(), "services: {}\n");
    std::fs::remove_file(shop.path(ADJUSTED)).unwrap();
    shop.convert(&[]).unwrap();
    shop.convert(&[]).unwrap();
}

#[test]
fn what_is_missing_is_told_before_anything_is_stored() {
    let file = |secrets: &str| {
        format!(
            "services: {{web: {{image: web, secrets: [ok, key]}}}}\nsecrets: {{ok: {{file: db_password.txt}}, {secrets}}}\n"
        )
    };
    let shop = Shop::with("");
    shop.refuses(&[], "line 1: the file is empty");
    for (secrets, part) in [
        ("other: {file: x}", "service \"web\" refers to undefined secret key"),
        ("key: {file: none.txt}", "error reading from none.txt: open none.txt: no such file or directory"),
        ("key: {file: \"${LEAK}\"}", "error reading from ${LEAK}: open ${LEAK}: no such file or directory"),
        ("key: {file: empty.txt}", "error reading from empty.txt: data is empty"),
        ("key: {file: long.txt}", "secret data must be larger than 0 and less than 512000 bytes"),
        (
            "key: {environment: NONE_OF_THESE}",
            "environment variable \"NONE_OF_THESE\" required by secret \"key\" is not set",
        ),
        ("key: {environment: \"${LEAK}\"}", "environment variable \"${LEAK}\" required by secret \"key\" is not set"),
        (
            "key: {external: true}",
            "external secret 'key' does not exist; make it with: runsecrets secret create key FILE",
        ),
    ] {
        shop.write("docker-compose.yml", &file(secrets));
        shop.write("empty.txt", "");
        shop.write("long.txt", &"x".repeat(512_000));
        shop.write(".env", &format!("LEAK='{}'\n", shop.user.value()));
        shop.refuses(&[], part);
        assert!(!shop.path(ADJUSTED).exists());
    }
    shop.write("docker-compose.yml", ONE);
    shop.refuses(&["-f", "none.yaml"], "error reading from none.yaml");
    shop.refuses(&["-f", "docker-compose.yml", "--env-file", "none.env"], "error reading from none.env");
    assert!(
        shop.cli(&["compose", "convert", "-f", "docker-compose.yml", "-p", "Shop"])
            .unwrap_err()
            .contains("project name")
    );
}

#[test]
fn the_adjusted_file_is_as_private_as_the_original_and_goes_where_it_is_told() {
    let shop = Shop::with(ONE);
    std::fs::set_permissions(shop.path("docker-compose.yml"), std::fs::Permissions::from_mode(0o600)).unwrap();
    shop.convert(&[]).unwrap();
    assert_eq!(std::fs::metadata(shop.path(ADJUSTED)).unwrap().mode() & 0o7777, 0o600);
    let output = shop.run(Command::new(CLI), &["compose", "convert", "-p", "shop", "-o", "-", "--claim", "annotation"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("io.runsecrets.service: \"shop_web\"\n    runtime: \"runsecrets\"\n"), "{text}");
    // From a directory below, and into another file.
    let below = shop.path("below");
    std::fs::create_dir(&below).unwrap();
    let mut command = Command::new("env");
    command.arg("-C").arg(&below).arg(CLI);
    let output = shop.run(command, &["compose", "convert", "-p", "shop", "-o", "other.yaml", "--claim", "runtime-env"]);
    let note = format!("run it with: --project-directory {}\n", shop.directory.path().display());
    assert!(output.status.success() && words(&output).contains(&note), "{}", words(&output));
    let text = std::fs::read_to_string(below.join("other.yaml")).unwrap();
    assert!(text.contains("RUNSECRETS_SERVICE: \"shop_web\""), "{text}");
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let shop = Shop::with(ONE);
    let said = shop.cli(&["compose", "up", "--with", "/nonexist/compose", "-p", "shop", "-d"]).unwrap_err();
    assert!(said.contains("cannot run /nonexist/compose"), "{said}");
    let mut command = Command::new(CLI);
    command.env("PATH", "/nonexist");
    let output = shop.run(command, &["compose", "up", "-p", "shop"]);
    assert!(
        words(&output).contains("neither 'docker compose' nor docker-compose nor podman-compose"),
        "{}",
        words(&output)
    );
    // It is told paths and names alone.
    let script = shop.path("podman-compose");
    let words_of_it = "#!/bin/sh\nfor a; do echo \"[$a]\"; done; grep -c ^ /proc/self/status >/dev/null\n";
    crate::testbed::running_agent::write_program(&script, words_of_it);
    let output = shop.run(
        Command::new(CLI),
        &["compose", "up", "--with", script.to_str().unwrap(), "-p", "shop", "-d", "--build", "web"],
    );
    let adjusted = shop.path(ADJUSTED);
    let expected = format!("[-f]\n[{}]\n[-p]\n[shop]\n[up]\n[-d]\n[--build]\n[web]\n", adjusted.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

/// Everything that a parser could take for something else.
const ODD: &str = r#"
version: "3.8"
x-base: &base
  restart: unless-stopped
  ulimits: {nofile: {soft: 20000, hard: 0x9C40}}
x-env: &env {YES: yes, "no": "no", Off: 'off', N: ~, EMPTY: , NULL_TEXT: 'null', FORCED: !!str on}
services:
  web:
    <<: *base
    image: "web:1.0"
    ports: [22:22, "80:80", 8080]
    environment: {<<: *env, YES: 'yes'}
    command: ["sh", "-c", "echo 'it''s' \"quoted\" \\ $$HOME ${X:-a b}"]
    entrypoint: |
      first line
        indented

      last line
    labels:
      - "a=b: c # d"
      - 'single ''quoted'''
      - plain with spaces
      - folded
        over lines

        and a paragraph
      - "\u00e9\u2028\t\x07"
      - é ☃ 𝄞
      - '- dash'
      - '? mark'
      - "!tag &anchor *alias %percent @at `tick`"
      - ' leading and trailing '
      - |+
        kept

      - >-
        folded
        text
    mem_limit: 1_000
    mode: [0440, 0o440, 1e3, .5, -1, +1, 1:30, 2001-12-14, .inf]
    nothing: []
    neither: {}
    deep: [[a, [b, {c: [d]}]], e]
    ? long key
    : value
    "key: with colon": x
    'true': quoted key
volumes:
  data:
"#;

/// PyYAML, by which docker-compose 1 and podman-compose read files, sees the same in both files.
#[test]
fn another_parser_reads_the_same_from_the_adjusted_file() {
    let shop = Shop::with(ODD);
    shop.convert(&[]).unwrap();
    let compare = "\
import sys, yaml
def exact(x):
    if isinstance(x, dict):
        return sorted((repr(key), exact(value)) for key, value in x.items())
    return [exact(item) for item in x] if isinstance(x, list) else repr(x)
a, b = (exact(yaml.safe_load(open(name, encoding='utf-8'))) for name in sys.argv[1:])
assert len(repr(a)) > 1000
print(a == b or f'{a}\\n{b}')
";
    let mut python = Command::new(program("python3", "python3-yaml"));
    python.args(["-c", compare]).arg(shop.path("docker-compose.yml")).arg(shop.path(ADJUSTED));
    let output = testbed::running_agent::run(&mut python, "python3-yaml");
    assert_eq!(words(&output), "True\n", "{}", std::fs::read_to_string(shop.path(ADJUSTED)).unwrap());
}
