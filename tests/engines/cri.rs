//! The calls that a kubelet makes to a container engine (CRI, gRPC over a Unix socket), for the tests of pods. Pods use
//! the machine's network, so that no network plugin is needed; they go away when they are dropped.
#![allow(dead_code)] // each test program uses its own part

#[path = "cri_messages.rs"]
mod messages;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use h2::client;
use hyper::Request;
use hyper::body::Bytes;
use prost::Message;

pub(crate) use messages::State;
use messages::{
    CONTAINER, ContainerConfig, ContainerId, ContainerMetadata, ContainerStatusRequest, ContainerStatusResponse,
    CreateContainerRequest, Empty, ExecSyncRequest, ExecSyncResponse, ImageSpec, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount, NODE, NamespaceOption,
    POD, PodSandboxConfig, PodSandboxId, PodSandboxMetadata, RunPodSandboxRequest, StopContainerRequest,
    VersionRequest, VersionResponse,
};

use crate::testbed::running_agent::LIMIT;

/// What goes before a message in gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The pods of this process have uids of their own.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An engine's CRI socket.
#[derive(Clone)]
pub(crate) struct Cri {
    socket: PathBuf,
}

impl Cri {
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// One call of the runtime service; what the engine says if it fails.
    fn call<A: Default + Message>(&self, method: &str, request: &impl Message) -> Result<A, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            tokio::time::timeout(LIMIT, unary(&self.socket, method, request.encode_to_vec())).await
        });
        let answer =
            answer.map_err(|_| format!("{method}: no answer"))?.map_err(|error| format!("{method}: {error}"))?;
        A::decode(answer.as_slice()).map_err(|error| format!("{method}: {error}"))
    }

    /// The engine's name and version; an error until it serves the CRI.
    pub(crate) fn version(&self) -> Result<String, String> {
        let answer: VersionResponse = self.call("Version", &VersionRequest { version: "v1".into() })?;
        Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
    }

    /// Starts a pod under the runtime class `handler` (empty: the engine's default).
    pub(crate) fn pod(&self, handler: &str, pod: &PodSpec<'_>) -> Result<Pod, String> {
        let security = LinuxSandboxSecurityContext { namespace_options: Some(namespaces()) };
        let linux = LinuxPodSandboxConfig { cgroup_parent: pod.cgroup_parent.into(), security_context: Some(security) };
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: pod.name.into(),
                uid: format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst)),
                namespace: pod.namespace.into(),
                attempt: 0,
            }),
            annotations: pairs(pod.annotations),
            labels: pairs(&[("io.kubernetes.pod.name", pod.name), ("io.kubernetes.pod.namespace", pod.namespace)]),
            linux: Some(linux),
            ..PodSandboxConfig::default()
        };
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.into() };
        let answer: PodSandboxId = self.call("RunPodSandbox", &request)?;
        Ok(Pod { cri: self.clone(), config, id: answer.pod_sandbox_id })
    }

    /// What a command in a container prints; what it or the engine says if it fails.
    pub(crate) fn exec(&self, container: &str, command: &[&str]) -> Result<String, String> {
        let cmd = command.iter().map(|&word| word.to_owned()).collect();
        let request = ExecSyncRequest { container_id: container.into(), cmd, timeout: 0 };
        let answer: ExecSyncResponse = self.call("ExecSync", &request)?;
        let [out, err] = [answer.stdout, answer.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        if answer.exit_code == 0 { Ok(out) } else { Err(out + &err) }
    }

    /// Whether a container runs, and what the engine says of its end.
    pub(crate) fn state(&self, container: &str) -> (State, String) {
        let status = self.status(container).status.unwrap();
        (status.state(), format!("{} {}", status.reason, status.message))
    }

    /// The number of a container's first process.
    pub(crate) fn pid(&self, container: &str) -> i32 {
        let info: serde_json::Value = serde_json::from_str(&self.status(container).info["info"]).unwrap();
        info["pid"].as_i64().unwrap().try_into().unwrap()
    }

    fn status(&self, container: &str) -> ContainerStatusResponse {
        let request = ContainerStatusRequest { container_id: container.into(), verbose: true };
        self.call("ContainerStatus", &request).unwrap()
    }

    /// Stops a container: SIGTERM, and SIGKILL a second later.
    pub(crate) fn stop(&self, container: &str) {
        let request = StopContainerRequest { container_id: container.into(), timeout: 1 };
        let _: Empty = self.call("StopContainer", &request).unwrap();
    }

    /// Removes a container, running or not.
    pub(crate) fn remove(&self, container: &str) {
        let _: Empty = self.call("RemoveContainer", &ContainerId { container_id: container.into() }).unwrap();
    }
}

