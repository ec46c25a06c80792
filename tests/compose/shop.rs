//! The document's compose file, WordPress and MySQL, with images made of Debian's MariaDB: the entry points read what
//! their `*_FILE` variables name, as those of the official images do.

use std::path::Path;
use std::process::Command;

use crate::testbed::{Rootfs, program, words};

/// The document's file, but for its network: here is no bridge, so the two talk through the socket in a volume, which
/// WordPress takes for a host as well, and no port is published.
pub(crate) const FILE: &str = r#"
services:
   db:
     image: mysql:latest
     volumes:
       - db_data:/var/lib/mysql
       - &socket db_socket:/run/mysqld
     network_mode: none
     environment:
       MYSQL_ROOT_PASSWORD_FILE: /run/secrets/db_root_password
       MYSQL_DATABASE: wordpress
       MYSQL_USER: wordpress
       MYSQL_PASSWORD_FILE: /run/secrets/db_password
     secrets:
       - db_root_password
       - db_password

   wordpress:
     depends_on:
       - db
     image: wordpress:latest
     volumes: [*socket]
     network_mode: none
     environment:
       WORDPRESS_DB_HOST: localhost:/run/mysqld/mysqld.sock
       WORDPRESS_DB_USER: wordpress
       WORDPRESS_DB_PASSWORD_FILE: /run/secrets/db_password
     secrets:
       - db_password

secrets:
   db_password:
     file: db_password.txt
   db_root_password:
     file: db_root_password.txt

volumes:
    db_data:
    db_socket:
"#;

/// As the official image's: sets the server up at the first start, with the passwords that the files hold.
const MYSQL: &str = r#"set -eu
server() {
    mariadbd --no-defaults --datadir=/var/lib/mysql --user=root --socket=/run/mysqld/mysqld.sock --skip-networking \
        --innodb-log-file-size=4M "$@"
}
if [ ! -d /var/lib/mysql/mysql ]; then
    { cat <<END
CREATE DATABASE mysql;
USE mysql;
END
    cat /usr/share/m*/m*_system_tables.sql /usr/share/m*/m*_performance_tables.sql /usr/share/m*/m*_system_tables_data.sql
    cat <<END
FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED BY '$(cat "$MYSQL_ROOT_PASSWORD_FILE")';
CREATE DATABASE $MYSQL_DATABASE;
CREATE USER $MYSQL_USER@localhost IDENTIFIED BY '$(cat "$MYSQL_PASSWORD_FILE")';
GRANT ALL ON $MYSQL_DATABASE.* TO $MYSQL_USER@localhost;
END
    } | server --bootstrap
fi
server
"#;

/// In the place of WordPress: waits for its database, installs its first table, and stays.
const WORDPRESS: &str = r#"set -eu
sql() {
    printf '[client]\npassword=%s\n' "$(cat "$WORDPRESS_DB_PASSWORD_FILE")" |
        mariadb --defaults-file=/dev/stdin --user="$WORDPRESS_DB_USER" --socket="${WORDPRESS_DB_HOST#localhost:}" wordpress -e "$1"
}
until sql 'CREATE TABLE IF NOT EXISTS wp_options (option_name VARCHAR(64), option_value TEXT)'; do sleep 1; done
sql "INSERT INTO wp_options VALUES ('siteurl', 'http://localhost:8000')"
echo 'WordPress is installed.'
sleep 100000 &
wait
"#;

/// The images: the name in the file, the root file system, the entry point.
pub(crate) fn images() -> [(&'static str, Rootfs); 2] {
    let client = |rootfs: Rootfs| rootfs.with_program("mariadb", "mariadb-client-core");
    let mysql = client(Rootfs::busybox()).with_program("mariadbd", "mariadb-server-core");
    // MariaDB has them below its own name since Debian 13.
    let name = if Path::new("/usr/share/mariadb").exists() { "mariadb" } else { "mysql" };
    let share = Path::new("/usr/share").join(name);
    for file in ["system_tables", "performance_tables", "system_tables_data"] {
        mysql.copy(&share.join(format!("{name}_{file}.sql")));
    }
    mysql.copy(&share.join("english/errmsg.sys"));
    copy_all(&share.join("charsets"), &mysql);
    mysql.write("entrypoint.sh", MYSQL);
    std::fs::create_dir_all(mysql.path("var/lib/mysql")).unwrap();
    let wordpress = client(Rootfs::busybox());
    wordpress.write("entrypoint.sh", WORDPRESS);
    for image in [&mysql, &wordpress] {
        std::os::unix::fs::symlink("busybox", image.path("bin/printf")).unwrap();
        std::fs::create_dir_all(image.path("run/mysqld")).unwrap();
    }
    [("mysql:latest", mysql), ("wordpress:latest", wordpress)]
}

fn copy_all(directory: &Path, rootfs: &Rootfs) {
    for entry in std::fs::read_dir(directory).unwrap() {
        rootfs.copy(&entry.unwrap().path());
    }
}

/// How an image is imported, by Docker and by podman.
pub(crate) const IMPORT: [&str; 5] =
    ["import", "--change", "ENV PATH=/usr/sbin:/usr/bin:/bin", "--change", r#"ENTRYPOINT ["sh","/entrypoint.sh"]"#];

/// What a client inside the database's container is told to run: who is the user whose password the file holds?
pub(crate) fn asks_who(user: &str, secret: &str) -> [String; 3] {
    let script = format!(
        "printf '[client]\\npassword=%s\\n' \"$(cat /run/secrets/{secret})\" | \
         mariadb --defaults-file=/dev/stdin --user={user} --socket=/run/mysqld/mysqld.sock -N -e 'SELECT CURRENT_USER()'"
    );
    ["sh".into(), "-c".into(), script]
}

/// podman-compose as PyPI has it, in an environment of Debian's python3 that is made once.
pub(crate) fn podman_compose() -> std::path::PathBuf {
    let python = program("python3", "python3-venv python3-yaml python3-dotenv");
    let version =
        Command::new(&python).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("podman-compose-1.6.0-python{}", version.trim_end()));
    let program_file = at.join("bin/podman-compose");
    let lock = std::fs::File::create(format!("{}.lock", at.display())).unwrap();
    lock.lock().unwrap();
    if program_file.exists() {
        return program_file;
    }
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/requirements.txt");
    let pip = at.join("bin/pip");
    let steps = [
        Command::new(python).args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&at).output(),
        Command::new(&pip)
            .args(["install", "--quiet", "--no-deps", "--require-hashes", "-r"])
            .arg(requirements)
            .output(),
    ];
    for step in steps {
        let said = step.as_ref().map_or_else(ToString::to_string, words);
        assert!(
            step.is_ok_and(|output| output.status.success()),
            "podman-compose is missing and cannot be installed; apt-get install -y --no-install-recommends python3-venv \
             python3-yaml python3-dotenv, and let pip reach PyPI: {said}"
        );
    }
    program_file
}
