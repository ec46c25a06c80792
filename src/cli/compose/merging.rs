//! What several files say together. It is read for what is about secrets alone: the files themselves are merged by the program
//! that runs them. Pure.
//!
//! Source: Compose specification, "Merge": mappings key by key, lists one behind the other, else the later one; and its tags
//! `!reset` and `!override`.

use super::yaml::{Kind, Node, Style};

/// Merges the later file `over` into `base`.
pub(super) fn merge(base: &mut Node, over: &Node) {
    match over.tag.as_deref() {
        Some("!reset") => return *base = nothing(),
        Some("!override") => return *base = Node { tag: None, ..over.clone() },
        _ if over.is_null() => return,
        _ => {}
    }
    match (&mut base.kind, &over.kind) {
        (Kind::Mapping(entries), Kind::Mapping(others)) => {
            for other in others {
                match entries.iter_mut().find(|entry| entry.name() == other.name()) {
                    Some(entry) => merge(&mut entry.value, &other.value),
                    None if other.value.tag.as_deref() == Some("!reset") => {}
                    None => entries.push(other.clone()),
                }
            }
        }
        (Kind::Sequence(items), Kind::Sequence(more)) => items.extend(more.iter().cloned()),
        _ => *base = over.clone(),
    }
}

fn nothing() -> Node {
    Node::of(Kind::Scalar(String::new(), Style::Plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::compose::yaml;

    fn merged(files: [&str; 2]) -> String {
        let [mut base, over] = files.map(|text| yaml::read(text).unwrap());
        merge(&mut base, &over);
        yaml::write(&base)
    }

    #[test]
    fn the_later_file_has_the_last_word() {
        let table = [
            ["a: {x: 1, y: 2}", "a: {y: 3, z: 4}", "a:\n  x: 1\n  y: 3\n  z: 4\n"],
            ["a: [1]", "a: [2]\nb: c", "a:\n  - 1\n  - 2\nb: c\n"],
            ["a: [1]", "a: !override [2]", "a:\n  - 2\n"],
            ["a: [1]\nb: {c: d}", "a: !reset []\nb: {c: !reset null}\ne: !reset null", "a:\nb:\n  c:\n"],
            ["a: {file: x}", "a:", "a:\n  file: x\n"],
            ["a:", "a: [1]", "a:\n  - 1\n"],
        ];
        for [base, over, expected] in table {
            assert_eq!(merged([base, over]), expected, "{base} and {over}");
        }
    }
}
