//! Grants to files, directories and links: pure, so that every refusal is tested on any machine and comes before anything is
//! written.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Grant, Grants, Id, Mode, Owner, SecretName};

use super::error::WindowsError;
use super::target::{self, INTERNAL_DIR, SECRETS_DIR, WindowsTarget};

/// How secrets come to their targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// The directory of values shows at [`INTERNAL_DIR`], and links in the container's layer lead there: as Docker does.
    Links,
    /// There is no layer to write links to (containerd mounts it later, Hyper-V keeps it in the guest): the directory shows
    /// at [`SECRETS_DIR`] itself, with the files under their own names. Other targets are refused.
    Directory,
}

impl Layout {
    /// Where the directory shows in the container.
    pub fn mount_point(self) -> &'static str {
        match self {
            Self::Links => INTERNAL_DIR,
            Self::Directory => SECRETS_DIR,
        }
    }
}

/// What a plan is made from.
#[derive(Debug)]
pub struct Request<'a> {
    /// What the container gets.
    pub grants: &'a Grants,
    /// The id of each grant's secret, in order.
    pub ids: &'a [Id],
    /// How.
    pub layout: Layout,
}

/// One file of the container's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFile {
    /// Which grant has its value, by index: the first of those that share it.
    pub grant: usize,
    /// Its path in the container's directory: names without separators.
    pub path: Vec<String>,
}

/// One link in the container's layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLink {
    /// Where, from the root of the layer.
    pub at: Vec<String>,
    /// Where it leads, as the container sees it.
    pub to: String,
}

impl PlannedLink {
    /// Its place, as the container sees it.
    pub fn target(&self) -> String {
        format!("C:\\{}", self.at.join("\\"))
    }
}

/// Something of a grant that Windows has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// The grant's secret.
    pub secret: SecretName,
    /// The fields that have no effect, as given.
    pub ignored: Vec<String>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "secret '{}': {} has no effect in a Windows container, where SYSTEM and Administrators alone may read it",
            self.secret,
            self.ignored.join(", ")
        )
    }
}

/// What is to be made for one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How secrets come to their targets.
    pub layout: Layout,
    /// Directories below the container's, parents first.
    pub directories: Vec<Vec<String>>,
    /// The files.
    pub files: Vec<PlannedFile>,
    /// Links, in the order of the grants.
    pub links: Vec<PlannedLink>,
    /// What cannot be had.
    pub warnings: Vec<Warning>,
}

/// Plans the directory and the links of one container.
///
/// # Errors
/// [`WindowsError::Target`], [`WindowsError::Collision`], [`WindowsError::NoLayer`].
pub fn plan(request: &Request<'_>) -> Result<Plan, WindowsError> {
    let grants = request.grants.as_slice();
    let targets = targets(grants)?;
    let mut plan = Plan {
        layout: request.layout,
        directories: Vec::new(),
        files: Vec::new(),
        links: Vec::new(),
        warnings: Vec::new(),
    };
    let mut directories = BTreeSet::new();
    for (index, ((grant, target), id)) in grants.iter().zip(&targets).zip(request.ids).enumerate() {
        let path = match request.layout {
            Layout::Links => {
                plan.links.push(PlannedLink { at: target.components().to_vec(), to: format!("{INTERNAL_DIR}\\{id}") });
                vec![id.to_string()]
            }
            Layout::Directory => {
                let below = target.below_secrets_dir();
                let no_layer = || WindowsError::NoLayer { target: target::given(&grant.target).to_owned() };
                below.ok_or_else(no_layer)?.to_vec()
            }
        };
        directories.extend((1..path.len()).map(|length| path[..length].to_vec()));
        if !plan.files.iter().any(|file| file.path == path) {
            plan.files.push(PlannedFile { grant: index, path });
        }
        plan.warnings.extend(warning(grant));
    }
    // A parent sorts before its children.
    plan.directories = directories.into_iter().collect();
    Ok(plan)
}

fn targets(grants: &[Grant]) -> Result<Vec<WindowsTarget>, WindowsError> {
    let mut targets: Vec<WindowsTarget> = Vec::with_capacity(grants.len());
    for grant in grants {
        let given = target::given(&grant.target);
        let parsed = WindowsTarget::of(&grant.target)
            .map_err(|fault| WindowsError::Target { target: given.to_owned(), fault })?;
        if let Some(index) = targets.iter().position(|other| other.conflicts_with(&parsed)) {
            let first = target::given(&grants[index].target).to_owned();
            return Err(WindowsError::Collision { first, second: given.to_owned() });
        }
        targets.push(parsed);
    }
    Ok(targets)
}

