//! What people and scripts read: results on standard output, everything else on standard error.

pub mod colour;
pub mod confirm;
pub mod progress;
pub mod table;
pub mod when;

use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::sync::OnceLock;

use serde_json::Value;

use crate::failure::{Exit, Failure};
use colour::{Paint, When};
use table::{Columns, Kind, plain};

/// Cells of a terminal that does not tell.
const USUAL_WIDTH: usize = 80;

/// Flags of every command, on how it speaks.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Look {
    /// Colour the output [env: NO_COLOR, CLICOLOR_FORCE]
    #[arg(
        long = "color",
        value_name = "auto|always|never",
        global = true,
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true,
        help_heading = HEADING
    )]
    pub colour: When,
    /// Results and errors only
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub quiet: bool,
    /// Each request to the server, on standard error
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = HEADING)]
    pub verbose: bool,
}

/// Above these flags in every help.
pub const HEADING: &str = "Output";

static LOOK: OnceLock<Look> = OnceLock::new();

/// Says once how this process speaks.
pub fn set_look(look: Look) {
    // Only `main` says it.
    let _said_before = LOOK.set(look);
}

fn look() -> Look {
    LOOK.get().copied().unwrap_or_default()
}

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
        say(&format!("error: cannot write to standard output: {error}"));
        std::process::exit(i32::from(Exit::Failed as u8));
    }
}

/// Prints a JSON value, indented, on standard output.
pub fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// Prints `text` and a line break on standard error, unless `--quiet`.
pub fn note(text: &str) {
    if !look().quiet {
        say(text);
    }
}

/// Prints `text` and a line break on standard error, always: what a question is about.
pub fn aside(text: &str) {
    say(text);
}

/// Prints `text` dimmed on standard error, if `--verbose`.
pub fn detail(text: &str) {
    if look().verbose {
        say(&Paint::Dim.on(text, colour::on(&io::stderr())));
    }
}

/// Prints a failed command's last words.
pub fn failure(failure: &Failure) {
    if failure.exit == Exit::Interrupted {
        return;
    }
    let word = Paint::Red.on("error:", colour::on(&io::stderr()));
    let mut text = format!("{word} {}", visible(&failure.message));
    if let Some(hint) = &failure.hint {
        text.push_str("\n\n");
        text.push_str(&visible(hint));
    }
    say(&text);
}

/// Prints rows under a heading. The first column is never cut short.
pub fn table<const N: usize>(heading: [&'static str; N], rows: &[[String; N]]) {
    let columns: Columns<N> = std::array::from_fn(|at| {
        let kind = if at == 0 { Kind::Id } else { Kind::Text };
        (heading[at], kind)
    });
    table::print(&columns, rows);
}

/// Prints a line for each field of one row.
pub fn fields(fields: &[(String, String)]) {
    let coloured = colour::on(&io::stdout());
    let widest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in fields {
        let name = format!("{:widest$}", plain(name));
        line(&format!(
            "{}  {}",
            Paint::Dim.on(&name, coloured),
            plain(value)
        ));
    }
}

/// `text` in bold when standard output is a terminal.
pub fn bold(text: &str) -> String {
    Paint::Bold.on(text, colour::on(&io::stdout()))
}

/// Cells of the terminal in a line of standard output; `None` when it is none.
pub fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout);
    let cells = size.map_or(0, |size| usize::from(size.ws_col));
    Some(if cells == 0 { USUAL_WIDTH } else { cells })
}

/// `text` on its lines, without what a terminal would obey: parts of it come from other people.
fn visible(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n")
}

fn say(text: &str) {
    // There is nowhere left to say that this failed.
    let _unheard = write(io::stderr().lock(), &format!("{text}\n"));
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
