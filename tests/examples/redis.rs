//! The document's first example: redis with one secret, from `secret create` to `secret rm`.

use crate::testbed::{Bed, Bundle, Canary, Container, Overlay, Runtime};
use crate::{NOT_THERE, bundle, images, is_nowhere_else};

crate::on_each_runtime!(redis_with_one_secret);

const SECRET: &str = "/run/secrets/my_secret_data";

fn redis_with_one_secret(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let canary = Canary::new();
    let value = format!("{}\n", canary.value());

    // Step 1: echo "This is a secret" | runsecrets secret create my_secret_data -
    let id = bed.cli_given(&["secret", "create", "my_secret_data", "-"], value.as_bytes());
    assert_eq!(id.trim_end().len(), 25, "{id}");
    assert!(bed.cli_ok(&["secret", "ls"]).contains("my_secret_data"));

    // Step 2: the service, and its task.
    bed.service("redis", &["my_secret_data"]);
    let image = images::redis();
    let overlay = Overlay::on(&image);
    let bundle = bundle(&bed, &overlay, "redis", &images::REDIS);
    let container = bed.start(&bundle);
    answers(&bed, &container);

    // Step 3: the task runs.
    let has_it = |said: &str| said.contains(&container.id) && said.contains("my_secret_data");
    bed.ps_until(&["service", "ps", "redis"], has_it);

    // Step 4: the secret is there, as Docker has it.
    let listing = container.exec(&["ls", "-l", "/run/secrets"]);
    let line: Vec<&str> = listing.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(line[..5], ["-r--r--r--", "1", "root", "root", &value.len().to_string()], "{listing}");
    assert_eq!(line.last(), Some(&"my_secret_data"), "{listing}");
    assert_eq!(container.exec(&["cat", SECRET]), value);
    is_nowhere_else(&bed, &canary, &bundle, &overlay, Some(&container));

    // Step 5: a commit of the running container does not have it.
    does_not_have_it(&bed, &canary, &overlay.committed());

    // Step 6: it cannot be removed while it is in use.
    let refused = bed.cli(&["secret", "rm", "my_secret_data"]);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("secret 'my_secret_data' is in use by the following service: redis"), "{said}");
    assert!(bed.cli_ok(&["secret", "ls", "-q"]).contains(id.trim_end()));

    // Stopped, nothing is left in the writable layer, and a commit of that does not have it either.
    container.stop();
    bed.holds_nothing();
    is_nowhere_else(&bed, &canary, &bundle, &overlay, None);
    assert_eq!(overlay.changes(), [""; 0]);
    does_not_have_it(&bed, &canary, &overlay.committed());

    // Steps 7 and 8: revoked; the next container of the service runs without it.
    bed.cli_ok(&["service", "update", "--secret-rm", "my_secret_data", "redis"]);
    let container = bed.start(&bundle);
    answers(&bed, &container);
    assert_eq!(missing(&container), NOT_THERE);
    container.stop();

    // Step 9: service and secret can be removed.
    bed.cli_ok(&["service", "rm", "redis"]);
    bed.cli_ok(&["secret", "rm", "my_secret_data"]);
    assert_eq!(bed.cli_ok(&["secret", "ls", "-q"]), "");
    bed.holds_nothing();
    is_nowhere_else(&bed, &canary, &bundle, &overlay, None);
}

/// redis answers.
fn answers(bed: &Bed, container: &Container) {
    bed.eventually("redis answers", || container.try_exec(&["redis-cli", "ping"]).stdout == b"PONG\n");
}

/// What `cat` says of the secret that is not there.
fn missing(container: &Container) -> String {
    let output = container.try_exec(&["cat", SECRET]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// `docker run committed_redis cat /run/secrets/my_secret_data`: no service is claimed, and the image brings nothing.
fn does_not_have_it(bed: &Bed, canary: &Canary, committed: &Overlay) {
    let container = bed.start(&Bundle::new(committed.rootfs()).hooked(&bed.place.run()));
    assert!(missing(&container).contains(NOT_THERE.trim_end()));
    container.stop();
    canary.is_nowhere_in(&["etc", "run", "tmp", "var"].map(|directory| committed.rootfs().path(directory)));
}
