//! The examples of the document that this project makes true, step by step: redis with one secret, nginx over HTTPS,
//! images that read `*_FILE` variables. Real servers, each in a container on an overlay, as an engine starts it.
//! Each server has a network of its own: none meets another, nor one that the machine runs.
#![allow(clippy::unwrap_used)] // a test may end where it stands

#[path = "examples/commit.rs"]
mod commit;
#[path = "examples/entry_point.rs"]
mod entry_point;
#[path = "examples/images.rs"]
mod images;
#[path = "examples/nginx.rs"]
mod nginx;
#[path = "examples/redis.rs"]
mod redis;
#[path = "examples/site.rs"]
mod site;
mod testbed;

use testbed::{Bed, Bundle, Canary, Container, Overlay};

/// What `cat` says in a container that has no secret of this name.
const NOT_THERE: &str = "cat: can't open '/run/secrets/my_secret_data': No such file or directory\n";

/// A bundle on `overlay`, with our hooks, that claims `service` and runs `arguments`.
fn bundle(bed: &Bed, overlay: &Overlay, service: &str, arguments: &[&str]) -> Bundle {
    Bundle::new(overlay.rootfs()).hooked(&bed.place.run()).claiming(service).running(arguments)
}

/// Fails if the value is in any file of the container, the runtime or ours, in a log, or where processes get their
/// arguments and environment from.
fn is_nowhere_else(bed: &Bed, canary: &Canary, bundle: &Bundle, overlay: &Overlay, container: Option<&Container>) {
    canary.is_in_no_process();
    let mut places = vec![bed.place.path(""), bundle.path(), overlay.upper()];
    if let Some(container) = container {
        places.push(container.runtime_directory().to_owned());
        assert!(!canary.is_in(container.state().as_bytes()));
    }
    canary.is_nowhere_in(&places);
    assert!(!canary.is_in(bed.agent.log.text().as_bytes()));
}
