//! The document's second example: nginx over HTTPS, whose key, certificate and configuration are secrets.

use std::path::Path;
use std::process::Stdio;

use crate::site::{BY_LINK, BY_TARGET, CONF_AT_TARGET, SITE_CONF, Site};
use crate::testbed::{Bed, Bundle, Container, Overlay, Runtime, words};
use crate::{bundle, images, is_nowhere_else};

crate::on_each_runtime!(
    nginx_with_a_symbolic_link,
    nginx_with_a_target,
    nginx_with_a_key_for_root_alone,
    nginx_with_a_key_that_workers_can_read,
);

fn nginx_with_a_symbolic_link(runtime: Runtime) {
    let example = Example::new(runtime);
    let overlay = example.serves(&["site.key", "site.crt", "site.conf"], BY_LINK, |container| {
        assert_eq!(container.exec(&["ls", "/run/secrets"]), "site.conf\nsite.crt\nsite.key\n");
    });
    // The container made the link itself; it points nowhere now.
    let link = overlay.upper().join("etc/nginx/conf.d/site.conf");
    assert_eq!(std::fs::read_link(link).unwrap(), Path::new("/run/secrets/site.conf"));
}

fn nginx_with_a_target(runtime: Runtime) {
    let example = Example::new(runtime);
    let overlay = example.serves(&["site.key", "site.crt", CONF_AT_TARGET], BY_TARGET, |container| {
        // "In the running container, the following three files now exist."
        assert_eq!(container.exec(&["ls", "/run/secrets"]), "site.crt\nsite.key\n");
        assert_eq!(container.exec(&["cat", "/etc/nginx/conf.d/site.conf"]), SITE_CONF);
    });
    assert!(!overlay.upper().join("etc/nginx/conf.d/site.conf").exists());
}

/// What a real deployment does: only root reads the key, and nginx does before its workers are somebody else.
fn nginx_with_a_key_for_root_alone(runtime: Runtime) {
    let example = Example::new(runtime);
    let grants = ["source=site.key,mode=0400", "source=site.crt,mode=0444", CONF_AT_TARGET];
    example.serves(&grants, BY_TARGET, |container| {
        assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/run/secrets/site.key"]), "0:0 400\n");
        assert!(!reads_the_key(container, "33:33"), "www-data reads the key");
    });
}

/// The other way: the key is its worker's own, by the name that the image gives it, and nobody else's.
fn nginx_with_a_key_that_workers_can_read(runtime: Runtime) {
    let example = Example::new(runtime);
    let grants = ["source=site.key,uid=www-data,gid=ssl-cert,mode=0440", "site.crt", CONF_AT_TARGET];
    example.serves(&grants, BY_TARGET, |container| {
        assert_eq!(container.exec(&["stat", "-c", "%u:%g %a", "/run/secrets/site.key"]), "33:109 440\n");
        assert!(reads_the_key(container, "33:33"), "www-data does not read its key");
        assert!(!reads_the_key(container, "1000:1000"), "a stranger reads the key");
    });
}

/// Whether a process of this user and group can read the key.
fn reads_the_key(container: &Container, user: &str) -> bool {
    let mut command = container.command();
    let output = command.args(["exec", "--user", user, &container.id, "cat", "/run/secrets/site.key"]);
    let output = output.stdin(Stdio::null()).output().unwrap();
    assert_ne!(output.status.success(), words(&output).contains("Permission denied"), "{}", words(&output));
    output.status.success()
}

/// An agent that has the three secrets.
struct Example {
    bed: Bed,
    site: Site,
}

impl Example {
    fn new(runtime: Runtime) -> Self {
        let bed = Bed::new(runtime);
        let site = Site::stored(&bed);
        Self { bed, site }
    }

    /// Runs nginx with these grants: it serves, it has what `look` wants, its key is nowhere else, and all of it can be
    /// removed. The writable layer that is left.
    fn serves(&self, grants: &[&str], shell: &str, look: impl Fn(&Container)) -> Overlay {
        let bed = &self.bed;
        bed.service("nginx", grants);
        let overlay = Overlay::on(&images::nginx());
        let bundle = bundle(bed, &overlay, "nginx", &["sh", "-c", shell]);
        let container = bed.start(&bundle);
        assert!(bed.cli_ok(&["service", "ls"]).contains("nginx"));
        bed.ps_until(&["service", "ps", "nginx"], |said| said.contains(&container.id));
        self.site.can_be_visited(bed, container.pid(), || assert!(container.is_running(), "{}", container.output()));
        look(&container);
        self.the_key_is_nowhere_else(&bundle, &overlay, Some(&container));
        container.stop();
        self.the_key_is_nowhere_else(&bundle, &overlay, None);
        bed.cli_ok(&["service", "rm", "nginx"]);
        bed.cli_ok(&["secret", "rm", "site.crt", "site.key", "site.conf"]);
        bed.holds_nothing();
        overlay
    }

    /// No line of it.
    fn the_key_is_nowhere_else(&self, bundle: &Bundle, overlay: &Overlay, container: Option<&Container>) {
        for line in self.site.key() {
            is_nowhere_else(&self.bed, &line, bundle, overlay, container);
        }
    }
}
