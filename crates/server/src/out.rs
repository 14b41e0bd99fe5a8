//! What people and scripts read: results on standard output, everything else on standard error.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use serde_json::Value;

use crate::config::environment;
use crate::failure::{Exit, Failure};

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Aligned columns, colour on a terminal.
    People,
    /// One JSON value.
    Json,
}

impl Form {
    /// From the `--json` flag.
    pub const fn json_if(json: bool) -> Self {
        if json { Self::Json } else { Self::People }
    }
}

/// Prints `text` and a line break on standard output. Ends the process where that fails: whoever reads
/// the exit code must not take a lost result for a success.
pub fn line(text: &str) {
    if let Err(error) = write(io::stdout().lock(), &format!("{text}\n")) {
        note(&format!("error: cannot write to standard output: {error}"));
        std::process::exit(i32::from(Exit::Failed as u8));
    }
}

/// Prints a JSON value, indented, on standard output.
pub fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// Prints `text` and a line break on standard error.
pub fn note(text: &str) {
    // There is nowhere left to say that this failed.
    let _unheard = write(io::stderr().lock(), &format!("{text}\n"));
}

/// Prints a failed command's last words.
pub fn failure(failure: &Failure) {
    let red = Style::of(&io::stderr(), "31;1");
    let mut text = format!("{} {}", red.paint("error:"), failure.message);
    if let Some(hint) = &failure.hint {
        text.push_str("\n\n");
        text.push_str(hint);
    }
    note(&text);
}

/// Prints rows under a heading, each column as wide as its widest cell.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    let dim = Style::of(&io::stdout(), "2");
    let mut lines = aligned(heading, rows).into_iter();
    if let Some(heading) = lines.next() {
        line(&dim.paint(&heading));
    }
    lines.for_each(|row| line(&row));
}

/// `text` in bold when standard output is a terminal.
pub fn bold(text: &str) -> String {
    Style::of(&io::stdout(), "1").paint(text)
}

fn aligned<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let join = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    all().map(join).collect()
}

/// A colour, or none where nobody would see it.
struct Style(Option<&'static str>);

impl Style {
    fn of(stream: &impl io::IsTerminal, code: &'static str) -> Self {
        let wanted = stream.is_terminal() && environment("NO_COLOR").is_none();
        Self(wanted.then_some(code))
    }

    fn paint(&self, text: &str) -> String {
        match self.0 {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

/// Whether a person reads standard output.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A reader that went away (`| head`) is no failure of ours; a result that could not be written is.
fn write(mut stream: impl Write, text: &str) -> io::Result<()> {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() {
        let rows = [
            ["scl_1".to_owned(), "Demo".to_owned(), String::new()],
            ["scl_long".to_owned(), "Überlang".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            aligned(["ID", "NAME", "NOTE"], &rows),
            [
                "ID        NAME      NOTE",
                "scl_1     Demo",
                "scl_long  Überlang  x"
            ]
        );
    }
}
