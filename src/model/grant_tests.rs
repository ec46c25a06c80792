//! Grants as text: Docker's syntax, and where we are stricter.

use super::*;

#[test]
fn a_bare_name_has_dockers_defaults() {
    let grant = Grant::parse("my-secret").unwrap();
    assert_eq!(grant.target.as_str(), "/run/secrets/my-secret");
    assert_eq!((grant.uid, grant.gid, grant.mode), (Owner::ROOT, Owner::ROOT, Mode::DEFAULT));
}

#[test]
fn every_key_is_read_in_any_case() {
    let grant = Grant::parse("SRC=site.conf,Target=/etc/nginx/site.conf,uid=33,GID=ssl,mode=0440,Until=5m").unwrap();
    assert_eq!(grant.source.as_str(), "site.conf");
    assert_eq!(grant.target.as_str(), "/etc/nginx/site.conf");
    assert_eq!(grant.uid, Owner::Number(33));
    assert_eq!(grant.gid, Owner::Name("ssl".into()));
    assert_eq!(grant.mode.bits(), 0o440);
    assert_eq!(grant.until, Some(Until::After(std::time::Duration::from_secs(300))));
}

#[test]
fn quoting_lets_a_comma_into_a_target() {
    let grant = Grant::parse("source=a,\"target=/x/a,b\"\"c\"").unwrap();
    assert_eq!(grant.target.as_str(), "/x/a,b\"c");
    for text in ["source=a,\"target=/x", "source=a,tar\"get=/x", "source=a,\"target=x\"y"] {
        assert!(matches!(Grant::parse(text), Err(ModelError::GrantCsv(_))), "{text}");
    }
}

#[test]
fn refusals_name_the_field_in_dockers_words() {
    let words = |text: &str| Grant::parse(text).unwrap_err().to_string();
    assert_eq!(words("target=x"), "source is required");
    assert_eq!(words("source=a,b"), "invalid field 'b' must be a key=value pair");
    assert_eq!(words("source=a,foo=b"), "invalid field in secret request: foo");
    assert!(words("source=a,until=soon").starts_with("invalid until 'soon': a time from 1s"));
    assert!(words("source=a,mode=abc").starts_with("invalid mode specified:"));
}

#[test]
fn modes_are_octal_however_written_and_at_most_0777() {
    for text in ["444", "0444", "0o444"] {
        assert_eq!(Mode::parse(text).unwrap().bits(), 0o444);
    }
    for text in ["", "8", "0x1ff", "-1", "4 4"] {
        assert!(matches!(Mode::parse(text), Err(ModelError::ModeInvalid(_))), "{text}");
    }
    for text in ["1000", "04755", "77777777777777"] {
        assert!(matches!(Mode::parse(text), Err(ModelError::ModeTooWide(_))), "{text}");
    }
}

#[test]
fn owners_are_numbers_or_names() {
    assert_eq!(Owner::parse("4294967294").unwrap(), Owner::Number(4_294_967_294));
    assert_eq!(Owner::parse("www-data").unwrap(), Owner::Name("www-data".into()));
    for text in ["", "4294967295", "99999999999", "-1", "a:b", "a b", "a/b"] {
        assert!(Owner::parse(text).is_err(), "{text}");
    }
}

#[test]
fn conflicts_are_found_after_normalising() {
    let grants = |texts: &[&str]| Grants::try_from(texts.iter().map(|t| Grant::parse(t).unwrap()).collect::<Vec<_>>());
    assert!(grants(&["foo", "source=bar,target=/run/secrets/./foo"]).is_err());
    assert!(grants(&["source=a,target=/etc/x", "source=b,target=/etc/x/y"]).is_err());
    assert!(grants(&["source=a,target=one", "source=a,target=two"]).is_ok());
    assert_eq!(
        grants(&["a", "source=b,target=a"]).unwrap_err().to_string(),
        "secret references 'a' and 'b' have a conflicting target: '/run/secrets/a'"
    );
}

#[test]
fn an_update_takes_away_before_it_adds() {
    let one = Grants::try_from(vec![Grant::parse("a").unwrap()]).unwrap();
    let moved =
        one.changed(&[SecretName::parse("A").unwrap()], vec![Grant::parse("source=a,target=b").unwrap()]).unwrap();
    assert_eq!(moved.as_slice()[0].target.as_str(), "/run/secrets/b");
}
