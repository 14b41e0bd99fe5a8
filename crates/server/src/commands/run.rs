//! `grantry run`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::token::{Ask, text_of, token};
use crate::client;
use crate::failure::{Exit, Failure};

/// Run a command with a fresh token in its environment.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    ask: Ask,
    /// The variable that holds the token
    #[arg(long = "as", value_name = "VAR", value_parser = variable)]
    variable: String,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
    #[command(flatten)]
    server: client::Flags,
}

/// Becomes the command: signals reach it, and its exit code is ours.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.server.client()?;
    let token = text_of(&token(&client, &args.ask).await?)?;
    let mut words = args.command.iter();
    let program = words.next().cloned().unwrap_or_default();
    // Our own key is not for the command.
    let error = Command::new(&program)
        .args(words)
        .env(&args.variable, token.expose())
        .env_remove("GRANTRY_KEY")
        .exec();
    let message = format!("cannot run {}: {error}", program.to_string_lossy());
    let exit = match error.kind() {
        ErrorKind::NotFound => Exit::NoCommand,
        _ => Exit::NotRunnable,
    };
    Err(Failure::new(exit, message))
}

fn variable(name: &str) -> Result<String, &'static str> {
    let mut characters = name.chars();
    let first = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(name.to_owned())
    } else {
        Err("letters, digits and _ would be right, with no digit first")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_that_shells_can_read() {
        for (name, fine) in [
            ("TOKEN", true),
            ("_t1", true),
            ("1T", false),
            ("A=B", false),
            ("", false),
            ("Ä", false),
        ] {
            assert_eq!(variable(name).is_ok(), fine, "{name}");
        }
    }
}
