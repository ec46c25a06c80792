//! Our hooks in a config.json. It is edited as a JSON value, never through typed structs: those drop the fields that they
//! do not know, and a runtime would lose them.

use std::fmt;
use std::path::PathBuf;

use oci_spec::runtime::{Hook, HookBuilder};
use serde_json::{Map, Value};

use crate::model::{HOOK_ENVIRONMENT, HOOK_TIMEOUT, HookStage};

/// crun shows nobody what a hook says, unless this annotation names a file.
const CRUN_STDERR: &str = "run.oci.hooks.stderr";

/// What is put into a config.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Additions {
    /// The hook's binary, absolute.
    pub hook: PathBuf,
    /// Arguments after the stage's.
    pub arguments: Vec<String>,
    /// Variables of the container's environment, `NAME=VALUE`.
    pub variables: Vec<String>,
    /// Whether crun is to be told to show what a hook says on its own standard error.
    pub show_on_stderr: bool,
}

/// A config.json that cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// A part that we have to change is not what the specification says.
    Form {
        /// Which part.
        part: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The path of the hook cannot stand in JSON.
    HookPath,
    /// The environment has a variable already, with another value.
    Variable {
        /// Which.
        name: String,
        /// What it is to be.
        wanted: String,
    },
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { part, expected } => write!(f, "its '{part}' is not {expected}; is it an OCI config.json?"),
            Self::Variable { name, wanted } => write!(
                f,
                "the container's environment says another {name} than its service, which wants {wanted}; take it out there, or switch it off (`runsecrets service update --credentials=false`)"
            ),
            Self::HookPath => f.write_str("the path of the hook is not UTF-8; install it elsewhere"),
        }
    }
}

impl std::error::Error for EditError {}

/// Adds our createRuntime and poststop hooks behind those that are there; changes nothing where they are there already.
/// Returns whether anything changed.
///
/// # Errors
/// [`EditError`]; the value may be half changed then and is to be thrown away.
pub fn add_hooks(config: &mut Value, additions: &Additions) -> Result<bool, EditError> {
    let top = object(config, "config.json")?;
    let mut changed = false;
    for stage in HookStage::ALL {
        let entry = entry(additions, stage)?;
        let stage = stage.name();
        let hooks = object(member(top, "hooks", || Value::Object(Map::new())), "hooks")?;
        let list = member(hooks, stage, || Value::Array(Vec::new()));
        let Value::Array(list) = list else { return Err(EditError::Form { part: stage, expected: "a list" }) };
        if !list.iter().any(|present| same(present, &entry)) {
            list.push(entry);
            changed = true;
        }
    }
    for variable in &additions.variables {
        changed |= add_variable(top, variable)?;
    }
    if additions.show_on_stderr && changed {
        let annotations = object(member(top, "annotations", || Value::Object(Map::new())), "annotations")?;
        annotations.entry(CRUN_STDERR).or_insert_with(|| Value::String("/dev/stderr".to_owned()));
    }
    Ok(changed)
}

