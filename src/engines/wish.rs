//! What an engine is to be told, and what an edit of its file yields. Names that stand in engines' files are here.

use std::path::Path;

/// The name of the runtime that is our wrapper.
pub(super) const RUNTIME: &str = "runsecrets";
/// The name of the one that also reads the claim in a container's environment.
pub(super) const ENVIRONMENT_RUNTIME: &str = "runsecrets-env";
/// The name of the one that has the agent judge every container, by its labels.
pub(super) const ASKING_RUNTIME: &str = "runsecrets-ask";
/// The annotations that our hook reads, as a pattern of Go's `path.Match`.
pub(super) const ANNOTATIONS: &str = "io.runsecrets.*";
/// Where the wrapper is installed.
pub(super) const WRAPPER: &str = "/usr/bin/runsecrets-runtime";
/// Where our oci-hooks(5) files are installed.
pub(super) const HOOKS_DIR: &str = "/usr/share/runsecrets/hooks.d";

/// What the user asks for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The wrapper's program.
    pub(super) wrapper: String,
    /// Whether the user has named it.
    pub(super) wrapper_is_told: bool,
    /// The hook's program, where it is not the one that the wrapper finds.
    pub(super) hook: Option<String>,
    /// The directory with our oci-hooks(5) files.
    pub(super) hooks_dir: String,
    /// Whether Docker gets the runtime that reads the environment, too.
    pub(super) claim_from_environment: bool,
    /// Whether Docker gets the runtime that asks the agent, too.
    pub(super) ask: bool,
    /// Whether CRI-O gets a runtime in place of the directory.
    pub(super) as_runtime: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            wrapper: WRAPPER.to_owned(),
            wrapper_is_told: false,
            hook: None,
            hooks_dir: HOOKS_DIR.to_owned(),
            claim_from_environment: false,
            ask: false,
            as_runtime: false,
        }
    }
}

impl Wish {
    /// The wrapper in place of the runtime `real`, where an engine can give it no arguments: by the name under which it
    /// is called, it knows which runtime it stands for. What is to be said about it comes with it.
    pub(super) fn wrapper_in_place_of(&self, real: Option<&str>) -> (String, Option<String>) {
        let real = real.filter(|real| !real.is_empty() && !self.wrapper_is_told);
        let name = real.and_then(|real| Path::new(real).file_name()).and_then(|name| name.to_str());
        match (name, real) {
            (None, _) | (_, None) => (self.wrapper.clone(), None),
            (Some(name @ ("runc" | "crun")), _) => {
                let link = Path::new(&self.wrapper).with_file_name(format!("runsecrets-{name}")).display().to_string();
                let note =
                    format!("the default runtime calls {name}; so that ours does, too: ln -s {} {link}", self.wrapper);
                (link, Some(note))
            }
            (Some(_), Some(real)) => {
                let note = format!(
                    "the default runtime calls {real}, ours calls runc; where that matters, give --runtime-path the path of a script that calls: {} --real-runtime {real} \"$@\"",
                    self.wrapper
                );
                (self.wrapper.clone(), Some(note))
            }
        }
    }
}

/// Whether `program` is our wrapper, by any of its names.
pub(super) fn is_wrapper(program: &str) -> bool {
    let name = Path::new(program).file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| matches!(name, "runsecrets-runtime" | "runsecrets-runc" | "runsecrets-crun"))
}

/// A text after an edit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edited {
    /// The text.
    pub(super) text: String,
    /// What the user should know besides.
    pub(super) notes: Vec<String>,
}
