//! Columns whose widths only grow, so that later rows line up with earlier ones.

/// Aligns rows of cells.
#[derive(Default)]
pub struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Returns the rows as lines, padded to the widths of their columns, which it widens as needed.
    pub fn align(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in rows {
            let padded = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}"));
            text += padded.collect::<Vec<_>>().join("   ").trim_end();
            text.push('\n');
        }
        text
    }
}
