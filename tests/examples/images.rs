//! The images of the examples, made of Debian's own packages.

use crate::testbed::Rootfs;

/// As the document's redis:alpine: redis on busybox.
pub(crate) fn redis() -> Rootfs {
    Rootfs::busybox().with_program("redis-server", "redis-server").with_program("redis-cli", "redis-tools")
}

/// redis-server and what it is told here: nothing on disk, and the network of the container alone.
pub(crate) const REDIS: [&str; 7] = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"];

/// As the document's nginx:latest: nginx reads `conf.d`, serves its welcome page, and its workers are not root.
pub(crate) fn nginx() -> Rootfs {
    let image = Rootfs::busybox().with_program("nginx", "nginx-light");
    for directory in ["etc/nginx/conf.d", "var/log/nginx", "var/lib/nginx", "usr/share/nginx/html"] {
        std::fs::create_dir_all(image.path(directory)).unwrap();
    }
    image.write("etc/nginx/nginx.conf", NGINX_CONF);
    image.write("usr/share/nginx/html/index.html", WELCOME);
    image
}

const NGINX_CONF: &str = "\
user www-data;
worker_processes 1;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events {
    worker_connections 64;
}
http {
    default_type text/html;
    access_log /var/log/nginx/access.log;
    include /etc/nginx/conf.d/*.conf;
}
";

const WELCOME: &str = "\
<!DOCTYPE html>
<html>
<head><title>Welcome to nginx!</title></head>
<body><h1>Welcome to nginx!</h1></body>
</html>
";
