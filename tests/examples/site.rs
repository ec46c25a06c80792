//! What the document's nginx serves: its key, its certificate and its configuration, made by the document's own commands,
//! with keys of 2048 bits instead of 4096 to save time; and the visit that proves it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::testbed::{Bed, Canary, program, words};

/// The document's command lines, below `nginx:latest`.
pub(crate) const BY_LINK: &str =
    "ln -s /run/secrets/site.conf /etc/nginx/conf.d/site.conf && exec nginx -g 'daemon off;'";
pub(crate) const BY_TARGET: &str = "exec nginx -g 'daemon off;'";
pub(crate) const CONF_AT_TARGET: &str = "source=site.conf,target=/etc/nginx/conf.d/site.conf";

pub(crate) const SITE_CONF: &str = "\
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

/// The directory in which they were made.
pub(crate) struct Site(tempfile::TempDir);

impl Site {
    /// Makes the files as the document does, and a secret of each.
    pub(crate) fn stored(bed: &Bed) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        program("openssl", "openssl");
        for (name, text) in [("root-ca.cnf", ROOT_CA_CNF), ("site.cnf", SITE_CNF), ("site.conf", SITE_CONF)] {
            std::fs::write(site.file(name), text).unwrap();
        }
        let mut command = Command::new("sh");
        let output = command.args(["-ec", CERTIFICATES]).current_dir(site.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        for name in ["site.key", "site.crt", "site.conf"] {
            bed.cli_ok(&["secret", "create", name, site.file(name).to_str().unwrap()]);
        }
        site
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Some lines of the key, none of which may be anywhere.
    pub(crate) fn key(&self) -> [Canary; 3] {
        let key = std::fs::read_to_string(self.file("site.key")).unwrap();
        let lines: Vec<&str> = key.lines().filter(|line| line.len() == 64).collect();
        assert!(lines.len() > 20, "not a key of 2048 bits");
        [lines[1], lines[lines.len() / 2], lines[lines.len() - 1]].map(Canary::of)
    }

    /// From outside, by programs of this machine in the network of process `pid`; `is_up` fails where it has ended.
    pub(crate) fn can_be_visited(&self, bed: &Bed, pid: i32, is_up: impl Fn()) {
        let authority = self.file("root-ca.crt");
        let authority = authority.to_str().unwrap();
        let visit = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/proc/{pid}/ns/net")).arg(program).args(arguments);
            command.stdin(Stdio::null()).output().unwrap()
        };
        let curl = |arguments: &[&str]| {
            let common = ["--silent", "--show-error", "--noproxy", "*", "https://localhost/"];
            visit(&program("curl", "curl"), &[&common, arguments].concat())
        };
        let mut page = None;
        bed.eventually("nginx serves its page", || {
            let output = curl(&["--cacert", authority]);
            let served = output.status.success();
            page = Some(output);
            is_up();
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
