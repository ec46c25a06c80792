//! The parts of a Windows container's config.json that we read, and the mount that we add. It is edited as a JSON value:
//! what we do not know stays.
//!
//! Source: OCI runtime specification, config.md and config-windows.md.

use serde::Deserialize;
#[cfg(feature = "wrapper")]
use serde_json::{Map, Value, json};

use super::config::MAX_CONFIG;
#[cfg(feature = "wrapper")]
use super::edit::EditError;
use super::error::OciError;

/// The parts of a config.json that we read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WindowsConfig {
    #[serde(default)]
    root: Option<Root>,
    #[serde(default)]
    windows: Option<Windows>,
    #[serde(default)]
    mounts: Option<Vec<DirectoryMount>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Root {
    #[serde(default)]
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Windows {
    #[serde(default)]
    hyperv: Option<Hyperv>,
}

/// Its members are the runtime's: that it is there is what counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Hyperv {}

/// A directory of the host's in a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DirectoryMount {
    /// Where, in the container.
    pub destination: String,
    /// Which directory.
    #[serde(default)]
    pub source: String,
    /// `ro` is what makes it read-only.
    #[serde(default)]
    pub options: Option<Vec<String>>,
}

impl WindowsConfig {
    /// Reads a config.json.
    ///
    /// # Errors
    /// See [`OciError`].
    pub fn parse(text: &[u8]) -> Result<Self, OciError> {
        if text.len() > MAX_CONFIG {
            return Err(OciError::TooLong { limit: MAX_CONFIG });
        }
        serde_json::from_slice(text).map_err(|error| OciError::of(&error))
    }

    /// The root of the container's disk, where the host can reach it before the container runs: by process isolation, and
    /// if whoever made the bundle has mounted the layers. containerd's shim does that itself, later.
    pub fn layer(&self) -> Option<&str> {
        let hyperv = self.windows.as_ref().is_some_and(|windows| windows.hyperv.is_some());
        self.root.as_ref().map(|root| root.path.as_str()).filter(|path| !path.is_empty() && !hyperv)
    }

    /// Whether there is a mount of the same directory in the same place, and the container may not write to it.
    pub fn has(&self, wanted: &DirectoryMount) -> bool {
        let same = |one: &str, other: &str| {
            let plain = |text: &str| text.replace('/', "\\").trim_end_matches('\\').to_lowercase();
            plain(one) == plain(other)
        };
        self.mounts().iter().any(|mount| {
            mount.is_read_only() && same(&mount.source, &wanted.source) && same(&mount.destination, &wanted.destination)
        })
    }

    /// Where the container has mounts, if links are to be written to its layer.
    pub fn mounts_over_layer(&self) -> Vec<String> {
        let places = self.mounts().iter().map(|mount| mount.destination.clone());
        self.layer().map_or_else(Vec::new, |_| places.collect())
    }

    /// The container's mounts.
    pub fn mounts(&self) -> &[DirectoryMount] {
        self.mounts.as_deref().unwrap_or_default()
    }
}

impl DirectoryMount {
    /// A read-only mount.
    pub fn read_only(source: &str, destination: &str) -> Self {
        let (source, destination) = (source.to_owned(), destination.to_owned());
        Self { destination, source, options: Some(vec!["ro".to_owned()]) }
    }

    /// Whether a container may not write to it.
    pub fn is_read_only(&self) -> bool {
        self.options.iter().flatten().any(|option| option == "ro")
    }
}

/// Adds `mount` behind the others, unless it is there already. Returns whether anything changed.
///
/// # Errors
/// [`EditError::Form`]; the value is as it was then, but for a `null` that may have become a list.
#[cfg(feature = "wrapper")]
pub fn add_mount(config: &mut Value, mount: &DirectoryMount) -> Result<bool, EditError> {
    let form = |part, expected| EditError::Form { part, expected };
    let top: &mut Map<String, Value> = config.as_object_mut().ok_or(form("config.json", "an object"))?;
    let mounts = top.entry("mounts").or_insert(Value::Null);
    if mounts.is_null() {
        *mounts = Value::Array(Vec::new());
    }
    let list = mounts.as_array_mut().ok_or(form("mounts", "a list"))?;
    let entry = json!({"destination": mount.destination, "source": mount.source, "options": mount.options});
    if list.contains(&entry) {
        return Ok(false);
    }
    list.push(entry);
    Ok(true)
}

