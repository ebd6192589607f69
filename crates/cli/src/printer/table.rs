//! Aligned tables: cells trimmed, columns as wide as their longest cell, two spaces between them, the last one unpadded.

/// A table with a header. A row may be shorter than the header: it continues the row above.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

/// Spaces between columns.
const GLUE: &str = "  ";

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(|cell| clean(cell.as_ref())).collect());
    }

    /// Adds a row that holds one cell, under the column with this index.
    pub(crate) fn below(&mut self, column: usize, cell: &str) {
        let mut cells = vec![String::new(); column];
        cells.push(clean(cell));
        self.rows.push(cells);
    }

    /// The whole table, a line for each row, without spaces at their ends.
    pub(crate) fn text(&self) -> String {
        aligned(&self.rows, &mut Vec::new())
    }
}

/// A table that is printed part by part, while its rows come: columns get wider where they must and never narrower.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    header: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Running {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { header: Some(header.iter().map(|cell| (*cell).to_owned()).collect()), widths: Vec::new() }
    }

    /// Makes its columns this wide from the start, for rows that come one by one.
    pub(crate) fn at_least(mut self, widths: &[usize]) -> Self {
        self.widths = widths.to_vec();
        self
    }

    /// The lines of further rows; the header stands before the first ones.
    pub(crate) fn rows<const N: usize>(&mut self, rows: impl IntoIterator<Item = [String; N]>) -> String {
        let rows = rows.into_iter().map(|cells| cells.iter().map(|cell| clean(cell)).collect());
        let all: Vec<Vec<String>> = self.header.take().into_iter().chain(rows).collect();
        aligned(&all, &mut self.widths)
    }
}

/// Rows as lines. `widths` are the widths so far, and afterwards those that were used.
fn aligned(rows: &[Vec<String>], widths: &mut Vec<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    widths.resize(columns.max(widths.len()), 0);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if index + 1 < row.len() {
                line.extend(std::iter::repeat_n(' ', widths[index] - cell.chars().count()));
                line.push_str(GLUE);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Trims a cell. Control characters would break the table, or drive the terminal.
fn clean(cell: &str) -> String {
    cell.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table = Table::new(&["A", "LONG HEADER", "C"]);
        table.row(["a long cell ", " b", "c"]);
        table.row(["ü", "", ""]);
        table.below(1, "more");
        assert_eq!(table.text(), "A            LONG HEADER  C\na long cell  b            c\nü\n             more\n");
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(Table::new(&["SERVICE ID", "SERVICE NAME"]).text(), "SERVICE ID  SERVICE NAME\n");
    }

    #[test]
    fn a_cell_cannot_drive_the_terminal() {
        let mut table = Table::new(&["A"]);
        table.row(["x\u{1b}[2Jy"]);
        assert!(!table.text().contains('\u{1b}'));
    }

    #[test]
    fn a_running_table_only_gets_wider() {
        let mut table = Running::new(&["A", "B"]);
        let row = |a: &str| [a.to_owned(), "x".to_owned()];
        assert_eq!(table.rows([row("long"), row("b")]), "A     B\nlong  x\nb     x\n");
        assert_eq!(table.rows([row("c")]), "c     x\n");
        assert_eq!(table.rows([row("longer")]), "longer  x\n");
        assert_eq!(table.rows([row("d")]), "d       x\n");
        assert_eq!(Running::new(&["A", "B"]).rows::<2>([]), "A  B\n");
        assert_eq!(Running::new(&["A", "B"]).at_least(&[3]).rows([row("a")]), "A    B\na    x\n");
    }
}
