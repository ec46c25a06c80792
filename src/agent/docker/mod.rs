//! What Docker says of a container that its hook asks about: the service in the container's labels; and whether one is
//! healthy. It asks the daemons that the configuration names, within a time; it changes nothing there.
//!
//! Two things are held against it. The daemon waits for our hook while the container starts, and holds the container's
//! lock: so the container is never inspected, which would wait for that lock, but looked up in the list, which does not.
//! And Docker merges the labels of an image into those of its containers: so the image is looked at too, and a container
//! whose image has a label of ours is refused, because nobody could tell who said it.

mod ask;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::model::{
    CLAIM_ANNOTATION, Claim, ClaimRoute, ContainerId, ModelError, SERVICE_ANNOTATION, ServiceName, escaped,
};
use ask::Conversation;

/// The label by which a container names its service.
const SERVICE_LABEL: &str = SERVICE_ANNOTATION;
/// The label with the token of a service that asks for one.
const TOKEN_LABEL: &str = CLAIM_ANNOTATION;
/// The most daemons that may be named: a hook waits ten seconds for an answer, and each has its own time.
pub const MAX_DAEMONS: usize = 4;
/// The length of the ids that Docker gives its containers, in hexadecimal digits.
const ID_LENGTH: usize = 64;

/// The daemons that are asked.
#[derive(Debug, Clone, Default)]
pub struct Docker {
    sockets: Vec<PathBuf>,
}

/// Why it is not known which service a container of Docker's is.
#[derive(Debug)]
pub enum DockerError {
    /// A daemon did not answer, or not in time.
    Silent {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Whoever listens at the socket is not root.
    Impostor {
        /// The socket.
        socket: PathBuf,
        /// Who it is.
        uid: u32,
    },
    /// A daemon answered something that is not understood.
    Answer {
        /// Its socket.
        socket: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No daemon that was asked has the container.
    Unknown,
    /// The image has a label of ours.
    ImageLabel {
        /// Which.
        label: &'static str,
    },
    /// The image is gone, and with it the answer to whose label it is.
    ImageGone,
    /// The label is no name of a service.
    Name(ModelError),
}

impl fmt::Display for DockerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { socket, cause } => write!(
                f,
                "cannot ask Docker at {} for the container's labels: {cause}; is dockerd running, and is it this socket?",
                socket.display()
            ),
            Self::Impostor { socket, uid } => write!(
                f,
                "uid {uid} listens at {}, not root; name the socket of root's dockerd in [docker] of config.toml",
                socket.display()
            ),
            Self::Answer { socket, what } => {
                write!(f, "Docker at {} gives a strange answer: {}; see its log", socket.display(), escaped(what))
            }
            Self::Unknown => f.write_str(
                "no Docker that is named in [docker] of config.toml has this container; add its socket there",
            ),
            Self::ImageLabel { label } => write!(
                f,
                "the container's image has the label {label}, and an image may not say which service its containers are; \
                 remove it from the image (`docker commit --change 'LABEL {label}='` empties it), and give it to `docker run`"
            ),
            Self::ImageGone => f.write_str(
                "the container's image has been removed, so nobody can tell whether its labels are the image's; make the container again",
            ),
            Self::Name(error) => write!(f, "the container's label {SERVICE_LABEL}: {error}"),
        }
    }
}

impl std::error::Error for DockerError {}

/// A container in the list; what is not here is not looked at.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "ImageID")]
    image: String,
    #[serde(rename = "Labels", default)]
    labels: Option<Labels>,
}

/// An image.
#[derive(Deserialize)]
struct Image {
    #[serde(rename = "Config", default)]
    config: Option<ImageConfig>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(rename = "Labels", default)]
    labels: Option<Labels>,
}

type Labels = BTreeMap<String, String>;

impl Docker {
    /// Asks the daemons at `sockets`, in order; without any, nothing is ever asked.
    pub fn new(sockets: Vec<PathBuf>) -> Self {
        Self { sockets }
    }

    /// The claim in the labels of `container`; none without a label, and where `bundle` is not one of Docker's. The caller
    /// has `bundle` from root. Blocks: two seconds for each daemon that does not answer.
    ///
    /// # Errors
    /// See [`DockerError`]: the container is to be refused then.
    pub fn claim(&self, container: &ContainerId, bundle: &Path) -> Result<Option<Claim>, DockerError> {
        if self.sockets.is_empty() || !is_dockers(container, bundle) {
            return Ok(None);
        }
        let mut silent = None;
        for socket in &self.sockets {
            match find(socket, container) {
                Ok(Some((daemon, found))) => return judge(daemon, found),
                Ok(None) => {}
                Err(error) => silent = silent.or(Some(error)),
            }
        }
        Err(silent.unwrap_or(DockerError::Unknown))
    }
}

/// A container in the list of those that are healthy.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "Id")]
    id: String,
}

