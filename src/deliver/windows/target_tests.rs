//! Windows targets: what is taken, and every form that is refused.

use super::*;

fn normal(text: &str) -> String {
    WindowsTarget::parse(text).unwrap().to_string()
}

fn fault(text: &str) -> TargetFault {
    WindowsTarget::parse(text).unwrap_err()
}

#[test]
fn targets_are_joined_as_docker_joins_them() {
    assert_eq!(normal("app"), r"C:\ProgramData\Docker\secrets\app");
    assert_eq!(normal("sub/app"), r"C:\ProgramData\Docker\secrets\sub\app");
    assert_eq!(normal(r"C:\inetpub\site.conf"), r"C:\inetpub\site.conf");
    assert_eq!(normal("c:/inetpub//site.conf"), r"C:\inetpub\site.conf");
}

#[test]
fn what_a_grant_said_is_read_as_it_was() {
    let of = |text: &str| WindowsTarget::of(&Target::parse(text).unwrap()).map(|target| target.to_string());
    assert_eq!(of("app").unwrap(), r"C:\ProgramData\Docker\secrets\app");
    assert_eq!(of(r"C:\app\key").unwrap(), r"C:\app\key");
    assert_eq!(of("C:/app/key").unwrap(), r"C:\app\key");
    assert_eq!(of("/etc/app"), Err(TargetFault::Posix));
    assert_eq!(of("../app"), Err(TargetFault::Posix));
    assert_eq!(of("//server/share/x"), Err(TargetFault::Posix));
    assert_eq!(of(r"\\server\share\x"), Err(TargetFault::Share));
}

#[test]
fn every_way_off_the_containers_disk_is_refused() {
    for (text, expected) in [
        ("C:app", TargetFault::DriveRelative),
        ("d:x", TargetFault::DriveRelative),
        (r"\app", TargetFault::Rooted),
        ("/app", TargetFault::Rooted),
        (r"\\server\share\app", TargetFault::Share),
        ("//server/share/app", TargetFault::Share),
        (r"\\?\C:\app", TargetFault::Device),
        (r"\\.\pipe\app", TargetFault::Device),
        ("//./pipe/app", TargetFault::Device),
        (r"\??\C:\app", TargetFault::Device),
        (r"D:\app", TargetFault::Drive('D')),
        ("C:", TargetFault::NoFile),
        (r"C:\", TargetFault::NoFile),
        (r"C:\app\", TargetFault::NoFile),
        ("", TargetFault::NoFile),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn every_component_is_judged() {
    for (text, expected) in [
        (r"C:\a\..\b", NameFault::Dots),
        (r"..\b", NameFault::Dots),
        (r"C:\a\.\b", NameFault::Dots),
        (r"C:\nul\b", NameFault::Device),
        ("COM¹.txt", NameFault::Device),
        (r"C:\a\b:stream", NameFault::Stream),
        ("a:stream", NameFault::Stream),
        ("ab:c", NameFault::Stream),
        (r"C:\C:\b", NameFault::Stream),
        (r"C:\a \b", NameFault::Trailing),
        ("key.", NameFault::Trailing),
        (r"C:\PROGRA~1\key", NameFault::Short),
        (r"C:\a?\key", NameFault::Character('?')),
    ] {
        match fault(text) {
            TargetFault::Name(found) => assert_eq!(found, expected, "{text}"),
            // One letter and a colon are a drive before they are a stream.
            TargetFault::DriveRelative => assert_eq!(text, "a:stream"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn dockers_places_are_refused_in_any_case_and_what_they_are_in() {
    for text in [
        r"C:\ProgramData\Docker\internal\secrets\x",
        r"c:\programdata\DOCKER\Internal\x",
        r"C:\ProgramData\Docker\internal",
        r"C:\ProgramData\Docker",
        r"C:\ProgramData",
        r"C:\ProgramData\Docker\secrets",
    ] {
        assert_eq!(fault(text), TargetFault::Reserved, "{text}");
    }
    assert!(WindowsTarget::parse(r"C:\ProgramData\Docker\internals").is_ok());
}

#[test]
fn a_path_is_as_long_as_programs_may_use() {
    let fits = format!(r"C:\{}\{}", "a".repeat(100), "b".repeat(155));
    assert_eq!(units(&fits), 259);
    assert!(WindowsTarget::parse(&fits).is_ok());
    assert_eq!(fault(&format!("{fits}b")), TargetFault::Long);
}

#[test]
fn conflicts_are_found_as_ntfs_compares() {
    let conflict =
        |a: &str, b: &str| WindowsTarget::parse(a).unwrap().conflicts_with(&WindowsTarget::parse(b).unwrap());
    assert!(conflict("app", "APP"));
    assert!(conflict("app", r"c:\programdata\docker\SECRETS\app"));
    assert!(conflict(r"C:\a", r"C:\A\b"));
    assert!(!conflict(r"C:\a", r"C:\ab"));
    assert!(is_within(r"C:\ProgramData\docker\internal\Secrets\x", INTERNAL_DIR));
    assert!(!is_within(r"C:\ProgramData", INTERNAL_DIR));
}
