//! Text in, text out: the same tree, whatever the form.

use super::{read, write};

fn rewritten(text: &str) -> String {
    match read(text) {
        Ok(document) => write(&document),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_read_is_written_as_the_same_tree() {
    let table = [
        ("a: 1\nb: '1'\nc: \"1\"\n", "a: 1\nb: '1'\nc: \"1\"\n"),
        ("ports:\n- 22:22\n- \"80:80\"\n", "ports:\n  - 22:22\n  - \"80:80\"\n"),
        ("a: {b: [c, {d: e}], f: []}\n", "a:\n  b:\n    - c\n    - d: e\n  f: []\n"),
        ("- - a\n  - b\n- c: d\n  e: f\n", "- - a\n  - b\n- c: d\n  e: f\n"),
        ("volumes:\n  db_data:\n  other: ~\n", "volumes:\n  db_data:\n  other: ~\n"),
        ("a: {}\n", "a: {}\n"),
        ("a: ''\nb: \"\"\n", "a: ''\nb: \"\"\n"),
        ("a: |\n  one\n  two\n", "a: |\n  one\n  two\n"),
        ("a: |-\n  one\n\n  two\n", "a: |-\n  one\n\n  two\n"),
        ("a: |+\n  one\n\n", "a: \"one\\n\\n\"\n"),
        ("a: >\n  one\n  two\n", "a: |\n  one two\n"),
        ("a: one\n   two\n", "a: one two\n"),
        ("a: one\n\n   two\n", "a: \"one\\ntwo\"\n"),
        ("a: 'it''s'\n", "a: 'it''s'\n"),
        ("a: \"tab\\there \\x07 \\\"q\\\" \\u2028\"\n", "a: \"tab\\there \\U00000007 \\\"q\\\" \\U00002028\"\n"),
        ("a: é ☃\n", "a: é ☃\n"),
        ("a: !reset null\nb: !override [c]\nc: !!str 1\n", "a: !reset null\nb: !override\n  - c\nc: !!str 1\n"),
        ("a: ${X:-y}$$\n", "a: ${X:-y}$$\n"),
        ("\"a b: c\": d\n? e\n: f\n", "\"a b: c\": d\ne: f\n"),
        ("# gone\na: b # gone\n---\n", "line 4: a second document begins here; give one file for each"),
    ];
    for (text, expected) in table {
        let written = rewritten(text);
        assert_eq!(written, expected, "{text}");
        if !expected.starts_with("line") {
            assert_eq!(rewritten(&written), written, "not stable: {text}");
        }
    }
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let text = "\
x-base: &base
  image: a
  environment: &env {A: 1}
x-more: &more {image: b, tty: true}
s:
  <<: *base
  image: c
t:
  <<: [*more, *base]
u: *env
";
    let expected = "\
x-base:
  image: a
  environment:
    A: 1
x-more:
  image: b
  tty: true
s:
  image: c
  environment:
    A: 1
t:
  image: b
  tty: true
  environment:
    A: 1
u:
  A: 1
";
    assert_eq!(rewritten(text), expected);
}

#[test]
fn what_is_wrong_is_told_by_its_line_and_never_quoted() {
    let table = [
        ("", "line 1: the file is empty"),
        ("a: 1\na: 2\n", "line 2: a key that this mapping has already"),
        ("a: 'hunter2\n", "this is not YAML"),
        ("a: *hunter2\n", "this is not YAML"),
        ("a: &hunter2 [*hunter2]\n", "line 1: an alias stands within what it stands for"),
        ("? [hunter2]\n: b\n", "line 1: a key that is not text"),
        ("<<: hunter2\n", "line 1: '<<' takes a mapping or a list of mappings"),
        ("a: !<hunter%0A2> b\n", "line 1: this tag is not understood"),
        ("a:\n\tb: hunter2\n", "this is not YAML"),
    ];
    for (text, expected) in table {
        let words = rewritten(text);
        assert!(words.contains(expected) && !words.contains("hunter2"), "{text}: {words}");
    }
}

#[test]
fn a_file_that_would_grow_without_end_is_refused() {
    let mut bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(","));
    }
    assert!(rewritten(&bomb).contains("grows too large"), "{}", rewritten(&bomb));
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(500_000), ["*a"; 20].join(","));
    assert!(rewritten(&long).contains("grows too large"));
    let deep = "[".repeat(100_000);
    assert!(rewritten(&deep).contains("deeper than 64 levels") || rewritten(&deep).contains("not YAML"));
    assert!(rewritten(&"#".repeat(2 * 1024 * 1024)).contains("longer than 1 MiB"));
    assert!(rewritten(&format!("{}: b\n", "k".repeat(1001))).contains("longer than 1,000 bytes"));
}
