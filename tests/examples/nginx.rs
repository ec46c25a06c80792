//! The document's second example: nginx over HTTPS, whose key, certificate and configuration are secrets. The
//! certificates are made by the document's own commands, with keys of 2048 bits instead of 4096 to save time.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::testbed::{Bed, Bundle, Canary, Container, Overlay, Runtime, program, words};
use crate::{bundle, images, is_nowhere_else};

crate::on_each_runtime!(
    nginx_with_a_symbolic_link,
    nginx_with_a_target,
    nginx_with_a_key_for_root_alone,
    nginx_with_a_key_that_workers_can_read,
);

/// The document's command lines, below `nginx:latest`.
const BY_LINK: &str = "ln -s /run/secrets/site.conf /etc/nginx/conf.d/site.conf && exec nginx -g 'daemon off;'";
const BY_TARGET: &str = "exec nginx -g 'daemon off;'";
const CONF_AT_TARGET: &str = "source=site.conf,target=/etc/nginx/conf.d/site.conf";

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

const SITE_CONF: &str = "\
server {
    listen                443 ssl;
    server_name           localhost;
    ssl_certificate       /run/secrets/site.crt;
    ssl_certificate_key   /run/secrets/site.key;

    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }
}
";

/// An agent that has the three secrets, and the directory in which they were made.
struct Example {
    bed: Bed,
    site: tempfile::TempDir,
}

impl Example {
    /// Makes the files as the document does, and a secret of each.
    fn new(runtime: Runtime) -> Self {
        let example = Self { bed: Bed::new(runtime), site: tempfile::tempdir().unwrap() };
        program("openssl", "openssl");
        for (name, text) in [("root-ca.cnf", ROOT_CA_CNF), ("site.cnf", SITE_CNF), ("site.conf", SITE_CONF)] {
            std::fs::write(example.site.path().join(name), text).unwrap();
        }
        let mut command = Command::new("sh");
        let output = command.args(["-ec", CERTIFICATES]).current_dir(example.site.path()).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        for name in ["site.key", "site.crt", "site.conf"] {
            example.bed.cli_ok(&["secret", "create", name, example.file(name).to_str().unwrap()]);
        }
        example
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.site.path().join(name)
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
        assert!(bed.cli_ok(&["service", "ps", "nginx"]).contains(&container.id));
        self.can_be_visited(&container);
        look(&container);
        self.the_key_is_nowhere_else(&bundle, &overlay, Some(&container));
        container.stop();
        self.the_key_is_nowhere_else(&bundle, &overlay, None);
        bed.cli_ok(&["service", "rm", "nginx"]);
        bed.cli_ok(&["secret", "rm", "site.crt", "site.key", "site.conf"]);
        bed.holds_nothing();
        overlay
    }

    /// From outside, by programs of this machine in the network of the container.
    fn can_be_visited(&self, container: &Container) {
        let authority = self.file("root-ca.crt");
        let authority = authority.to_str().unwrap();
        let visit = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/proc/{}/ns/net", container.pid())).arg(program).args(arguments);
            command.stdin(Stdio::null()).output().unwrap()
        };
        let curl = |arguments: &[&str]| {
            let common = ["--silent", "--show-error", "--noproxy", "*", "https://localhost/"];
            visit(&program("curl", "curl"), &[&common, arguments].concat())
        };
        let mut page = None;
        self.bed.eventually("nginx serves its page", || {
            let output = curl(&["--cacert", authority]);
            let served = output.status.success();
            page = Some(output);
            assert!(container.is_running(), "nginx has ended: {}", container.output());
            served
        });
        assert!(words(&page.unwrap()).contains("<h1>Welcome to nginx!</h1>"));
        // Without the authority nobody trusts it: 60 is curl's word for that.
        assert_eq!(curl(&[]).status.code(), Some(60));
        let client = ["s_client", "-connect", "localhost:443", "-CAfile", authority];
        let said = words(&visit(&program("openssl", "openssl"), &client));
        // Without blanks: OpenSSL 3.2 and later write none around the sign.
        let name = said.replace(' ', "").contains("CN=localhost");
        assert!(said.contains("Verify return code: 0 (ok)") && name, "{said}");
    }

    /// No line of it.
    fn the_key_is_nowhere_else(&self, bundle: &Bundle, overlay: &Overlay, container: Option<&Container>) {
        let key = std::fs::read_to_string(self.file("site.key")).unwrap();
        let lines: Vec<&str> = key.lines().filter(|line| line.len() == 64).collect();
        assert!(lines.len() > 20, "not a key of 2048 bits");
        for line in [lines[1], lines[lines.len() / 2], lines[lines.len() - 1]] {
            is_nowhere_else(&self.bed, &Canary::of(line), bundle, overlay, container);
        }
    }
}

/// The document's commands.
const CERTIFICATES: &str = r#"
openssl genrsa -out "root-ca.key" 2048
openssl req \
    -new -key "root-ca.key" \
    -out "root-ca.csr" -sha256 \
    -subj '/C=US/ST=CA/L=San Francisco/O=Docker/CN=Swarm Secret Example CA'
openssl x509 -req -days 3650 -in "root-ca.csr" \
    -signkey "root-ca.key" -sha256 -out "root-ca.crt" \
    -extfile "root-ca.cnf" -extensions \
    root_ca
openssl genrsa -out "site.key" 2048
openssl req -new -key "site.key" -out "site.csr" -sha256 \
    -subj '/C=US/ST=CA/L=San Francisco/O=Docker/CN=localhost'
openssl x509 -req -days 750 -in "site.csr" -sha256 \
    -CA "root-ca.crt" -CAkey "root-ca.key" -CAcreateserial \
    -out "site.crt" -extfile "site.cnf" -extensions server
"#;

const ROOT_CA_CNF: &str = "\
[root_ca]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical, nonRepudiation, cRLSign, keyCertSign
subjectKeyIdentifier=hash
";

const SITE_CNF: &str = "\
[server]
authorityKeyIdentifier=keyid,issuer
basicConstraints = critical,CA:FALSE
extendedKeyUsage=serverAuth
keyUsage = critical, digitalSignature, keyEncipherment
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier=hash
";
