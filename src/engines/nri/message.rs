//! The part of NRI's messages that the plugin uses, with the field numbers of containerd/nri's `pkg/api/api.proto`, and
//! the envelope of ttrpc around them (containerd/ttrpc, `request.proto`). A field that is not listed here is skipped when
//! it is read. The decoder takes no more memory than the bytes that are there, and no more than a hundred levels.

use std::collections::HashMap;

use prost::Message;

/// `CREATE_CONTAINER` in a subscription.
pub(super) const CREATE_CONTAINER: i32 = 1 << 3;
/// `VALIDATE_CONTAINER_ADJUSTMENT` in a subscription: NRI 0.10 and later.
pub(super) const VALIDATE_ADJUSTMENT: i32 = 1 << 13;
/// `CONTAINER_STOPPED`.
pub(super) const STOPPED: i32 = 4;

/// ttrpc: what is called.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) payload: Vec<u8>,
    #[prost(int64, tag = "4")]
    pub(super) timeout_nano: i64,
}

/// ttrpc: how it went.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) payload: Vec<u8>,
}

/// google.rpc.Status.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RegisterPluginRequest {
    #[prost(string, tag = "1")]
    pub(super) plugin_name: String,
    #[prost(string, tag = "2")]
    pub(super) plugin_idx: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigureRequest {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
    #[prost(string, tag = "6")]
    pub(super) nri_version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigureResponse {
    #[prost(int32, tag = "2")]
    pub(super) events: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SynchronizeRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) pods: Vec<PodSandbox>,
    #[prost(message, repeated, tag = "2")]
    pub(super) containers: Vec<Container>,
    #[prost(bool, tag = "3")]
    pub(super) more: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SynchronizeResponse {
    #[prost(bool, tag = "2")]
    pub(super) more: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateContainerRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) pod: Option<PodSandbox>,
    #[prost(message, optional, tag = "2")]
    pub(super) container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateContainerResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) adjust: Option<ContainerAdjustment>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValidateRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) pod: Option<PodSandbox>,
    #[prost(message, optional, tag = "2")]
    pub(super) container: Option<Container>,
    #[prost(message, optional, tag = "3")]
    pub(super) adjust: Option<ContainerAdjustment>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValidateResponse {
    #[prost(bool, tag = "1")]
    pub(super) reject: bool,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) namespace: String,
    #[prost(map = "string, string", tag = "6")]
    pub(super) annotations: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) pod_sandbox_id: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(int32, tag = "4")]
    pub(super) state: i32,
    #[prost(map = "string, string", tag = "6")]
    pub(super) annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "10")]
    pub(super) hooks: Option<Hooks>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerAdjustment {
    #[prost(map = "string, string", tag = "2")]
    pub(super) annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "5")]
    pub(super) hooks: Option<Hooks>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Hooks {
    #[prost(message, repeated, tag = "1")]
    pub(super) prestart: Vec<Hook>,
    #[prost(message, repeated, tag = "2")]
    pub(super) create_runtime: Vec<Hook>,
    #[prost(message, repeated, tag = "6")]
    pub(super) poststop: Vec<Hook>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Hook {
    #[prost(string, tag = "1")]
    pub(super) path: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) args: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) env: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) timeout: Option<OptionalInt>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OptionalInt {
    #[prost(int64, tag = "1")]
    pub(super) value: i64,
}