/// Adds `variable` to the environment of the first process. It never goes over another value: a program would look for its
/// secrets where they are not, or the one who set the value would be ignored.
fn add_variable(top: &mut Map<String, Value>, variable: &str) -> Result<bool, EditError> {
    let process = object(member(top, "process", || Value::Object(Map::new())), "process")?;
    let list = member(process, "env", || Value::Array(Vec::new()));
    let Value::Array(list) = list else { return Err(EditError::Form { part: "env", expected: "a list" }) };
    let (name, wanted) = variable.split_once('=').unwrap_or((variable, ""));
    let value = |text: &Value| Some(text.as_str()?.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    let present: Vec<String> = list.iter().filter_map(value).collect();
    if present.iter().any(|value| value != wanted) {
        return Err(EditError::Variable { name: name.to_owned(), wanted: wanted.to_owned() });
    }
    if present.is_empty() {
        list.push(Value::String(variable.to_owned()));
    }
    Ok(present.is_empty())
}

fn entry(additions: &Additions, stage: HookStage) -> Result<Value, EditError> {
    let more: Vec<&str> = additions.arguments.iter().map(String::as_str).collect();
    let arguments: Vec<String> = stage.arguments(&more).into_iter().map(str::to_owned).collect();
    let hook: Hook = HookBuilder::default()
        .path(additions.hook.clone())
        .args(arguments)
        .env(vec![HOOK_ENVIRONMENT.to_owned()])
        .timeout(i64::from(HOOK_TIMEOUT))
        .build()
        .map_err(|_| EditError::HookPath)?;
    serde_json::to_value(hook).map_err(|_| EditError::HookPath)
}

/// Whether two entries run the same program with the same arguments.
fn same(one: &Value, other: &Value) -> bool {
    one.get("path") == other.get("path") && one.get("args") == other.get("args")
}

fn object<'v>(value: &'v mut Value, part: &'static str) -> Result<&'v mut Map<String, Value>, EditError> {
    value.as_object_mut().ok_or(EditError::Form { part, expected: "an object" })
}

/// The member `key`; absent and `null` mean the same to runtimes written in Go.
fn member<'m>(map: &'m mut Map<String, Value>, key: &str, make: impl FnOnce() -> Value) -> &'m mut Value {
    let member = map.entry(key).or_insert(Value::Null);
    if member.is_null() {
        *member = make();
    }
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    fn additions() -> Additions {
        let arguments = vec!["--run-dir".to_owned(), "/r".to_owned()];
        Additions {
            hook: PathBuf::from("/usr/libexec/runsecrets/runsecrets-hook"),
            arguments,
            variables: Vec::new(),
            show_on_stderr: false,
        }
    }

    fn edited(text: &str, additions: &Additions) -> Result<String, EditError> {
        let mut value: Value = serde_json::from_str(text).unwrap();
        add_hooks(&mut value, additions)?;
        Ok(serde_json::to_string(&value).unwrap())
    }

    const CREATE: &str = r#"{"path":"/usr/libexec/runsecrets/runsecrets-hook","args":["runsecrets-hook","create-runtime","--run-dir","/r"],"env":["PATH=/usr/sbin:/usr/bin"],"timeout":60}"#;

    #[test]
    fn absent_and_null_hooks_are_made() {
        for text in [r#"{"a":1}"#, r#"{"a":1,"hooks":null}"#, r#"{"a":1,"hooks":{"poststop":null}}"#] {
            let after = edited(text, &additions()).unwrap();
            assert!(after.contains(&format!("\"createRuntime\":[{CREATE}]")), "{after}");
            assert!(after.contains("\"poststop\":[{") && after.starts_with("{\"a\":1,"), "{after}");
        }
    }

    #[test]
    fn hooks_that_are_there_stay_first_and_in_order() {
        let text = r#"{"hooks":{"prestart":[{"path":"/p"}],"createRuntime":[{"path":"/a","new":1},{"path":"/b"}]}}"#;
        let after = edited(text, &additions()).unwrap();
        assert!(after.starts_with(
            r#"{"hooks":{"prestart":[{"path":"/p"}],"createRuntime":[{"path":"/a","new":1},{"path":"/b"},{"path":"/usr"#
        ));
    }

    #[test]
    fn a_second_time_changes_nothing() {
        let once = edited(r#"{"z":{"unknown":[1,2.5,"x"]},"a":null}"#, &additions()).unwrap();
        assert_eq!(edited(&once, &additions()).unwrap(), once);
        assert!(once.starts_with(r#"{"z":{"unknown":[1,2.5,"x"]},"a":null,"hooks""#), "{once}");
    }

    #[test]
    fn crun_is_told_where_to_show_what_a_hook_says_unless_it_has_been() {
        let crun = Additions { show_on_stderr: true, ..additions() };
        assert!(edited("{}", &crun).unwrap().contains(r#""annotations":{"run.oci.hooks.stderr":"/dev/stderr"}"#));
        let own = r#"{"annotations":{"run.oci.hooks.stderr":"/own"}}"#;
        assert!(edited(own, &crun).unwrap().starts_with(r#"{"annotations":{"run.oci.hooks.stderr":"/own"},"#));
    }

    #[test]
    fn a_variable_is_added_once_and_over_no_other_value() {
        let variables = vec!["A_DIR=/a".to_owned()];
        let additions = Additions { variables, ..additions() };
        for text in ["{}", r#"{"process":null}"#, r#"{"process":{"env":null}}"#] {
            let once = edited(text, &additions).unwrap();
            assert!(once.contains(r#""process":{"env":["A_DIR=/a"]}"#), "{once}");
            assert_eq!(edited(&once, &additions).unwrap(), once);
        }
        let others = edited(r#"{"process":{"env":["A_DIRS=/b","XA_DIR=/b"],"cwd":"/"}}"#, &additions).unwrap();
        assert!(others.starts_with(r#"{"process":{"env":["A_DIRS=/b","XA_DIR=/b","A_DIR=/a"],"cwd":"/"}"#), "{others}");
        for text in [r#"{"process":{"env":["A_DIR=/b"]}}"#, r#"{"process":{"env":["A_DIR=/a","A_DIR="]}}"#] {
            let error = edited(text, &additions).unwrap_err().to_string();
            assert!(error.contains("another A_DIR than its service, which wants /a"), "{error}");
        }
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for (text, part) in
            [("[]", "config.json"), (r#"{"hooks":[]}"#, "hooks"), (r#"{"hooks":{"poststop":{}}}"#, "poststop")]
        {
            assert!(edited(text, &additions()).unwrap_err().to_string().contains(part), "{text}");
        }
    }
}
