//! Columns.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::console::{Console, Tone, harmless};

/// Rows under headings, as wide as the terminal, or one line a row where there is none.
pub(crate) struct Columns(Table);

impl Columns {
    pub(crate) fn new(console: &Console, headings: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(headings.to_vec());
        match console.width() {
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                // For there is nothing at the left of the first column.
                .set_width(width.saturating_add(1)),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        Self(table)
    }

    /// Puts the numbers of these columns under each other.
    pub(crate) fn numbers(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// Adds a row of what came from elsewhere.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter().map(|cell| one_line(cell.as_ref()));
        self.0.add_row(cells.collect::<Vec<_>>());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, without spaces at the ends of lines.
    pub(crate) fn text(&self, console: &Console) -> String {
        let lines = self.0.lines().enumerate().map(|(number, line)| {
            let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
            if number == 0 { console.paint(line, Tone::Strong) } else { line.to_owned() }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A text of others on one line.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
