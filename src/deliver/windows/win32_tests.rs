//! The real seams, on whatever takes itself for Windows: each is called, and where a system only pretends, that is refused.

use super::*;
use crate::deliver::windows::{FillPlace, Filled, Layer, Layout, Plan, PlannedFile, PlannedLink, WindowsError, scrub};
use crate::model::ContainerId;
use crate::secret::SecretBytes;

fn plan() -> Plan {
    let file = PlannedFile { grant: 0, path: vec!["id1".to_owned()] };
    let (layout, directories, links, warnings) = (Layout::Links, Vec::new(), vec![link()], Vec::new());
    Plan { layout, directories, files: vec![file], links, warnings }
}

fn link() -> PlannedLink {
    let at = ["ProgramData", "Docker", "secrets", "app"].map(str::to_owned).to_vec();
    PlannedLink { at, to: r"C:\ProgramData\Docker\internal\secrets\id1".to_owned() }
}

#[test]
fn files_are_made_private_and_go_again() {
    let (seams, top) = (Seams::win32(), tempfile::tempdir().unwrap());
    let place = FillPlace::of(top.path(), &ContainerId::parse("web").unwrap()).unwrap();
    let value = |_| Ok::<_, WindowsError>(SecretBytes::take_from(&mut b"hunter2".to_vec()).unwrap());
    let filled = Filled::make(&seams, place.clone(), &plan(), value).unwrap();
    assert_eq!(std::fs::read_to_string(place.values().join("id1")).unwrap(), "hunter2");
    assert!(matches!(Filled::make(&seams, place.clone(), &plan(), value), Err(WindowsError::Occupied { .. })));
    filled.keep();
    let scrubbed = scrub(&*seams.acl, place.directory());
    assert_eq!((scrubbed.files, scrubbed.failures), (1, Vec::new()));
    assert!(!place.is_taken());
}

#[test]
fn a_directory_that_others_may_enter_is_found_out_or_the_system_has_no_lists() {
    let (seams, top) = (Seams::win32(), tempfile::tempdir().unwrap());
    let open = top.path().join("open");
    acl::create_dir(&open, "D:P(A;OICI;FA;;;WD)").unwrap();
    let private = top.path().join("private");
    seams.acl.make_directory(&private).unwrap();
    assert_eq!(seams.acl.check(&private), Ok(()));
    assert!(seams.acl.check(&open).is_err(), "everybody may use it");
}

/// Wine says that it has made the link, and has made none: then nothing may be delivered.
#[test]
fn links_are_there_or_the_delivery_is_refused_and_nothing_is_left() {
    let (seams, top) = (Seams::win32(), tempfile::tempdir().unwrap());
    let layer = Layer::at(top.path().to_owned()).unwrap();
    layer.check(&*seams.links, &[link()]).unwrap();
    match layer.link(&*seams.links, &[link()]) {
        Ok(made) => {
            let made = made.keep();
            layer.verify(&*seams.links, &made).unwrap();
            assert!(layer.unlink(&*seams.links, &made).is_empty());
        }
        Err(WindowsError::LinkMissing { target }) => {
            assert_eq!(target, r"C:\ProgramData\Docker\secrets\app");
        }
        Err(other) => panic!("{other}"),
    }
    assert!(std::fs::read_dir(top.path()).unwrap().next().is_none());
}

#[test]
fn a_file_in_use_is_not_half_removed() {
    use std::os::windows::fs::OpenOptionsExt;
    let (seams, top) = (Seams::win32(), tempfile::tempdir().unwrap());
    let (directory, file) = (top.path().join("web"), top.path().join("web").join("id1"));
    seams.acl.make_directory(&directory).unwrap();
    std::fs::write(&file, "hunter2").unwrap();
    let reader = std::fs::OpenOptions::new().read(true).share_mode(1).open(&file).unwrap();
    let scrubbed = scrub(&*seams.acl, &directory);
    assert!(scrubbed.files == 0 && scrubbed.failures[0].starts_with("overwrite a file"), "{scrubbed:?}");
    drop(reader);
    assert_eq!(scrub(&*seams.acl, &directory).files, 1);
}

#[test]
fn the_volume_says_something_and_never_on_without_a_reason() {
    let (seams, top) = (Seams::win32(), tempfile::tempdir().unwrap());
    let state = seams.volume.state_of(top.path());
    // On a machine with BitLocker this is `on`; Wine has neither of the two that could say so.
    match &state {
        VolumeState::On | VolumeState::Off { .. } => {}
        VolumeState::Unknown { why, volume } => assert!(why.contains("WMI") && volume.ends_with(':'), "{state:?}"),
    }
    let nowhere = seams.volume.state_of(&top.path().join("there is no such directory"));
    assert_eq!(nowhere.word(), "unknown");
}