/// A pod to be started.
#[derive(Clone, Copy, Default)]
pub(crate) struct PodSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) annotations: &'a [(&'a str, &'a str)],
    /// Below which its cgroups are made.
    pub(crate) cgroup_parent: &'a str,
}

/// A container to be started.
#[derive(Clone, Copy, Default)]
pub(crate) struct ContainerSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: &'a str,
    pub(crate) command: &'a [&'a str],
    pub(crate) annotations: &'a [(&'a str, &'a str)],
    /// Read-only mounts: where in the container, and what of the host.
    pub(crate) mounts: &'a [(&'a str, &'a Path)],
    pub(crate) readonly_rootfs: bool,
}

/// What every container of the tests is, but for what the test is about.
pub(crate) const APP: ContainerSpec<'static> = ContainerSpec {
    name: "app",
    image: crate::image::IMAGE,
    command: &["sleep", "1000"],
    annotations: &[],
    mounts: &[],
    readonly_rootfs: false,
};

/// A pod that runs.
pub(crate) struct Pod {
    cri: Cri,
    config: PodSandboxConfig,
    id: String,
}

impl Pod {
    /// The id of its sandbox, which is a container of its own.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Creates and starts a container of it; what the engine says if it does not come up.
    pub(crate) fn run(&self, container: &ContainerSpec<'_>) -> Result<String, String> {
        let id = self.create(container)?;
        self.start(&id).map(|()| id)
    }

    /// Creates a container of it.
    pub(crate) fn create(&self, container: &ContainerSpec<'_>) -> Result<String, String> {
        let mount = |&(to, from): &(&str, &Path)| Mount {
            container_path: to.into(),
            host_path: from.to_str().unwrap().into(),
            readonly: true,
        };
        let security = LinuxContainerSecurityContext {
            namespace_options: Some(namespaces()),
            readonly_rootfs: container.readonly_rootfs,
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: container.name.into(), attempt: 0 }),
            image: Some(ImageSpec { image: container.image.into() }),
            command: container.command.iter().map(|&word| word.to_owned()).collect(),
            annotations: pairs(container.annotations),
            mounts: container.mounts.iter().map(mount).collect(),
            linux: Some(LinuxContainerConfig { security_context: Some(security) }),
            ..ContainerConfig::default()
        };
        let (pod_sandbox_id, sandbox_config) = (self.id.clone(), Some(self.config.clone()));
        let request = CreateContainerRequest { pod_sandbox_id, config: Some(config), sandbox_config };
        let answer: ContainerId = self.cri.call("CreateContainer", &request)?;
        Ok(answer.container_id)
    }

    /// Starts a container that has been created; what the engine says if it does not come up.
    pub(crate) fn start(&self, container: &str) -> Result<(), String> {
        let request = ContainerId { container_id: container.into() };
        self.cri.call("StartContainer", &request).map(|_: Empty| ())
    }

    /// Stops it with all of its containers, and removes it.
    pub(crate) fn end(&self) -> Result<(), String> {
        let request = PodSandboxId { pod_sandbox_id: self.id.clone() };
        self.cri.call("StopPodSandbox", &request).map(|_: Empty| ())?;
        self.cri.call("RemovePodSandbox", &request).map(|_: Empty| ())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// As a kubelet has it, but with the machine's network.
fn namespaces() -> NamespaceOption {
    NamespaceOption { network: NODE, pid: CONTAINER, ipc: POD }
}

fn pairs(of: &[(&str, &str)]) -> std::collections::HashMap<String, String> {
    of.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// One gRPC call: HTTP/2 with the message after its length, and the outcome in the trailers.
async fn unary(socket: &Path, method: &str, message: Vec<u8>) -> Result<Vec<u8>, String> {
    let text = |error: h2::Error| error.to_string();
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let (client, connection) = client::handshake(stream).await.map_err(text)?;
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("http://localhost/runtime.v1.RuntimeService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let mut client = client.ready().await.map_err(text)?;
    let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).map_err(text)?;
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    body.send_data(Bytes::from([&[0][..], &length, &message].concat()), true).map_err(text)?;
    let (head, mut body) = answer.await.map_err(text)?.into_parts();
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(text)?;
        body.flow_control().release_capacity(data.len()).map_err(text)?;
        received.extend_from_slice(&data);
    }
    // An answer that fails at once has everything in its head.
    let trailers = body.trailers().await.map_err(text)?.unwrap_or(head.headers);
    connection.abort();
    let field = |name: &str| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match field("grpc-status").as_deref() {
        Some("0") if received.len() >= PREFIX => Ok(received.split_off(PREFIX)),
        status => Err(format!("{} {}", status.unwrap_or("no status"), field("grpc-message").unwrap_or_default())),
    }
}
