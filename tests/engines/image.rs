//! A root file system as the archive that `docker load` and `ctr image import` read.
#![allow(dead_code)] // each engine uses its own part

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::testbed::{Rootfs, program, words};

/// The name of the image in an archive.
pub(crate) const IMAGE: &str = "docker.io/library/testbed:latest";

/// Writes `rootfs` as a tar of files below `directory`.
pub(crate) fn layer(rootfs: &Rootfs, directory: &Path) -> PathBuf {
    let layer = directory.join("layer.tar");
    run(Command::new("tar").arg("-C").arg(rootfs.path("")).arg("-cf").arg(&layer).arg("."));
    layer
}

/// Writes `rootfs` as an image of one layer below `directory`.
pub(crate) fn archive(rootfs: &Rootfs, directory: &Path) -> PathBuf {
    let layer = layer(rootfs, directory);
    let sum = run(Command::new(program("sha256sum", "coreutils")).arg(&layer));
    let digest = format!("sha256:{}", sum.split_whitespace().next().unwrap());
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "1000"]},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
    std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
    let archive = directory.join("image.tar");
    run(Command::new("tar").arg("-C").arg(directory).arg("-cf").arg(&archive).args([
        "manifest.json",
        "config.json",
        "layer.tar",
    ]));
    archive
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}