impl Docker {
    /// Whether there is a daemon that can be asked.
    pub fn is_asked(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// Whether a daemon says that `container`, one of its own by `bundle`, has passed its health check. Blocks: two seconds
    /// for each daemon that does not answer.
    ///
    /// # Errors
    /// See [`DockerError`]: nobody knows then, as no daemon says so and one of them is silent.
    pub fn is_healthy(&self, container: &ContainerId, bundle: &Path) -> Result<bool, DockerError> {
        if !is_dockers(container, bundle) {
            return Ok(false);
        }
        // {"health":["healthy"],"id":["…"]}; the id is nothing but hexadecimal digits.
        let filters = format!("%7B%22health%22%3A%5B%22healthy%22%5D%2C%22id%22%3A%5B%22{container}%22%5D%7D");
        let mut silent = None;
        for socket in &self.sockets {
            match Conversation::begin(socket).get::<Vec<Found>>(&format!("/containers/json?filters={filters}")) {
                Ok(listed) if listed.iter().flatten().any(|found| found.id == container.as_str()) => return Ok(true),
                Ok(_) => {}
                Err(error) => silent = silent.or(Some(error)),
            }
        }
        silent.map_or(Ok(false), Err)
    }
}

/// Whether `bundle` is where containerd has the bundles of Docker's containers: `…/NAMESPACE/ID`.
fn is_dockers(container: &ContainerId, bundle: &Path) -> bool {
    let id = container.as_str();
    let namespace = bundle.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    // With userns-remap the namespace is moby-UID.GID.
    let moby = namespace.is_some_and(|name| name == "moby" || name.starts_with("moby-"));
    let named = bundle.file_name().is_some_and(|name| name == id);
    moby && named && id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The container as the daemon at `socket` lists it, if it is that daemon's.
fn find<'s>(socket: &'s Path, container: &ContainerId) -> Result<Option<(Conversation<'s>, Listed)>, DockerError> {
    let daemon = Conversation::begin(socket);
    // {"id":["…"]}; the id is nothing but hexadecimal digits.
    let filters = format!("%7B%22id%22%3A%5B%22{container}%22%5D%7D");
    let Some(listed) = daemon.get::<Vec<Listed>>(&format!("/containers/json?all=1&filters={filters}"))? else {
        return Err(daemon.strange("it knows no /containers/json"));
    };
    // The filter takes beginnings of ids too.
    let found = listed.into_iter().find(|listed| listed.id == container.as_str());
    Ok(found.map(|found| (daemon, found)))
}

/// What the labels say, unless the image says it.
fn judge(daemon: Conversation<'_>, container: Listed) -> Result<Option<Claim>, DockerError> {
    let labels = container.labels.unwrap_or_default();
    let Some(service) = label(&labels, SERVICE_LABEL) else { return Ok(None) };
    if !is_image_id(&container.image) {
        return Err(daemon.strange("the container has no image id"));
    }
    let image: Image = daemon.get(&format!("/images/{}/json", container.image))?.ok_or(DockerError::ImageGone)?;
    let brought = image.config.and_then(|config| config.labels).unwrap_or_default();
    if let Some(label) = [SERVICE_LABEL, TOKEN_LABEL].into_iter().find(|name| label(&brought, name).is_some()) {
        return Err(DockerError::ImageLabel { label });
    }
    let service = ServiceName::parse(service).map_err(DockerError::Name)?;
    Ok(Some(Claim { service, route: ClaimRoute::Label, token: label(&labels, TOKEN_LABEL).map(str::to_owned) }))
}

/// A label that says something: an empty one is how a label of an image is taken back.
fn label<'l>(labels: &'l Labels, name: &str) -> Option<&'l str> {
    labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// Whether `id` is `ALGORITHM:DIGITS`, which can stand in a path as it is.
fn is_image_id(id: &str) -> bool {
    let (algorithm, digits) = id.split_once(':').unwrap_or_default();
    let fine =
        |part: &str| !part.is_empty() && part.len() <= 128 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fine(algorithm) && fine(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ContainerId {
        ContainerId::parse(text).unwrap()
    }

    #[test]
    fn bundles_of_docker_are_known_by_their_path() {
        let own = "0123456789abcdef".repeat(4);
        let is = |place: &str| is_dockers(&id(&own), Path::new(&format!("/run/containerd/v2.task/{place}")));
        assert!(is(&format!("moby/{own}")) && is(&format!("moby-100000.100000/{own}")));
        assert!(!is(&format!("k8s.io/{own}")) && !is(&format!("mobys/{own}")) && !is(&format!("moby/x/{own}")));
        assert!(!is(&format!("moby/{}", own.replace('0', "1"))));
        assert!(!is_dockers(&id("web"), Path::new("/run/moby/web")));
    }

    #[test]
    fn without_sockets_nothing_is_asked() {
        let own = "a".repeat(64);
        let bundle = PathBuf::from("/run/moby").join(&own);
        assert_eq!(Docker::default().claim(&id(&own), &bundle).unwrap(), None);
        let none = Docker::new(vec!["/nonexistent/docker.sock".into()]);
        assert_eq!(none.claim(&id("web"), Path::new("/b/web")).unwrap(), None);
        let error = none.claim(&id(&own), &bundle).unwrap_err().to_string();
        assert!(error.starts_with("cannot ask Docker at /nonexistent/docker.sock"), "{error}");
    }

    #[test]
    fn a_daemon_that_is_away_does_not_keep_another_from_saying_who_is_healthy() {
        let own = "a".repeat(64);
        let bundle = PathBuf::from("/run/moby").join(&own);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let daemon = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let answer = |ids: &str| {
            let (mut asked, text) = (daemon.accept().unwrap().0, format!("HTTP/1.0 200 OK\r\n\r\n[{ids}]"));
            std::io::Read::read(&mut asked, &mut [0; 512]).unwrap();
            std::io::Write::write_all(&mut asked, text.as_bytes()).unwrap();
        };
        let docker = Docker::new(vec![directory.path().join("away.sock"), path.clone()]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                answer(&format!(r#"{{"Id":"{own}"}}"#));
                answer("");
            });
            assert!(docker.is_healthy(&id(&own), &bundle).unwrap());
            let unknown = docker.is_healthy(&id(&own), &bundle).unwrap_err().to_string();
            assert!(unknown.contains("away.sock"), "{unknown}");
        });
    }

    #[test]
    fn an_image_id_is_no_path() {
        assert!(is_image_id("sha256:0123abcd"));
        for text in ["", "sha256", "sha256:", ":0", "sha256:a/b", "sha256:..", "sha256:a?b=c"] {
            assert!(!is_image_id(text), "{text}");
        }
    }
}
