//! What is planned, and what is refused, for each kind of grant and container.

use super::*;
use crate::model::Target;

fn grants(texts: &[&str]) -> Grants {
    Grants::try_from(texts.iter().map(|text| Grant::parse(text).unwrap()).collect::<Vec<_>>()).unwrap()
}

struct Container {
    layout: Layout,
    mounts: Vec<String>,
    map: &'static str,
    users: Vec<u32>,
    groups: Vec<u32>,
}

impl Default for Container {
    fn default() -> Self {
        let layout = Layout::Directory { keep: Vec::new() };
        Self { layout, mounts: Vec::new(), map: "0 0 4294967295", users: Vec::new(), groups: Vec::new() }
    }
}

fn planned(texts: &[&str], container: &Container) -> Result<FillPlan, DeliverError> {
    plan(&Request {
        generations: false,
        grants: &grants(texts),
        users: &container.users,
        groups: &container.groups,
        maps: &IdMaps::for_test(container.map),
        layout: &container.layout,
        mounts: &container.mounts,
    })
}

fn mounts(plan: &FillPlan) -> Vec<(&str, MountKind, &str)> {
    plan.mounts.iter().map(|(mount, path)| (mount.at.as_str(), mount.kind, path.as_str())).collect()
}

#[test]
fn default_targets_share_one_mount_and_absolute_ones_have_their_own() {
    let plan =
        planned(&["a", "source=b,target=x/y", "source=a,target=/etc/c,mode=0400"], &Container::default()).unwrap();
    assert_eq!(plan.directories, ["dir", "dir/x", "files"]);
    assert_eq!(mounts(&plan), [("/run/secrets", MountKind::Directory, "dir"), ("/etc/c", MountKind::File, "files/2")]);
    let files: Vec<(&str, u32)> = plan.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    assert_eq!(files, [("dir/a", 0o444), ("dir/x/y", 0o444), ("files/2", 0o400)]);
}

#[test]
fn only_absolute_targets_leave_the_directory_alone() {
    let plan = planned(&["source=a,target=/a"], &Container::default()).unwrap();
    assert_eq!(mounts(&plan), [("/a", MountKind::File, "files/0")]);
    assert_eq!(plan.directories, ["files"]);
}

#[test]
fn no_grants_mean_no_mounts() {
    let plan = planned(&[], &Container::default()).unwrap();
    assert!(plan.mounts.is_empty() && plan.files.is_empty());
}

#[test]
fn owners_are_translated_and_names_filled_in() {
    let container = Container { map: "0 100000 65536", users: vec![33], groups: vec![101], ..Container::default() };
    let plan = planned(&["source=a,target=a,uid=www-data,gid=ssl", "source=a,target=b,uid=7"], &container).unwrap();
    let owners: Vec<(u32, u32)> = plan.files.iter().map(|file| (file.uid, file.gid)).collect();
    assert_eq!(owners, [(100_033, 100_101), (100_007, 100_000)]);
    assert_eq!(plan.root, (100_000, 100_000));
}

#[test]
fn an_owner_outside_the_maps_is_refused() {
    let container = Container { map: "0 100000 10", ..Container::default() };
    assert!(matches!(planned(&["source=a,uid=10"], &container), Err(DeliverError::UnmappedOwner { id: 10, .. })));
}

#[test]
fn names_that_were_not_looked_up_are_refused() {
    assert!(matches!(planned(&["source=a,uid=x"], &Container::default()), Err(DeliverError::UnknownOwner { .. })));
}

#[test]
fn a_target_on_or_above_a_mount_of_the_container_is_refused() {
    let container = |mount: &str| Container { mounts: vec![mount.to_owned()], ..Container::default() };
    for (grant, mount) in [
        ("source=a,target=/etc/x", "/etc/x"),
        ("source=a,target=/etc/x", "/etc/x/y"),
        ("a", "/run/secrets/a"),
        ("a", "/run/secrets/a/b"),
    ] {
        let refusal = planned(&[grant], &container(mount)).unwrap_err();
        assert!(matches!(refusal, DeliverError::TargetTaken { .. }), "{grant} {mount}: {refusal}");
    }
    assert!(planned(&["source=a,target=/etc/x"], &container("/etc")).is_ok());
}

#[test]
fn kept_mounts_get_a_place_and_targets_inside_them_get_their_own_mount() {
    let keep = vec![
        Kept { target: Target::parse("k8s.io/account").unwrap(), kind: MountKind::Directory },
        Kept { target: Target::parse("one").unwrap(), kind: MountKind::File },
    ];
    let container = Container { layout: Layout::Directory { keep }, ..Container::default() };
    let plan = planned(&["a", "source=b,target=k8s.io/account/token2"], &container).unwrap();
    assert_eq!(plan.directories, ["dir", "dir/k8s.io", "dir/k8s.io/account", "files"]);
    assert_eq!(plan.places, ["dir/one"]);
    assert_eq!(
        mounts(&plan),
        [
            ("/run/secrets", MountKind::Directory, "dir"),
            ("/run/secrets/k8s.io/account/token2", MountKind::File, "files/1")
        ]
    );
}

#[test]
fn a_living_directory_gets_single_files() {
    let container = Container { layout: Layout::Files, ..Container::default() };
    let plan = planned(&["a"], &container).unwrap();
    assert_eq!(mounts(&plan), [("/run/secrets/a", MountKind::File, "files/0")]);
}

#[test]
fn room_is_kept_for_a_second_copy_of_every_value() {
    let room = Room::of(&grants(&["a", "source=b,target=x/y/z"]), &[1, 4097], false);
    assert!(room.bytes >= 2 * 3 * 4096 && room.bytes < 100 * 1024);
    assert!(room.inodes > 2 * 2 + 4);
}
