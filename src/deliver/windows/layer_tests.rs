//! Links in a layer: made, read back, undone; and what an image may put in their way.

use std::path::Path;

use super::*;
use crate::deliver::windows::test_seams::MemoryLinks;

const TO: &str = r"C:\ProgramData\Docker\internal\secrets\";

fn link(at: &[&str], name: &str) -> PlannedLink {
    PlannedLink { at: at.iter().map(|part| (*part).to_owned()).collect(), to: format!("{TO}{name}") }
}

fn pair() -> Vec<PlannedLink> {
    vec![link(&["ProgramData", "Docker", "secrets", "app"], "id1"), link(&["app", "key"], "id2")]
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).unwrap().next().is_none()
}

#[test]
fn links_are_made_with_their_directories_and_removed_with_them() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("ProgramData")).unwrap();
    let (links, layer) = (MemoryLinks::default(), Layer::at(top.path().to_owned()).unwrap());
    layer.check(&links, &pair()).unwrap();
    let made = layer.link(&links, &pair()).unwrap().keep();
    assert_eq!(links.made.lock().unwrap()[&top.path().join("app").join("key")], format!("{TO}id2"));
    assert_eq!(made.directories.len(), 3, "ProgramData was there");
    layer.verify(&links, &made).unwrap();
    assert_eq!(layer.unlink(&links, &made), Vec::<String>::new());
    assert!(links.made.lock().unwrap().is_empty());
    assert!(!top.path().join("app").exists() && is_empty(&top.path().join("ProgramData")));
    assert!(matches!(layer.verify(&links, &made), Err(WindowsError::LinkMissing { .. })));
}

#[test]
fn a_link_that_is_reported_and_not_there_is_refused_and_nothing_is_left() {
    let top = tempfile::tempdir().unwrap();
    let links = MemoryLinks { stub: true, ..MemoryLinks::default() };
    let error = Layer::at(top.path().to_owned()).unwrap().link(&links, &pair()).err().unwrap();
    assert!(matches!(&error, WindowsError::LinkMissing { target } if target.ends_with("app")), "{error}");
    assert!(is_empty(top.path()));
}

#[test]
fn a_link_that_leads_elsewhere_is_refused_and_stays() {
    let top = tempfile::tempdir().unwrap();
    let (links, layer) = (MemoryLinks::default(), Layer::at(top.path().to_owned()).unwrap());
    let made = layer.link(&links, &pair()).unwrap().keep();
    let key = top.path().join("app").join("key");
    links.made.lock().unwrap().insert(key.clone(), r"C:\Windows\win.ini".to_owned());
    assert!(matches!(layer.verify(&links, &made), Err(WindowsError::LinkMissing { .. })));
    assert!(layer.unlink(&links, &made).is_empty());
    assert_eq!(links.made.lock().unwrap().keys().collect::<Vec<_>>(), [&key], "another's link is not ours to remove");
}

#[test]
fn the_second_failing_takes_the_first_back() {
    let top = tempfile::tempdir().unwrap();
    let links = MemoryLinks { limit: Some(1), ..MemoryLinks::default() };
    let error = Layer::at(top.path().to_owned()).unwrap().link(&links, &pair()).err().unwrap().to_string();
    assert!(error.contains("SeCreateSymbolicLinkPrivilege"), "{error}");
    assert!(links.made.lock().unwrap().is_empty() && is_empty(top.path()));
}

#[test]
fn a_target_that_is_there_is_refused_before_anything_is_made() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("app")).unwrap();
    std::fs::write(top.path().join("app").join("key"), "the image's").unwrap();
    let (links, layer) = (MemoryLinks::default(), Layer::at(top.path().to_owned()).unwrap());
    assert!(matches!(layer.check(&links, &pair()), Err(WindowsError::TargetExists { .. })));
    assert!(matches!(layer.link(&links, &pair()), Err(WindowsError::TargetExists { .. })));
    assert!(links.made.lock().unwrap().is_empty() && !top.path().join("ProgramData").exists());
    assert_eq!(std::fs::read_to_string(top.path().join("app").join("key")).unwrap(), "the image's");
}

