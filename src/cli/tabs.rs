//! Text in columns: cells that end with a tab line up with those above and below them.
//!
//! A column reaches over neighbouring lines that all have a cell in it, so that a line without
//! tabs sets apart what stands above from what stands below it.

/// Replaces the tabs of `text` by as many spaces as line its columns up, at least `gap`.
pub fn align(text: &str, gap: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut aligned: Vec<String> = lines.iter().map(|_| String::new()).collect();
    let most = lines.iter().map(Vec::len).max().unwrap_or_default();
    for column in 0..most {
        // What is behind the last tab of a line belongs to no column.
        let in_column = |cells: &[&str]| column + 1 < cells.len();
        let numbered: Vec<(usize, &Vec<&str>)> = lines.iter().enumerate().collect();
        for neighbours in numbered.chunk_by(|(_, a), (_, b)| in_column(a) == in_column(b)) {
            let cells = neighbours.iter().filter_map(|(line, cells)| Some((*line, *cells.get(column)?)));
            let width = cells.clone().map(|(_, cell)| cell.chars().count()).max().unwrap_or_default() + gap;
            let padded = neighbours.first().is_some_and(|(_, cells)| in_column(cells));
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
    fn columns_reach_as_far_as_their_lines_are_neighbours() {
        for (text, want) in [
            ("a\tb", "a  b\n"),
            ("a\tb\nccc\td\n", "a    b\nccc  d\n"),
            ("a\tb\nheading\nccc\td", "a  b\nheading\nccc  d\n"),
            ("a\tb\tc\nd\te", "a  b  c\nd  e\n"),
            ("name:\tx\n\ty\nü\tz", "name:  x\n       y\nü      z\n"),
            ("medium:\t\n", "medium:  \n"),
            ("", ""),
        ] {
            assert_eq!(align(text, 2), want, "{text:?}");
        }
    }
}
