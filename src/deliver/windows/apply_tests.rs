//! The container's directory: what is made, and that nothing is left of what fails.

use super::*;
use crate::deliver::windows::test_seams::{MemoryLinks, PlainAcl, seams};
use crate::deliver::windows::{Layout, Request, plan};
use crate::model::{Grant, Grants, ID_ENTROPY, Id};

fn place(top: &Path) -> FillPlace {
    FillPlace::of(top, &ContainerId::parse("web-1").unwrap()).unwrap()
}

fn planned(grants: &[&str]) -> Plan {
    let grants: Vec<Grant> = grants.iter().map(|text| Grant::parse(text).unwrap()).collect();
    let ids: Vec<Id> = (0..grants.len()).map(|seed| Id::from_entropy([seed as u8; ID_ENTROPY])).collect();
    plan(&Request { grants: &Grants::try_from(grants).unwrap(), ids: &ids, layout: Layout::Directory }).unwrap()
}

fn value(text: &str) -> SecretBytes {
    SecretBytes::take_from(&mut text.as_bytes().to_vec()).unwrap()
}

#[test]
fn every_value_stands_in_its_file_and_goes_when_it_is_not_kept() {
    let top = tempfile::tempdir().unwrap();
    let seams = seams(&MemoryLinks::default(), &PlainAcl::default());
    let plan = planned(&["a", "source=b,target=sub/b"]);
    let fill =
        || Filled::make(&seams, place(top.path()), &plan, |grant| Ok::<_, WindowsError>(value(&format!("v{grant}"))));
    let filled = fill().unwrap();
    let values = filled.place().values();
    assert_eq!(std::fs::read_to_string(values.join("a")).unwrap(), "v0");
    assert_eq!(std::fs::read_to_string(values.join("sub").join("b")).unwrap(), "v1");
    assert!(matches!(fill().err().unwrap(), WindowsError::Occupied { .. }), "a second container of this id");
    assert_eq!(std::fs::read_to_string(values.join("a")).unwrap(), "v0", "it has taken nothing from the first");
    drop(filled);
    assert!(!place(top.path()).is_taken());
    fill().unwrap().keep();
    assert!(place(top.path()).is_taken());
}

#[test]
fn nothing_is_left_when_a_value_cannot_be_opened() {
    let top = tempfile::tempdir().unwrap();
    let seams = seams(&MemoryLinks::default(), &PlainAcl::default());
    let refused = Filled::make(&seams, place(top.path()), &planned(&["a", "b"]), |grant| match grant {
        0 => Ok(value("hunter2")),
        _ => Err(WindowsError::NoLayer { target: "b".to_owned() }),
    });
    assert!(refused.is_err() && std::fs::read_dir(top.path()).unwrap().next().is_none());
}

#[test]
fn what_is_open_to_others_is_refused_before_a_value_is_written() {
    let top = tempfile::tempdir().unwrap();
    for fault in ["web-1", "secrets"] {
        let seams = seams(&MemoryLinks::default(), &PlainAcl { fault: Some(fault), ..PlainAcl::default() });
        let refused = Filled::make(&seams, place(top.path()), &planned(&["a"]), |_| -> Result<_, WindowsError> {
            panic!("a value was opened")
        });
        assert!(matches!(refused.err().unwrap(), WindowsError::Access { .. }));
        assert!(!place(top.path()).is_taken());
    }
    let seams = seams(&MemoryLinks::default(), &PlainAcl { fault: Some("a"), ..PlainAcl::default() });
    let refused = Filled::make(&seams, place(top.path()), &planned(&["a"]), |_| Ok::<_, WindowsError>(value("x")));
    assert!(refused.err().unwrap().to_string().contains("everybody may read it") && !place(top.path()).is_taken());
}

#[test]
fn ids_that_cannot_name_a_directory_are_refused() {
    for id in ["nul", "Con.1", "a.", &"x".repeat(129)] {
        let id = ContainerId::parse(id).unwrap();
        assert!(matches!(FillPlace::of(Path::new("x"), &id), Err(WindowsError::ContainerId { .. })), "{id}");
    }
}

#[test]
fn a_new_value_takes_the_place_of_the_old_one() {
    let top = tempfile::tempdir().unwrap();
    let seams = seams(&MemoryLinks::default(), &PlainAcl::default());
    let filled = Filled::make(&seams, place(top.path()), &planned(&["key"]), |_| Ok::<_, WindowsError>(value("old")));
    let filled = filled.unwrap();
    let (place, file) = (filled.place().clone(), vec!["key".to_owned()]);
    for left in ["new", "past-0"] {
        std::fs::write(place.directory().join(left), "left by a crash").unwrap();
    }
    std::fs::hard_link(place.values().join("key"), place.directory().join("old")).unwrap();
    assert!(replace_value(&PlainAcl::default(), &place, &file, &value("newer")).unwrap().is_none());
    assert_eq!(std::fs::read_to_string(place.values().join("key")).unwrap(), "newer");
    assert!(forget_past(&PlainAcl::default(), &place), "what a crash left");
    assert_eq!(std::fs::read_dir(place.directory()).unwrap().count(), 1, "nothing is left beside");
    let refused = replace_value(&PlainAcl::default(), &place, &["other".to_owned()], &value("x"));
    assert!(refused.is_err(), "only what is there is replaced");
}

#[test]
fn an_old_value_that_somebody_has_open_is_overwritten_later() {
    let top = tempfile::tempdir().unwrap();
    let seams = seams(&MemoryLinks::default(), &PlainAcl::default());
    let filled = Filled::make(&seams, place(top.path()), &planned(&["key"]), |_| Ok::<_, WindowsError>(value("first")));
    let filled = filled.unwrap();
    let (place, file) = (filled.place().clone(), vec!["key".to_owned()]);
    for (busy, new) in [("past-0", "second"), ("past-1", "third")] {
        let acl = PlainAcl { busy: Some(busy), ..PlainAcl::default() };
        assert!(replace_value(&acl, &place, &file, &value(new)).unwrap().is_some(), "{new}");
        assert_eq!(std::fs::read_to_string(place.values().join("key")).unwrap(), new, "the new value stands");
    }
    assert!(!forget_past(&PlainAcl { busy: Some("past-1"), ..PlainAcl::default() }, &place));
    assert_eq!(std::fs::read_dir(place.directory()).unwrap().count(), 2, "one of the two is left");
    assert!(forget_past(&PlainAcl::default(), &place));
    assert_eq!(std::fs::read_dir(place.directory()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(place.values().join("key")).unwrap(), "third");
}
