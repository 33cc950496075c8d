//! Aligns tab-terminated cells in columns, like Go's `text/tabwriter`.
//!
//! A column consists of adjacent lines that all have a cell in it, so that a line without tabs separates the columns
//! above it from those below.

/// Replaces each tab by spaces, at least `gap`, so that the columns are aligned.
pub fn align(text: &str, gap: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut aligned: Vec<String> = lines.iter().map(|_| String::new()).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    for column in 0..columns {
        // The text after the last tab of a line is not part of a column.
        let in_column = |cells: &[&str]| column + 1 < cells.len();
        let numbered: Vec<(usize, &Vec<&str>)> = lines.iter().enumerate().collect();
        for adjacent in numbered.chunk_by(|(_, a), (_, b)| in_column(a) == in_column(b)) {
            let cells = adjacent.iter().filter_map(|(line, cells)| Some((*line, *cells.get(column)?)));
            let width = cells.clone().map(|(_, cell)| cell.chars().count()).max().unwrap_or_default() + gap;
            let padded = adjacent.first().is_some_and(|(_, cells)| in_column(cells));
            for (line, cell) in cells {
                let Some(text) = aligned.get_mut(line) else { continue };
                text.push_str(cell);
                if padded {
                    text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
                }
            }
        }
    }
    aligned.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_lines_share_columns() {
        for (text, expected) in [
            ("a\tb", "a  b\n"),
            ("a\tb\nccc\td\n", "a    b\nccc  d\n"),
            ("a\tb\nheading\nccc\td", "a  b\nheading\nccc  d\n"),
            ("a\tb\tc\nd\te", "a  b  c\nd  e\n"),
            ("name:\tx\n\ty\nü\tz", "name:  x\n       y\nü      z\n"),
            ("medium:\t\n", "medium:  \n"),
            ("", ""),
        ] {
            assert_eq!(align(text, 2), expected, "{text:?}");
        }
    }
}
