//! What every command that talks to a server begins with.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use grantry_core::{Clock as _, Secret};
use serde_json::{Map, Value};

use crate::client::{self, Client};
use crate::clock::SystemClock;
use crate::config::environment;
use crate::failure::Failure;
use crate::out::{self, Form, HEADING, when};

/// Which server, and how its answer is printed.
#[derive(clap::Args)]
pub struct Target {
    /// Print JSON
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
    #[command(flatten)]
    server: client::Flags,
}

impl Target {
    /// The server, and the form of what it answers.
    pub fn open(&self) -> Result<(Client, Form), Failure> {
        Ok((self.server.client()?, Form::json_if(self.json)))
    }
}

/// The text of `path`, or of standard input where that is `-`, and what to call the place.
///
/// # Errors
/// [`crate::failure::Exit::Usage`], naming the file.
pub fn read(path: &Path) -> Result<(String, String), Failure> {
    let (name, text) = if path == Path::new("-") {
        ("standard input".to_owned(), io::read_to_string(io::stdin()))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let text = text.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    Ok((name, text))
}

/// The JSON object in the file `path`.
///
/// # Errors
/// [`crate::failure::Exit::Usage`], naming the file and the place in it.
pub fn read_object(path: &Path) -> Result<Map<String, Value>, Failure> {
    let (name, text) = read(path)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("{name}: {error}")).hint("One JSON object would be right.")
    })
}

/// The secret in the environment variable `name`; secrets are never arguments, which every user of
/// the machine can read.
///
/// # Errors
/// [`crate::failure::Exit::Usage`] when there is none.
pub fn secret_in(name: &str) -> Result<Secret, Failure> {
    let missing = || Failure::usage(format!("the environment variable {name} is not set"));
    environment(name).map(Secret::new).ok_or_else(missing)
}

/// The secret on standard input, without the line break at its end.
///
/// # Errors
/// [`crate::failure::Exit::Usage`] when there is none.
pub fn secret_on_stdin() -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        out::note("Type or paste the value, then Enter and Ctrl-D; it is shown as you type.");
    }
    let text = io::read_to_string(io::stdin());
    let text =
        text.map_err(|error| Failure::usage(format!("cannot read standard input: {error}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::usage("standard input is empty")
            .hint("Pipe the value in, or name the variable that holds it."));
    }
    Ok(Secret::new(text))
}

/// `NAME=VALUE` as the value of a flag.
pub fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE would be right")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A JSON object as the value of a flag.
pub fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A time to come as the value of a flag: RFC 3339, or how long from now (12h, 90d).
pub fn time_to_come(text: &str) -> Result<String, &'static str> {
    if when::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    let from_now = when::duration(text)
        .ok_or("an RFC 3339 time such as 2027-01-01T00:00:00Z, or how long from now, such as 12h or 90d, would be right")?;
    Ok(SystemClock.now().after(from_now).to_string())
}

/// A time as the value of a flag: RFC 3339, or how long ago it was (15m, 2h, 3d).
pub fn time(text: &str) -> Result<String, String> {
    if when::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    let ago = when::duration(text).ok_or_else(|| {
        "an RFC 3339 time such as 2026-11-01T00:00:00Z, or how long ago, such as 15m, 2h or 3d, would be right"
            .to_owned()
    })?;
    Ok(SystemClock.now().before(ago).to_string())
}

/// A length of time as the value of a flag, in milliseconds.
pub fn length(text: &str) -> Result<u64, &'static str> {
    let length = when::duration(text).and_then(|length| u64::try_from(length.as_millis()).ok());
    length.ok_or("a time such as 90s, 15m or 2h would be right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_so_long_ago() {
        assert_eq!(
            time("2026-11-01T00:00:00Z").unwrap(),
            "2026-11-01T00:00:00Z"
        );
        let ago = when::parse(&time("2h").unwrap()).unwrap();
        let apart = SystemClock.now().as_secs() - ago.as_secs();
        assert!((7_200..7_260).contains(&apart), "{apart}");
        for wrong in ["yesterday", "", "-5m", "5"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
