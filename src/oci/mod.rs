//! temporary
#![forbid(unsafe_code)]
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
pub const MAX_STATE: usize = 1 << 20;
pub const MAX_CONFIG: usize = 16 << 20;
#[derive(Debug)]
pub struct OciError(String);
impl std::fmt::Display for OciError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
#[derive(Debug, Deserialize)]
pub struct State {
    pub id: String,
    pub bundle: Option<PathBuf>,
    pub pid: Option<i32>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}
impl State {
    pub fn parse(b: &[u8]) -> Result<Self, OciError> {
        let mut s: Self = serde_json::from_slice(b).map_err(|e| OciError(e.to_string()))?;
        s.pid = s.pid.filter(|p| *p > 0);
        Ok(s)
    }
}
#[derive(Debug, Deserialize)]
pub struct Root {
    pub path: PathBuf,
}
#[derive(Debug, Deserialize, Default)]
pub struct Linux {
    #[serde(rename = "mountLabel")]
    pub mount_label: Option<String>,
}
#[derive(Debug, Deserialize)]
pub struct Config {
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    pub root: Option<Root>,
    pub linux: Option<Linux>,
}
impl Config {
    pub fn parse(b: &[u8]) -> Result<Self, OciError> {
        serde_json::from_slice(b).map_err(|e| OciError(e.to_string()))
    }
    pub fn mount_label(&self) -> Option<&str> {
        self.linux.as_ref()?.mount_label.as_deref().filter(|l| !l.is_empty())
    }
}
