//! Why a command failed: words for people, a number for scripts.

use std::fmt;

/// Exit codes. They are an interface: scripts and service managers rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The act was refused, or something unexpected happened.
    Failed = 1,
    /// Wrong flags, environment or configuration (clap's own code for wrong flags).
    Usage = 2,
    /// The master key is missing, damaged, exposed, or not the data's.
    MasterKey = 3,
    /// The database cannot be opened, migrated or used.
    Store = 4,
    /// The address to listen at is taken, or may not be used.
    Address = 5,
    /// Another server holds the data directory.
    Locked = 6,
    /// There is no token: somebody has to connect first. The URL is on standard error.
    ConsentNeeded = 7,
    /// No server was found, or it does not answer.
    NoServer = 8,
    /// `grantry run`: the command cannot be run (as shells say it).
    NotRunnable = 126,
    /// `grantry run`: there is no such command (as shells say it).
    NoCommand = 127,
    /// Ctrl-C (as shells say it).
    Interrupted = 130,
}

/// The table of exit codes, for `grantry --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or something unexpected
  2  wrong flags, environment or configuration
  3  master key missing, damaged, exposed, or not the data's
  4  database cannot be opened or used
  5  address to listen at is taken or forbidden
  6  another server holds the data directory
  7  no token: somebody has to connect first (URL on standard error)
  8  no server found, or it does not answer
  126  run: the command cannot be run
  127  run: there is no such command
  130  interrupted";

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// What the process ends with.
    pub exit: Exit,
    /// What went wrong, and where.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that ends the process with `exit`.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            hint: None,
        }
    }

    /// Wrong flags, environment or configuration.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same failure with a word on what would be right.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Self {
            hint: Some(hint.to_string()),
            ..self
        }
    }
}

/// An error and its causes in one line: `Display` of an error never includes its source.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_table_of_the_help() {
        for exit in [
            Exit::Failed,
            Exit::Usage,
            Exit::MasterKey,
            Exit::Store,
            Exit::Address,
            Exit::Locked,
            Exit::ConsentNeeded,
            Exit::NoServer,
            Exit::NotRunnable,
            Exit::NoCommand,
            Exit::Interrupted,
        ] {
            let row = format!("\n  {}  ", exit as u8);
            assert!(EXIT_CODES.contains(&row), "{exit:?}");
        }
    }

    #[test]
    fn the_chain_names_every_cause() {
        let cause = std::io::Error::other(std::io::Error::other("disk on fire"));
        assert!(chain(&cause).ends_with("disk on fire"));
    }
}
