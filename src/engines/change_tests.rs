//! Files on a disk: what is written, kept, put back and refused.
use std::os::unix::fs::symlink;

use super::*;

const OURS: &str = "ours\n";

fn strip(text: &str) -> Result<String, EditError> {
    Ok(text.replace(OURS, ""))
}

/// Ends the last line, as toml_edit does.
fn add(text: &str) -> Result<String, EditError> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{text}{end}{OURS}"))
}

fn install(path: &Path) -> Option<PathBuf> {
    let original = Original::read(path).unwrap();
    let after = add(original.text()).unwrap();
    original.install(after, strip).apply().unwrap()
}

fn uninstall(path: &Path) {
    let change = Original::read(path).unwrap().uninstall(strip, add, str::is_empty).unwrap();
    change.apply().unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_old_text_owner_and_mode_come_back() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("conf");
    for before in ["a\n", "a", "", "\n"] {
        fs::write(&path, before).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(7), Some(8)).unwrap();
        }
        let identity = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid(), found.mode())).unwrap();
        let own = identity(&path);
        let kept = install(&path).unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), before);
        assert_eq!(fs::read_to_string(&path).unwrap(), add(before).unwrap());
        assert_eq!((identity(&path), identity(&kept)), (own, own));
        uninstall(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert_eq!((identity(&path), names(place.path())), (own, vec!["conf".to_owned()]));
    }
}

#[test]
fn what_others_changed_stays_and_so_does_the_backup() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("conf");
    fs::write(&path, "a").unwrap();
    install(&path);
    fs::write(&path, format!("b\na\n{OURS}")).unwrap();
    // Ours again, with what others did in between: the first text is the one that is kept.
    let change = Original::read(&path).unwrap().install(format!("b\na\n{OURS}{OURS}"), strip);
    assert_eq!(change.apply().unwrap(), None);
    uninstall(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "b\na\n");
    assert_eq!(fs::read_to_string(place.path().join("conf.runsecrets.bak")).unwrap(), "a");
}

#[test]
fn a_file_that_was_not_there_goes_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new/conf");
    assert_eq!(install(&path), None);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    uninstall(&path);
    assert_eq!(names(&place.path().join("new")), [""; 0]);
    let change = Original::read(&path).unwrap().uninstall(strip, add, str::is_empty).unwrap();
    assert!(change.is_none() && change.diff().is_empty());
}

#[test]
fn a_link_stays_and_what_it_leads_to_changes() {
    let place = tempfile::tempdir().unwrap();
    let (link, real) = (place.path().join("etc/conf"), place.path().join("real/file"));
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    fs::create_dir_all(real.parent().unwrap()).unwrap();
    fs::write(&real, "a\n").unwrap();
    symlink("../real/file", &link).unwrap();
    install(&link);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), add("a\n").unwrap());
    assert_eq!(names(real.parent().unwrap()), ["file", "file.runsecrets.bak"]);
    uninstall(&link);
    assert_eq!(names(real.parent().unwrap()), ["file"]);

    // With nothing left in it, a file goes; but not from under a link.
    fs::write(&real, OURS).unwrap();
    uninstall(&link);
    assert_eq!(fs::read_to_string(&link).unwrap(), "");

    fs::remove_file(&real).unwrap();
    let error = Original::read(&link).unwrap_err().to_string();
    assert!(error.contains("etc/conf") && error.contains("nothing was changed"), "{error}");
}

#[test]
fn what_somebody_else_wrote_in_the_meantime_is_not_lost() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("conf");
    fs::write(&path, "a\n").unwrap();
    let change = Original::read(&path).unwrap().install(add("a\n").unwrap(), strip);
    fs::write(&path, "b\n").unwrap();
    assert!(matches!(change.apply(), Err(ConfigureError::Changed { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
    assert_eq!(names(place.path()), ["conf"]);
}

#[test]
fn crio_reads_no_backup() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("crio.conf.d/x.conf");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "a\n").unwrap();
    assert_eq!(install(&path).unwrap(), place.path().join("x.conf.runsecrets.bak"));
    assert_eq!(names(path.parent().unwrap()), ["x.conf"]);
    uninstall(&path);
    assert_eq!(names(place.path()), ["crio.conf.d"]);
}
