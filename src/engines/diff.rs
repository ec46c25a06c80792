//! A unified diff of two small texts, for people to read before a file is changed. It reads no file.

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// One line of the diff: its sign and its text.
type Line<'t> = (char, &'t str);

/// The unified diff from `before` to `after`, both of the file `path`; a file that is not there is `/dev/null`. Empty
/// where they are the same.
pub(super) fn unified(path: &Path, before: Option<&str>, after: Option<&str>) -> String {
    if before == after {
        return String::new();
    }
    let name = |text: Option<&str>| text.map_or_else(|| "/dev/null".to_owned(), |_| path.display().to_string());
    let mut shown = format!("--- {}\n+++ {}\n", name(before), name(after));
    let lines = compare(&split(before), &split(after));
    for hunk in hunks(&lines) {
        // What stands before the hunk, and in it, on either side.
        let count = |range: Range<usize>, other: char| lines[range].iter().filter(|(sign, _)| *sign != other).count();
        let place = |other: char| match (count(0..hunk.start, other), count(hunk.clone(), other)) {
            (skipped, 0) => format!("{skipped},0"),
            (skipped, length) => format!("{},{length}", skipped + 1),
        };
        let _ = writeln!(shown, "@@ -{} +{} @@", place('+'), place('-'));
        for (sign, line) in &lines[hunk] {
            let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            let _ = write!(shown, "{sign}{line}{end}");
        }
    }
    shown
}

fn split(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_inclusive('\n').collect()
}

/// All lines of both: what is common at the ends first, then the longest common subsequence of what is left.
fn compare<'t>(before: &[&'t str], after: &[&'t str]) -> Vec<Line<'t>> {
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut before.iter().zip(after));
    let tail = same(&mut before[head..].iter().rev().zip(after[head..].iter().rev()));
    let old = &before[head..before.len() - tail];
    let new = &after[head..after.len() - tail];
    let mut lines: Vec<Line> = before[..head].iter().map(|line| (' ', *line)).collect();
    let lengths = common_lengths(old, new);
    let (mut at, mut to) = (0, 0);
    while at < old.len() || to < new.len() {
        if at < old.len() && to < new.len() && old[at] == new[to] {
            lines.push((' ', old[at]));
            (at, to) = (at + 1, to + 1);
        } else if to == new.len() || (at < old.len() && lengths[at + 1][to] >= lengths[at][to + 1]) {
            lines.push(('-', old[at]));
            at += 1;
        } else {
            lines.push(('+', new[to]));
            to += 1;
        }
    }
    lines.extend(before[before.len() - tail..].iter().map(|line| (' ', *line)));
    lines
}

/// How many lines `old[i..]` and `new[j..]` have in common, in order.
fn common_lengths(old: &[&str], new: &[&str]) -> Vec<Vec<u32>> {
    let mut lengths = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] =
                if old[i] == new[j] { lengths[i + 1][j + 1] + 1 } else { lengths[i + 1][j].max(lengths[i][j + 1]) };
        }
    }
    lengths
}

/// The parts of `lines` to show: each change with its context, one part where they touch.
fn hunks(lines: &[Line]) -> Vec<Range<usize>> {
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for at in lines.iter().enumerate().filter(|(_, (sign, _))| *sign != ' ').map(|(at, _)| at) {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(lines.len()));
        match hunks.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: Option<&str>, after: Option<&str>) -> String {
        unified(Path::new("/f"), before, after)
    }

    #[test]
    fn a_change_in_the_middle_has_its_context() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = "1\n2\n3\n4\nx\ny\n6\n7\n8\n9\n";
        let expected = "--- /f\n+++ /f\n@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+x\n+y\n 6\n 7\n 8\n";
        assert_eq!(diff(Some(before), Some(after)), expected);
    }

    #[test]
    fn changes_far_apart_are_two_parts() {
        let lines = |changed: [usize; 2]| -> String {
            (1..=20).map(|n| if changed.contains(&n) { format!("x{n}\n") } else { format!("{n}\n") }).collect()
        };
        let shown = diff(Some(&lines([0, 0])), Some(&lines([2, 19])));
        assert!(shown.contains("@@ -1,5 +1,5 @@\n 1\n-2\n+x2\n 3\n"), "{shown}");
        assert!(shown.contains("@@ -16,5 +16,5 @@\n 16\n 17\n 18\n-19\n+x19\n 20\n"), "{shown}");
    }

    #[test]
    fn files_come_and_go() {
        assert_eq!(diff(None, Some("a\n")), "--- /dev/null\n+++ /f\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(diff(Some("a\n"), None), "--- /f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n");
        assert_eq!(diff(Some("a\n"), Some("a\n")), "");
        let shown = diff(Some("a"), Some("a\n"));
        assert_eq!(shown, "--- /f\n+++ /f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
    }
}
