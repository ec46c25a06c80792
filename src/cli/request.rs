//! What is asked of the agent about services, as it takes it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Command, Grant, Labels, Selector, Signal, Until};

/// A grant as the API has it.
#[derive(Serialize)]
pub(super) struct Reference<'a> {
    #[serde(rename = "Source")]
    source: &'a str,
    #[serde(rename = "Target")]
    target: &'a str,
    #[serde(rename = "UID")]
    uid: String,
    #[serde(rename = "GID")]
    gid: String,
    #[serde(rename = "Mode")]
    mode: String,
    #[serde(rename = "Until", skip_serializing_if = "Option::is_none")]
    until: Option<Until>,
}

impl<'a> From<&'a Grant> for Reference<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            source: grant.source.as_str(),
            target: grant.target.as_str(),
            uid: grant.uid.to_string(),
            gid: grant.gid.to_string(),
            mode: grant.mode.to_string(),
            until: grant.until,
        }
    }
}

/// The body of `POST …/services/create`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Create<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) secrets: Vec<Reference<'a>>,
    #[serde(rename = "Match")]
    pub(super) selectors: &'a [Selector],
    pub(super) require_claim: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) credentials: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notify: Option<Signal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notify_command: Option<&'a Command>,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    pub(super) users: &'a [u32],
}

/// The body of `POST …/services/{ref}/update`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Update<'a> {
    pub(super) secret_add: Vec<Reference<'a>>,
    pub(super) secret_rm: &'a [String],
    pub(super) label_add: &'a BTreeMap<String, String>,
    pub(super) label_rm: &'a [String],
    pub(super) match_add: &'a [Selector],
    pub(super) match_rm: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notify: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notify_command: Option<Vec<&'a str>>,
    pub(super) live: bool,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    pub(super) user_add: &'a [u32],
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    pub(super) user_rm: &'a [u32],
}
