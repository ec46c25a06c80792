//! Several files: a later one has its say over an earlier one, and each has an adjusted one, which the program merges.

use super::*;

const BASE: &str = "\
services:
  web: {image: web, command: [serve], secrets: [key, gone]}
  db: {image: db, secrets: [key]}
secrets:
  key: {file: nowhere.txt}
  gone: {file: nowhere.txt}
";
const OVER: &str = "\
services:
  web:
    environment: {LEVEL: debug}
    secrets: !override [{source: key, target: /etc/key}, other]
  db: {}
secrets:
  key: {file: db_password.txt}
  other: {file: db_root_password.txt}
";
const ADJUSTED_OVER: &str = "compose.runsecrets.2.yaml";

impl Shop {
    /// Two files that are merged without being named, and a third that is about secrets alone.
    fn of_several() -> Self {
        let shop = Self::new(Runtime::Runc);
        shop.write("docker-compose.yml", BASE);
        shop.write("docker-compose.override.yml", OVER);
        shop.write("last.yml", "secrets: {other: {labels: {team: blue}}}\n");
        shop
    }

    fn files(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut found: Vec<_> = found.map(|name| name.into_string().unwrap()).collect();
        found.retain(|name| name.contains("runsecrets"));
        found.sort();
        found
    }
}

#[test]
fn the_later_file_has_its_say_and_the_program_merges_the_rest() {
    let shop = Shop::of_several();
    let all = ["-f", "docker-compose.yml", "-f", "docker-compose.override.yml", "-f", "last.yml"];
    shop.cli(&[&["compose", "convert", "-p", "shop", "--claim", "runtime-env"], &all[..]].concat()).unwrap();
    assert_eq!(shop.files(), [ADJUSTED_OVER, ADJUSTED], "a file that was about secrets alone is left out");
    let container = shop.bed.start(&shop.bed.bundle("shop_web"));
    assert_eq!(container.exec(&["cat", "/etc/key"]), shop.user.value());
    assert_eq!(container.exec(&["cat", "/run/secrets/other"]), shop.root.value());
    assert_eq!(container.exec(&["ls", "/run/secrets"]), "other\n");
    container.stop();
    let inspected = shop.bed.cli_ok(&["secret", "inspect", "shop_other"]);
    assert!(inspected.contains("\"team\": \"blue\""), "{inspected}");
    // As the program that runs them sees them.
    let mut config = Command::new(program("docker-compose", "docker-compose"));
    config.current_dir(shop.path("")).args(["-p", "shop", "-f", ADJUSTED, "-f", ADJUSTED_OVER, "config"]);
    let output = config.stdin(Stdio::null()).output().unwrap();
    let said = words(&output);
    assert!(output.status.success() && !said.contains("secrets:"), "{said}");
    for part in ["RUNSECRETS_SERVICE: shop_web", "RUNSECRETS_SERVICE: shop_db", "LEVEL: debug", "- serve"] {
        assert_eq!(said.matches(part).count(), 1, "{part} in {said}");
    }
    assert_eq!(said.matches("runtime: runsecrets-env").count(), 2, "{said}");
    shop.values_are_nowhere_in(&[]);
}

#[test]
fn they_are_found_as_compose_finds_them() {
    let shop = Shop::of_several();
    let convert = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = Command::new(CLI);
        command.envs(variables.iter().copied());
        let output = shop.run(command, &[&["compose", "convert", "-p", "shop"], more].concat());
        if output.status.success() { Ok(words(&output)) } else { Err(words(&output)) }
    };
    let refused = convert(&[], &["-o", "-"]).unwrap_err();
    assert!(refused.contains("name the first one with: --output FILE"), "{refused}");
    assert_eq!(shop.bed.cli_ok(&["secret", "ls", "--quiet"]), "");
    convert(&[], &[]).unwrap();
    assert_eq!(shop.files(), [ADJUSTED_OVER, ADJUSTED], "the override that stands beside it");
    let both = [("COMPOSE_FILE", "docker-compose.yml:docker-compose.override.yml")];
    let said = convert(&both, &["-o", "out.runsecrets.yml"]).unwrap();
    assert!(said.contains("secret shop_key: unchanged") && said.contains("out.runsecrets.2.yml: written"), "{said}");
    // Its own say is looked at in all of them.
    shop.write("last.yml", "services: {web: {runtime: other}}\n");
    let all = ["-f", "last.yml", "-f", "docker-compose.yml", "-f", "docker-compose.override.yml"];
    let refused = convert(&[], &[&all[..], &["--claim", "annotation"]].concat()).unwrap_err();
    assert!(refused.contains("services.web.runtime: is another runtime"), "{refused}");
    shop.write("last.yml", "services: {web: {devices: !reset []}}\n");
    let all = ["-f", "docker-compose.yml", "-f", "docker-compose.override.yml", "-f", "last.yml"];
    let refused = convert(&[], &all).unwrap_err();
    assert!(refused.contains("services.web.devices: is reset here"), "{refused}");
}