#[test]
fn no_part_of_a_path_is_followed_that_leads_elsewhere() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("app")).unwrap();
    let links = MemoryLinks { redirected: Some(top.path().join("app")), ..MemoryLinks::default() };
    let layer = Layer::at(top.path().to_owned()).unwrap();
    for refused in [layer.check(&links, &pair()).err(), layer.link(&links, &pair()).err()] {
        assert!(matches!(refused, Some(WindowsError::Redirected { part, .. }) if part == r"C:\app"));
    }
    let file = tempfile::tempdir().unwrap();
    std::fs::write(file.path().join("app"), "").unwrap();
    let layer = Layer::at(file.path().to_owned()).unwrap();
    let links = MemoryLinks::default();
    assert!(matches!(layer.check(&links, &pair()), Err(WindowsError::Redirected { .. })), "a file is no directory");
}

#[test]
fn a_layer_that_is_gone_has_nothing_to_remove() {
    let top = tempfile::tempdir().unwrap();
    let layer = Layer::at(top.path().join("none")).unwrap();
    assert!(layer.unlink(&MemoryLinks::default(), &LayerRecord { links: pair(), ..LayerRecord::default() }).is_empty());
    assert!(layer.check(&MemoryLinks::default(), &pair()).is_err());
    assert!(matches!(Layer::at(PathBuf::from("rootfs")), Err(WindowsError::File { .. })), "relative to what?");
}

#[test]
fn a_volume_is_entered_at_its_root() {
    let volume = r"\\?\Volume{00000000-0000-0000-0000-000000000001}";
    assert_eq!(rooted(volume.into()), PathBuf::from(format!(r"{volume}\")));
    assert_eq!(rooted(r"\\?\C:".into()), PathBuf::from(r"\\?\C:\"));
    for path in [&format!(r"{volume}\"), r"C:\layers\{1}", r"C:\layer", "/layer"] {
        assert_eq!(rooted(path.into()), PathBuf::from(path));
    }
}

#[test]
fn a_target_that_a_mount_would_hide_is_refused() {
    let links = pair();
    for mount in
        [r"c:/APP", "/app", r"\\?\C:\app", r"C:\app\key", r"C:\app\key\deeper", r"C:\", r"C:\ProgramData\Docker"]
    {
        let refused = check_mounts(&links, &[r"C:\data".to_owned(), mount.to_owned()]).unwrap_err();
        assert!(matches!(&refused, WindowsError::Hidden { mount: found, .. } if found == mount), "{refused}");
    }
    let beside = [r"C:\app\keys", r"C:\ap", r"C:\ProgramData\Docker\internal\secrets", "/run"].map(str::to_owned);
    check_mounts(&links, &beside).unwrap();
}

#[test]
fn a_link_that_an_earlier_start_has_left_is_taken_over() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("app")).unwrap();
    let (links, layer) = (MemoryLinks::default(), Layer::at(top.path().to_owned()).unwrap());
    let key = top.path().join("app").join("key");
    for left in [format!("{TO}id2"), format!("{TO}of-a-secret-that-was-removed")] {
        links.made.lock().unwrap().insert(key.clone(), left);
        layer.check(&links, &pair()).unwrap();
        let made = layer.link(&links, &pair()).unwrap().keep();
        assert_eq!(links.made.lock().unwrap()[&key], format!("{TO}id2"));
        assert_eq!(layer.unlink(&links, &made), Vec::<String>::new());
        assert!(links.made.lock().unwrap().is_empty(), "it goes with this start");
    }
    for other in
        [r"C:\Windows\win.ini".to_owned(), TO.trim_end_matches('\\').to_owned(), TO.replace("secrets", "secret")]
    {
        links.made.lock().unwrap().insert(key.clone(), other.clone());
        assert!(matches!(layer.check(&links, &pair()), Err(WindowsError::TargetExists { .. })), "{other}");
        assert!(matches!(layer.link(&links, &pair()), Err(WindowsError::TargetExists { .. })));
        assert_eq!(links.made.lock().unwrap().remove(&key), Some(other), "the image's own stays");
    }
}
