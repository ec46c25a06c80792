//! Commits of containers that have secrets at places of their own, not only in /run/secrets.

use crate::testbed::{Bed, Bundle, Canary, Overlay, Rootfs, Runtime};
use crate::{bundle, is_nowhere_else};

crate::on_each_runtime!(a_commit_has_neither_values_nor_our_mount_points);

/// Where the image has a directory, where it has none, and where it has a file.
const TARGETS: [&str; 4] = ["/run/secrets/key", "/etc/key", "/srv/app/deep/key", "/etc/app.conf"];

fn a_commit_has_neither_values_nor_our_mount_points(runtime: Runtime) {
    let bed = Bed::new(runtime);
    let canary = Canary::new();
    bed.secret("key", canary.value().as_bytes());
    bed.service("app", &TARGETS.map(|target| format!("source=key,target={target}")).each_ref().map(String::as_str));
    let image = Rootfs::busybox();
    image.write("etc/app.conf", "the image's own\n");
    let overlay = Overlay::on(&image);
    let bundle = bundle(&bed, &overlay, "app", &["sleep", "1000"]);
    let container = bed.start(&bundle);
    for target in TARGETS {
        assert_eq!(container.exec(&["cat", target]), canary.value(), "{target}");
    }
    container.exec(&["touch", "/etc/its-own"]);

    // While it runs a commit has empty mount points, as Docker's has, and no more.
    is_nowhere_else(&bed, &canary, &bundle, &overlay, Some(&container));
    let running = overlay.committed();
    assert_eq!(read_all(&bed, &running), ["", "", "the image's own\n"]);

    // After a clean stop it has what the container wrote, and nothing of ours.
    container.stop();
    is_nowhere_else(&bed, &canary, &bundle, &overlay, None);
    assert_eq!(overlay.changes(), ["/etc/its-own"]);
    assert_eq!(read_all(&bed, &overlay.committed()), ["the image's own\n"]);
}

/// The targets that are files in this image, without a claim.
fn read_all(bed: &Bed, image: &Overlay) -> Vec<String> {
    let container = bed.start(&Bundle::new(image.rootfs()).hooked(&bed.place.run()));
    let read = |target: &&str| container.try_exec(&["cat", target]);
    let outputs = TARGETS.iter().map(read).filter(|output| output.status.success());
    let texts = outputs.map(|output| String::from_utf8(output.stdout).unwrap()).collect();
    container.stop();
    texts
}
