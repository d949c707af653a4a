//! Tables: aligned columns without lines, so that they read well and cut well.

use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};

use crate::output::Colour;

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Renders rows below a header. Control characters, which a hostile session could put into a name, are replaced.
pub(crate) fn render(header: &[(&str, Align)], rows: &[Vec<String>], colour: Colour) -> String {
    let mut table = Table::new();
    // The width of the terminal must not decide what a line looks like: cells are never wrapped.
    table.load_style(presets::NOTHING).force_no_tty();
    if colour == Colour::On {
        table.enforce_styling();
    }
    table.set_header(header.iter().map(|(title, _)| Cell::new(title).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.iter().map(|text| printable(text)));
    }
    for (column, (_, align)) in table.column_iter_mut().zip(header) {
        let alignment = match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        };
        column.set_cell_alignment(alignment);
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Replaces characters that would act on a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Align, render};
    use crate::output::Colour;

    const HEADER: [(&str, Align); 2] = [("NAME", Align::Left), ("SIZE", Align::Right)];

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let rows = [vec!["a".to_owned(), "5".to_owned()], vec!["longer".to_owned(), "1000".to_owned()]];
        assert_eq!(render(&HEADER, &rows, Colour::Off), "NAME    SIZE\na          5\nlonger  1000");
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(render(&HEADER, &[], Colour::Off), "NAME  SIZE");
    }

    #[test]
    fn cells_cannot_act_on_the_terminal() {
        let rows = [vec!["a\x1b[2Jb\r".to_owned(), String::new()]];
        assert!(!render(&HEADER, &rows, Colour::Off).contains(['\x1b', '\r']));
        assert!(render(&HEADER, &rows, Colour::On).contains("\x1b[1mNAME"));
    }
}
