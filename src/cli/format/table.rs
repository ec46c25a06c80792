//! Columns from tabs, as Go's text/tabwriter lines them up with Docker's settings.

/// The least width of a column, its padding included.
const LEAST: usize = 10;
/// Spaces after the widest cell.
const PADDING: usize = 3;

/// Lines up the tab-terminated cells of `text`; a column is as wide as its widest cell in consecutive lines that have it.
pub(crate) fn aligned(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let most = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..most {
        let mut start = 0;
        while start < lines.len() {
            let has = |at: usize| widths.get(at).is_some_and(|widths| widths.len() > column);
            let end = (start..).find(|at| !has(*at)).unwrap_or(start);
            let widest = lines[start..end].iter().map(|cells| cells[column].chars().count() + PADDING).max();
            for widths in &mut widths[start..end] {
                widths[column] = widest.unwrap_or(0).max(LEAST);
            }
            start = end + 1;
        }
    }
    let mut output = String::with_capacity(text.len() * 2);
    for (at, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if at > 0 {
            output.push('\n');
        }
        for (cell, width) in cells.iter().zip(widths.iter().chain([&0])) {
            output.push_str(cell);
            output.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn columns_have_dockers_widths() {
        assert_eq!(aligned("ID\tNAME\tX\n"), "ID        NAME      X\n");
        assert_eq!(aligned("ID\tNAME\n0123456789\ta\n"), "ID           NAME\n0123456789   a\n");
        assert_eq!(aligned("a\tb\t\nééééééééé\tc\t"), "a           b         \nééééééééé   c         ");
    }

    #[test]
    fn a_line_without_the_column_ends_its_block() {
        assert_eq!(aligned("a\tb\nno tabs\nlonger than ten\tb\n"), "a         b\nno tabs\nlonger than ten   b\n");
    }
}
