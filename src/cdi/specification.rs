//! A CDI specification file with one device for each service: text for engines, which add the hooks of a device that is
//! asked for to config.json. It names services and programs, never a secret.
//!
//! Source: Container Device Interface specification 1.1.0, `SPEC.md`; the fields used here are those of 0.5.0, so that
//! engines of 2022 read it too.

use std::path::Path;

use serde::Serialize;

use crate::model::{CREDENTIALS_VARIABLE, HOOK_ENVIRONMENT, HOOK_TIMEOUT, HookStage, ServiceName};

/// What stands before `=NAME` in the name of a device.
pub const KIND: &str = "runsecrets.io/service";
/// The oldest version of the format with device names that begin with a digit.
const VERSION: &str = "0.5.0";

/// A service that is to be a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Its name, and the device's.
    pub service: ServiceName,
    /// Whether its containers get `$CREDENTIALS_DIRECTORY`. An engine sets it over another value of the container's.
    pub credentials: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Specification<'a> {
    cdi_version: &'static str,
    kind: &'static str,
    devices: Vec<Device<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    name: &'a str,
    container_edits: Edits<'a>,
}

#[derive(Serialize)]
struct Edits<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<[&'static str; 1]>,
    hooks: [Hook<'a>; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hook<'a> {
    hook_name: &'static str,
    path: &'a Path,
    args: Vec<&'a str>,
    env: [&'static str; 1],
    timeout: u32,
}

/// The text of the file for these services; `arguments` are more arguments of the hook at `hook`, and both are UTF-8
/// and absolute where they are paths. `None` without services: the format knows no file without devices.
///
/// Both hooks are the device's own: a hook of the whole file would not be told the service, and so do nothing.
pub fn specification(services: &[Offered], hook: &Path, arguments: &[&str]) -> Option<String> {
    if services.is_empty() {
        return None;
    }
    let devices = services.iter().map(|service| device(service, hook, arguments)).collect();
    let specification = Specification { cdi_version: VERSION, kind: KIND, devices };
    serde_json::to_string_pretty(&specification).ok().map(|text| text + "\n")
}

fn device<'a>(offered: &'a Offered, hook: &'a Path, arguments: &[&'a str]) -> Device<'a> {
    let name = offered.service.as_str();
    let told = [&["--service", name], arguments].concat();
    let entry = |stage: HookStage| Hook {
        hook_name: stage.name(),
        path: hook,
        args: stage.arguments(&told),
        env: [HOOK_ENVIRONMENT],
        timeout: HOOK_TIMEOUT,
    };
    let env = offered.credentials.then_some([CREDENTIALS_VARIABLE]);
    Device { name, container_edits: Edits { env, hooks: HookStage::ALL.map(entry) } }
}

/// Whether CDI takes `name` for a device: `[A-Za-z0-9_.:-]`, first and last alphanumeric. Every service's name fits.
pub fn is_device_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text).unwrap()
    }

    fn offered(text: &str, credentials: bool) -> Offered {
        Offered { service: name(text), credentials }
    }

    #[test]
    fn each_service_is_a_device_with_both_hooks() {
        let hook = Path::new("/usr/libexec/runsecrets/runsecrets-hook");
        let text = specification(&[offered("db", true), offered("web.1", false)], hook, &["--run-dir", "/r"]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["cdiVersion"], &value["kind"]), (&"0.5.0".into(), &"runsecrets.io/service".into()));
        assert_eq!(value["devices"].as_array().unwrap().len(), 2);
        assert_eq!(value["devices"][1]["name"], "web.1");
        let entry = |stage: &str, argument: &str| {
            serde_json::json!({
                "hookName": stage, "path": hook, "env": ["PATH=/usr/sbin:/usr/bin"], "timeout": 60,
                "args": ["runsecrets-hook", argument, "--service", "web.1", "--run-dir", "/r"],
            })
        };
        let edits =
            serde_json::json!({"hooks": [entry("createRuntime", "create-runtime"), entry("poststop", "poststop")]});
        assert_eq!(value["devices"][1]["containerEdits"], edits);
        let env = serde_json::json!(["CREDENTIALS_DIRECTORY=/run/secrets"]);
        assert_eq!(value["devices"][0]["containerEdits"]["env"], env);
    }

    #[test]
    fn no_service_is_no_file() {
        assert_eq!(specification(&[], Path::new("/h"), &[]), None);
    }

    #[test]
    fn names_of_services_are_names_of_devices() {
        for text in ["a", "0", "web", "a-b_c.d", "9lives", &"x".repeat(63)] {
            assert!(is_device_name(name(text).as_str()), "{text}");
        }
        for text in ["", "-a", "a-", ".", "a b", "a/b", "a=b", "é"] {
            assert!(!is_device_name(text) && ServiceName::parse(text).is_err(), "{text}");
        }
    }
}
