//! `grantry run`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::token::{Ask, text_of, token};
use crate::client;
use crate::failure::{Exit, Failure};

/// What a parent may have in its environment and the command has no use for.
const OURS: [&str; 3] = ["GRANTRY_KEY", "GRANTRY_MASTER_KEY", "GRANTRY_DATABASE_URL"];

const EXAMPLES: &str = "\
The command takes the place of this process: signals reach it, and its exit code is ours. The token
is fetched once; a command that outlives it asks again, by `grantry token`.

Examples:
  grantry run oauth/github --user alice --as GITHUB_TOKEN -- gh repo list
  grantry run openai --app --as OPENAI_API_KEY -- python train.py";

/// Run a command with a fresh token in its environment.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
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
    let mut command = Command::new(&program);
    for secret in OURS {
        command.env_remove(secret);
    }
    let error = command
        .args(words)
        .env(&args.variable, token.expose())
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
