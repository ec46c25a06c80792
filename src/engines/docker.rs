//! Docker's daemon.json: the runtime `runsecrets`, and where asked for one that reads the claim in a container's
//! environment, and one that has the agent look for a label. Text in, text out.

use serde_json::{Map, Value, json};

use super::error::EditError;
use super::json;
use super::wish::{ASKING_RUNTIME, ENVIRONMENT_RUNTIME, Edited, RUNTIME, Wish, is_wrapper};

/// The names of all that may be ours.
const OURS: [&str; 3] = [RUNTIME, ENVIRONMENT_RUNTIME, ASKING_RUNTIME];
/// The type of a runtime that has options and calls a runc.
const RUNC_V2: &str = "io.containerd.runc.v2";

/// `text`, which may be empty, with our runtimes.
pub(super) fn install(text: &str, wish: &Wish) -> Result<Edited, EditError> {
    let before = read(text)?;
    let mut notes = Vec::new();
    let mut expected = before.clone();
    let mut edited = if text.trim().is_empty() { "{}\n".to_owned() } else { text.to_owned() };
    for (name, runtime) in wanted(&before, wish, &mut notes)? {
        let object = expected.entry("runtimes").or_insert_with(|| json!({})).as_object_mut();
        let runtimes = object.ok_or_else(|| shape("runtimes", "an object"))?;
        match runtime {
            Some(runtime) if runtimes.get(name) != Some(&runtime) => {
                edited = json::set(&edited, &["runtimes", name], &runtime).ok_or(EditError::Outcome)?;
                runtimes.insert(name.to_owned(), runtime);
            }
            None if runtimes.contains_key(name) => {
                not_in_use(&before, name)?;
                edited = json::remove(&edited, &["runtimes", name]).ok_or(EditError::Outcome)?;
                runtimes.shift_remove(name);
            }
            _ => {}
        }
    }
    if before == expected {
        return Ok(Edited { text: text.to_owned(), notes });
    }
    if read(&edited)? == expected { Ok(Edited { text: edited, notes }) } else { Err(EditError::Outcome) }
}

/// `text` without our runtimes, and without the list of runtimes where nothing else is in it.
pub(super) fn uninstall(text: &str) -> Result<String, EditError> {
    let mut expected = read(text)?;
    let mut edited = text.to_owned();
    for name in OURS {
        let Some(runtimes) = runtimes_mut(&mut expected)?.filter(|runtimes| runtimes.contains_key(name)) else {
            continue;
        };
        runtimes.shift_remove(name);
        edited = json::remove(&edited, &["runtimes", name]).ok_or(EditError::Outcome)?;
        if runtimes.is_empty() {
            expected.shift_remove("runtimes");
            edited = json::remove(&edited, &["runtimes"]).ok_or(EditError::Outcome)?;
        }
        not_in_use(&expected, name)?;
    }
    if read(&edited)? == expected { Ok(edited) } else { Err(EditError::Outcome) }
}

/// Whether `text` says nothing.
pub(super) fn is_blank(text: &str) -> bool {
    read(text).is_ok_and(|config| config.is_empty())
}

/// The wrapper that `text` names as a runtime.
pub(super) fn wrapper(text: &str) -> Result<Option<String>, EditError> {
    let config = read(text)?;
    let runtimes = config.get("runtimes").and_then(Value::as_object);
    let programs = runtimes.into_iter().flatten().filter_map(|(name, runtime)| {
        let program = runtime.get("path").or_else(|| runtime.get("options")?.get("BinaryName"))?.as_str()?;
        (name == RUNTIME || is_wrapper(program)).then(|| program.to_owned())
    });
    Ok(programs.into_iter().next())
}

