//! Rows under headings: as wide as they need, no wider than the terminal.

use std::io;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::colour::{self, Paint};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What other commands take: never cut short.
    Id,
    /// Words, cut short where the terminal is too narrow.
    Text,
    /// How something is: coloured.
    State,
}

/// Columns of a table: headings and what is below.
pub type Columns<const N: usize> = [(&'static str, Kind); N];

/// Between two columns.
const GAP: usize = 2;
/// No column is cut shorter than this.
const NARROWEST: usize = 8;

/// Prints `rows` under their headings.
pub fn print<const N: usize>(columns: &Columns<N>, rows: &[[String; N]]) {
    let coloured = colour::on(&io::stdout());
    for line in lines(columns, rows, super::width(), coloured) {
        super::line(&line);
    }
}

/// The table's lines, at most `limit` cells of the terminal wide where that is possible.
fn lines<const N: usize>(
    columns: &Columns<N>,
    rows: &[[String; N]],
    limit: Option<usize>,
    coloured: bool,
) -> Vec<String> {
    let heading = columns.map(|(heading, _)| heading.to_owned());
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| plain(cell)))
        .collect();
    let widths = widths(columns, &heading, &rows, limit);
    let render = |row: &[String; N], paint: &dyn Fn(usize) -> Paint| {
        let last = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        let cells = row.iter().take(last + 1).enumerate().map(|(at, cell)| {
            let cell = cut(cell, widths[at]);
            let padding = match at {
                at if at == last => 0,
                at => widths[at] + GAP - cell.width(),
            };
            format!("{}{}", paint(at).on(&cell, coloured), " ".repeat(padding))
        });
        cells.collect::<String>()
    };
    let mut lines = vec![render(&heading, &|_| Paint::Dim)];
    lines.extend(rows.iter().map(|row| {
        render(row, &|at| match columns[at].1 {
            Kind::State => Paint::of_state(&row[at]),
            _ => Paint::Plain,
        })
    }));
    lines
}

fn widths<const N: usize>(
    columns: &Columns<N>,
    heading: &[String; N],
    rows: &[[String; N]],
    limit: Option<usize>,
) -> [usize; N] {
    let all = || std::iter::once(heading).chain(rows);
    let widest = |at: usize| all().map(|row| row[at].width()).max().unwrap_or(0);
    let mut widths: [usize; N] = std::array::from_fn(widest);
    let Some(limit) = limit else {
        return widths;
    };
    let needed = widths.iter().sum::<usize>() + GAP * N.saturating_sub(1);
    for _ in limit..needed {
        let shrinks = |at: &usize| {
            let narrowest = NARROWEST.max(heading[*at].width());
            columns[*at].1 == Kind::Text && widths[*at] > narrowest
        };
        // The widest column loses a cell, again and again.
        let Some(widest) = (0..N).filter(shrinks).max_by_key(|at| widths[*at]) else {
            break;
        };
        widths[widest] -= 1;
    }
    widths
}

/// `text` in at most `width` cells of the terminal, its loss marked.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 1;
    for sign in text.chars() {
        taken += sign.width().unwrap_or(0);
        if taken > width {
            break;
        }
        kept.push(sign);
    }
    kept.push('…');
    kept
}

/// `text` without what a terminal would obey: values come from other people.
pub fn plain(text: &str) -> String {
    let visible = |sign: char| match sign {
        '\n' | '\t' => ' ',
        sign if sign.is_control() || turns(sign) => '\u{fffd}',
        sign => sign,
    };
    text.chars().map(visible).collect()
}

/// Whether `sign` turns the direction of what stands behind it (UAX #9 §2): a name could make a row read
/// as another one.
const fn turns(sign: char) -> bool {
    matches!(sign, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns<3> = [
        ("ID", Kind::Id),
        ("NAME", Kind::Text),
        ("STATE", Kind::State),
    ];

    fn row(id: &str, name: &str, state: &str) -> [String; 3] {
        [id, name, state].map(str::to_owned)
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() {
        let rows = [
            row("scl_1", "Demo", ""),
            row("scl_long", "Überlang", "x"),
            row("scl_2", "東京", "y"),
        ];
        assert_eq!(
            lines(&COLUMNS, &rows, None, false),
            [
                "ID        NAME      STATE",
                "scl_1     Demo",
                "scl_long  Überlang  x",
                "scl_2     東京      y",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_names_and_never_ids() {
        let rows = [row(
            "scl_0123456789abcdef",
            "A name that is far too long",
            "active",
        )];
        let narrow = lines(&COLUMNS, &rows, Some(44), false);
        assert_eq!(
            narrow,
            [
                "ID                    NAME            STATE",
                "scl_0123456789abcdef  A name that i…  active",
            ]
        );
        assert!(narrow.iter().all(|line| line.width() <= 44));
        let hopeless = lines(&COLUMNS, &rows, Some(10), false);
        assert_eq!(hopeless[1], "scl_0123456789abcdef  A name …  active");
    }

    #[test]
    fn states_are_coloured_and_what_a_terminal_would_obey_is_not_sent_to_it() {
        assert_eq!(plain("x\u{202e}y\u{2067}z"), "x\u{fffd}y\u{fffd}z");
        let rows = [row("a\x1b[2J", "b\nc", "active")];
        assert_eq!(
            lines(&COLUMNS, &rows, None, true)[1],
            "a\u{fffd}[2J  b c   \x1b[32mactive\x1b[0m"
        );
    }
}