fn warning(grant: &Grant) -> Option<Warning> {
    let fields = [
        (grant.uid != Owner::ROOT).then(|| format!("uid={}", grant.uid)),
        (grant.gid != Owner::ROOT).then(|| format!("gid={}", grant.gid)),
        (grant.mode != Mode::DEFAULT).then(|| format!("mode={}", grant.mode)),
    ];
    let ignored: Vec<String> = fields.into_iter().flatten().collect();
    (!ignored.is_empty()).then(|| Warning { secret: grant.source.clone(), ignored })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ID_ENTROPY;

    fn ids(count: u8) -> Vec<Id> {
        (0..count).map(|seed| Id::from_entropy([seed; ID_ENTROPY])).collect()
    }

    fn planned(grants: &[&str], ids: &[Id], layout: Layout) -> Result<Plan, WindowsError> {
        let grants: Vec<Grant> = grants.iter().map(|text| Grant::parse(text).unwrap()).collect();
        plan(&Request { grants: &Grants::try_from(grants).unwrap(), ids, layout })
    }

    #[test]
    fn files_stand_under_their_ids_and_links_lead_there() {
        let ids = ids(2);
        let plan = planned(&["app", r"source=key,target=C:\app\key"], &ids, Layout::Links).unwrap();
        let files: Vec<_> = plan.files.iter().map(|file| file.path.join("/")).collect();
        assert_eq!(files, [ids[0].as_str(), ids[1].as_str()]);
        let links: Vec<_> = plan.links.iter().map(|link| (link.target(), link.to.clone())).collect();
        assert_eq!(links[0].0, r"C:\ProgramData\Docker\secrets\app");
        assert_eq!(links[1], (r"C:\app\key".to_owned(), format!("{INTERNAL_DIR}\\{}", ids[1])));
        assert!(plan.directories.is_empty() && plan.warnings.is_empty());
    }

    #[test]
    fn one_secret_at_two_targets_is_one_file() {
        let id = ids(1).remove(0);
        let plan = planned(&["app", "source=app,target=other"], &[id.clone(), id], Layout::Links).unwrap();
        assert_eq!((plan.files.len(), plan.links.len()), (1, 2));
    }

    #[test]
    fn without_a_layer_files_have_their_own_names() {
        let ids = ids(2);
        let plan = planned(&["app", "source=b,target=sub/deep/b"], &ids, Layout::Directory).unwrap();
        assert!(plan.links.is_empty());
        assert_eq!(plan.files[1].path, ["sub", "deep", "b"]);
        assert_eq!(plan.directories, [vec!["sub".to_owned()], vec!["sub".to_owned(), "deep".to_owned()]]);
        let error = planned(&[r"source=a,target=C:\x\a"], &ids, Layout::Directory).unwrap_err().to_string();
        assert!(error.contains(r"target 'C:\x\a' needs a link") && error.contains("no root.path"), "{error}");
    }

    #[test]
    fn targets_that_are_one_place_to_ntfs_are_refused() {
        let ids = ids(2);
        for (first, second) in [("app", "APP"), ("app", r"c:\programdata\docker\secrets\App"), (r"C:\x", r"C:\X\y")] {
            let grants = [format!("source=a,target={first}"), format!("source=b,target={second}")];
            let error = planned(&[&grants[0], &grants[1]], &ids, Layout::Links).unwrap_err();
            assert!(matches!(error, WindowsError::Collision { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_in_the_operators_words() {
        let error = planned(&["source=a,target=/etc/a"], &ids(1), Layout::Links).unwrap_err().to_string();
        assert!(error.contains("'/etc/a'") && error.contains("path of Linux containers"), "{error}");
        let error = planned(&["source=a,target=nul.txt"], &ids(1), Layout::Links).unwrap_err().to_string();
        assert!(error.contains("'nul.txt'") && error.contains("device"), "{error}");
    }

    #[test]
    fn what_windows_has_no_place_for_is_said() {
        let plan = planned(&["source=a,uid=1000,mode=0400", "b"], &ids(2), Layout::Links).unwrap();
        assert_eq!(plan.warnings.len(), 1);
        let text = plan.warnings[0].to_string();
        assert!(text.starts_with("secret 'a': uid=1000, mode=0400 has no effect"), "{text}");
    }
}