/// What `name` should be among the runtimes, for each name of ours; none where it should not be there.
fn wanted(
    config: &Map<String, Value>,
    wish: &Wish,
    notes: &mut Vec<String>,
) -> Result<[(&'static str, Option<Value>); 3], EditError> {
    let name = config.get("default-runtime").and_then(Value::as_str).unwrap_or("runc");
    let default = config.get("runtimes").and_then(|runtimes| runtimes.get(name));
    // Where ours is the default, there is nothing to inherit from, but what it has inherited before.
    if let Some(Value::Object(own)) = default.filter(|_| name == RUNTIME) {
        let own_as_is = Some(with_wrapper(own, wish));
        let there = |name: &str| config.get("runtimes").and_then(|runtimes| runtimes.get(name)).cloned();
        let [_, environment, asking] = OURS.map(|name| (name, there(name)));
        return Ok([(RUNTIME, own_as_is), environment, asking]);
    }
    let nothing = Map::new();
    let default = match default.filter(|_| !ours(name)) {
        Some(default) => default.as_object().ok_or_else(|| shape("the default runtime", "an object"))?,
        None => &nothing,
    };
    let text = |key: &str| default.get(key).and_then(Value::as_str);
    if let Some(kind) = text("runtimeType").filter(|kind| *kind != RUNC_V2) {
        return Err(EditError::DefaultRuntime { name: name.to_owned(), kind: kind.to_owned() });
    }
    let options = default.get("options").and_then(Value::as_object).unwrap_or(&nothing);
    let real = text("path").or_else(|| options.get("BinaryName")?.as_str()).filter(|real| !real.is_empty());

    // Docker gives arguments to a path, and options to a type.
    let mut own: Vec<Value> = Vec::new();
    if let Some(real) = real {
        own.extend([json!("--real-runtime"), json!(real)]);
    }
    if let Some(hook) = &wish.hook {
        own.extend([json!("--hook"), json!(hook)]);
    }
    let theirs = default.get("runtimeArgs").and_then(Value::as_array).cloned().unwrap_or_default();
    let by_path = |more: &[&str]| {
        let arguments: Vec<Value> =
            own.iter().cloned().chain(more.iter().map(|&more| json!(more))).chain(theirs.clone()).collect();
        if arguments.is_empty() {
            json!({"path": wish.wrapper})
        } else {
            json!({"path": wish.wrapper, "runtimeArgs": arguments})
        }
    };
    if wish.hook.is_some() && !options.is_empty() {
        notes.push("Docker gives no arguments to a runtime with options: with --hook-path those of the default runtime are not taken over".to_owned());
    }
    let runtime = if options.keys().any(|key| key != "BinaryName") && wish.hook.is_none() {
        let (wrapper, note) = wish.wrapper_in_place_of(real);
        notes.extend(note);
        let mut options = options.clone();
        options.insert("BinaryName".to_owned(), json!(wrapper));
        json!({"runtimeType": RUNC_V2, "options": options})
    } else {
        by_path(&[])
    };
    let environment = wish.claim_from_environment.then(|| by_path(&["--claim-from-environment"]));
    let asking = wish.ask.then(|| by_path(&["--ask"]));
    Ok([(RUNTIME, Some(runtime)), (ENVIRONMENT_RUNTIME, environment), (ASKING_RUNTIME, asking)])
}

/// A runtime of ours as it stands, with the wrapper that is wished for.
fn with_wrapper(own: &Map<String, Value>, wish: &Wish) -> Value {
    let mut own = own.clone();
    match own.get_mut("options").and_then(Value::as_object_mut) {
        Some(options) => options.insert("BinaryName".to_owned(), json!(wish.wrapper)),
        None => own.insert("path".to_owned(), json!(wish.wrapper)),
    };
    Value::Object(own)
}

fn not_in_use(config: &Map<String, Value>, name: &str) -> Result<(), EditError> {
    match config.get("default-runtime") {
        Some(default) if default == name => Err(EditError::InUse { key: "default-runtime", name: name.to_owned() }),
        _ => Ok(()),
    }
}

fn ours(name: &str) -> bool {
    OURS.contains(&name)
}

fn runtimes_mut(config: &mut Map<String, Value>) -> Result<Option<&mut Map<String, Value>>, EditError> {
    let Some(runtimes) = config.get_mut("runtimes") else { return Ok(None) };
    runtimes.as_object_mut().map(Some).ok_or_else(|| shape("runtimes", "an object"))
}

/// An empty file is an empty object to dockerd, too.
fn read(text: &str) -> Result<Map<String, Value>, EditError> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text).map_err(|cause| EditError::Json(cause.to_string()))? {
        Value::Object(config) => Ok(config),
        _ => Err(shape("the file", "one object")),
    }
}

fn shape(key: &str, expected: &'static str) -> EditError {
    EditError::Shape { key: key.to_owned(), expected }
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
