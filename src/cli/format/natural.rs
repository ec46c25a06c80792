//! Natural order of names: `s2` stands before `s10`.

use std::cmp::Ordering;

/// Compares byte by byte, and runs of digits by their number; equal numbers by fewer leading zeros.
pub(crate) fn compare(first: &str, second: &str) -> Ordering {
    let (mut a, mut b) = (first.as_bytes(), second.as_bytes());
    loop {
        match (a.split_first(), b.split_first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((x, _)), Some((y, _))) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (left, right);
                (left, a) = number(a);
                (right, b) = number(b);
                let value = |digits: &[u8]| digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
                let (p, q) = (&left[value(left)..], &right[value(right)..]);
                let order = p.len().cmp(&q.len()).then_with(|| p.cmp(q)).then_with(|| left.len().cmp(&right.len()));
                if order.is_ne() {
                    return order;
                }
            }
            (Some((x, rest_a)), Some((y, rest_b))) => {
                if x != y {
                    return x.cmp(y);
                }
                (a, b) = (rest_a, rest_b);
            }
        }
    }
}

/// The digits in front, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = ["s10", "b", "s2", "Alpha", "s02", "s", "s2.a", "1", "10", "9"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["1", "9", "10", "Alpha", "b", "s", "s2", "s2.a", "s02", "s10"]);
    }
}