#[cfg(all(test, feature = "wrapper"))]
mod tests {
    use super::*;

    #[test]
    fn the_layer_is_known_only_where_it_can_be_reached() {
        let layer = |text: &str| WindowsConfig::parse(text.as_bytes()).unwrap().layer().map(str::to_owned);
        let volume = r"\\?\Volume{00000000-0000-0000-0000-000000000001}\";
        let with = |windows: &str| format!(r#"{{"root":{{"path":{}}},"windows":{windows}}}"#, json!(volume));
        assert_eq!(layer(&with(r#"{"layerFolders":["a"]}"#)).as_deref(), Some(volume));
        assert_eq!(layer(&with(r#"{"hyperv":null}"#)).as_deref(), Some(volume));
        assert_eq!(layer(&with(r#"{"hyperv":{}}"#)), None);
        for text in ["{}", r#"{"root":null}"#, r#"{"root":{}}"#, r#"{"root":{"path":""}}"#] {
            assert_eq!(layer(text), None, "{text}");
        }
    }

    #[test]
    fn a_mount_is_added_once_and_the_rest_stays() {
        let text = r#"{"z":{"unknown":[1,2.5]},"mounts":[{"destination":"C:\\d","source":"C:\\s","new":1}],"a":null}"#;
        let mut value: Value = serde_json::from_str(text).unwrap();
        let mount = DirectoryMount::read_only(r"C:\from", r"C:\to");
        assert_eq!(add_mount(&mut value, &mount), Ok(true));
        assert_eq!(add_mount(&mut value, &mount), Ok(false));
        let after = value.to_string();
        let added = r#"{"z":{"unknown":[1,2.5]},"mounts":[{"destination":"C:\\d","source":"C:\\s","new":1},{"destination":"C:\\to","source":"C:\\from","options":["ro"]}],"a":null}"#;
        assert_eq!(after, added);
        let read = WindowsConfig::parse(after.as_bytes()).unwrap();
        assert!(read.mounts()[1] == mount && mount.is_read_only() && !read.mounts()[0].is_read_only());
        for text in ["{}", r#"{"mounts":null}"#] {
            assert_eq!(add_mount(&mut serde_json::from_str(text).unwrap(), &mount), Ok(true));
        }
        assert!(add_mount(&mut json!({"mounts": {}}), &mount).unwrap_err().to_string().contains("mounts"));
    }

    #[test]
    fn only_the_very_mount_will_do() {
        let wanted = DirectoryMount::read_only(r"C:\runsecrets\c\secrets", r"C:\ProgramData\Docker\internal\secrets");
        let has =
            |mounts: &str| WindowsConfig::parse(format!(r#"{{"mounts":{mounts}}}"#).as_bytes()).unwrap().has(&wanted);
        let entry = |destination: &str, source: &str, options: &str| {
            format!(r#"[{{"destination":"{destination}","source":"{source}","options":{options}}}]"#)
        };
        let (at, from) = ("C:/ProgramData/docker/internal/secrets", r"c:\\runsecrets\\c\\secrets\\");
        assert!(has(&entry(at, from, r#"["rbind","ro"]"#)));
        for mounts in [
            "null",
            "[]",
            &entry(at, from, "[]"),
            &entry(at, from, "null"),
            &entry(at, "C:/other", r#"["ro"]"#),
            &entry("C:/other", from, r#"["ro"]"#),
        ] {
            assert!(!has(mounts), "{mounts}");
        }
    }
}
