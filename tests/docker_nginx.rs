//! The document's second example on a real dockerd: nginx over HTTPS as `docker run`, by the link and by the target, and
//! the document's own proof that a commit captures nothing.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/image.rs"]
mod image;
#[allow(dead_code)] // redis is another test's
#[path = "examples/images.rs"]
mod images;
#[path = "examples/site.rs"]
mod site;
mod testbed;

use docker::Docker;
use site::{BY_LINK, BY_TARGET, CONF_AT_TARGET, SITE_CONF, Site};
use testbed::{Bed, Runtime};

const CONF: &str = "/etc/nginx/conf.d/site.conf";
const LABEL: &str = "--label=io.runsecrets.service=nginx";

/// An agent that has the three secrets, and a dockerd that has the image.
struct Scene {
    bed: Bed,
    engine: Docker,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lines = format!("[docker]\nsocket = {:?}\n", Docker::socket(&directory));
        let bed = Bed::configured(Runtime::Runc, &lines);
        let site = Site::stored(&bed);
        let engine = Docker::start_in(directory, &bed, &[]);
        engine.import_with(&images::nginx(), "nginx:latest", "ENV PATH=/usr/sbin:/usr/bin:/bin");
        Self { bed, engine, site }
    }

    /// Runs nginx with these grants; it serves, `look` finds what it wants in it, and none of the key is anywhere. It is
    /// committed as `committed_nginx` and removed.
    fn serves(&self, grants: &[&str], shell: &str, look: impl Fn(&Docker)) {
        let Self { bed, engine, .. } = self;
        bed.service("nginx", grants);
        let run = ["run", "-d", "--network=none", "--runtime=runsecrets-ask", LABEL, "--name=nginx", "nginx:latest"];
        engine.ok(&[&run[..], &["sh", "-c", shell]].concat());
        self.can_be_visited();
        look(engine);
        engine.ok(&["commit", "nginx", "committed_nginx"]);
        self.the_key_is_nowhere();

        engine.ok(&["stop", "-t5", "nginx"]);
        bed.holds_nothing();
        engine.ok(&["rm", "nginx"]);
        bed.cli_ok(&["service", "rm", "nginx"]);
        bed.cli_ok(&["secret", "rm", "site.crt", "site.key", "site.conf"]);
        self.the_key_is_nowhere();
    }

    fn can_be_visited(&self) {
        let state = |field: &str| self.engine.ok(&["inspect", "--format", &format!("{{{{.State.{field}}}}}"), "nginx"]);
        let pid = state("Pid").trim_end().parse().unwrap();
        let is_up = || assert_eq!(state("Running"), "true\n", "{:?}", self.engine.docker(&["logs", "nginx"]));
        self.site.can_be_visited(&self.bed, pid, is_up);
    }

    fn the_key_is_nowhere(&self) {
        let [first, line, last] = self.site.key();
        for line in [first, last] {
            line.is_in_no_process();
            assert!(!line.is_in(&self.engine.docker(&["inspect", "nginx"]).stdout));
        }
        // One line is enough in so many files: `vfs` copies the whole image for each container.
        line.is_nowhere_in(&self.engine.directories());
    }

    /// `docker run … cat` of what was committed, by Docker's own runtime.
    fn is_not_in_the_commit(&self, file: &str) {
        let said = self.engine.fails(&["run", "--rm", "--network=none", "committed_nginx", "cat", file]);
        let expected = format!("cat: can't open '{file}': No such file or directory");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn by_a_symbolic_link() {
    let scene = Scene::new();
    scene.serves(&["site.key", "site.crt", "site.conf"], BY_LINK, |engine| {
        assert_eq!(engine.ok(&["exec", "nginx", "ls", "/run/secrets"]), "site.conf\nsite.crt\nsite.key\n");
        assert_eq!(engine.ok(&["exec", "nginx", "cat", CONF]), SITE_CONF);
    });
    for file in ["/run/secrets/site.key", "/run/secrets/site.crt", "/run/secrets/site.conf", CONF] {
        scene.is_not_in_the_commit(file);
    }
    // The link is the container's own, and points nowhere now.
    let link = ["run", "--rm", "--network=none", "committed_nginx", "readlink", CONF];
    assert_eq!(scene.engine.ok(&link), "/run/secrets/site.conf\n");
}

#[test]
fn by_a_target() {
    let scene = Scene::new();
    let grants = ["source=site.key,mode=0400", "site.crt", CONF_AT_TARGET];
    scene.serves(&grants, BY_TARGET, |engine| {
        // "In the running container, the following three files now exist."
        assert_eq!(engine.ok(&["exec", "nginx", "ls", "/run/secrets"]), "site.crt\nsite.key\n");
        assert_eq!(engine.ok(&["exec", "nginx", "cat", CONF]), SITE_CONF);
        let foreign = engine.fails(&["exec", "--user=33:33", "nginx", "cat", "/run/secrets/site.key"]);
        assert!(foreign.contains("Permission denied"), "{foreign}");
        engine.ok(&["restart", "-t5", "nginx"]);
        scene.can_be_visited();
    });
    for file in ["/run/secrets/site.key", "/run/secrets/site.crt"] {
        scene.is_not_in_the_commit(file);
    }
    // The mount point was there when it was committed: empty.
    let cat = ["run", "--rm", "--network=none", "committed_nginx", "cat", CONF];
    assert_eq!(scene.engine.ok(&cat), "");
}
