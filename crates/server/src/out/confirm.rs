//! A word with the person at the terminal before something is destroyed.

use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::{Exit, Failure};

/// Flag of every command that destroys.
#[derive(clap::Args, Clone, Copy)]
pub struct Sure {
    /// Do not ask; without a terminal nothing is asked either
    #[arg(short, long)]
    pub yes: bool,
}

impl Sure {
    /// Whether [`Sure::or_ask`] asks.
    pub fn asks(self) -> bool {
        !self.yes && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks `question` on a terminal.
    ///
    /// # Errors
    /// [`Exit::Failed`] when the answer is not yes.
    pub async fn or_ask(self, question: String) -> Result<(), Failure> {
        if !self.asks() {
            return Ok(());
        }
        // On a thread of its own: Ctrl-C is an answer too.
        let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
        match answer.map_err(io::Error::other).flatten() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new(
                Exit::Failed,
                "not confirmed: nothing was changed",
            )),
            Err(error) => Err(Failure::new(Exit::Failed, format!("cannot ask: {error}"))),
        }
    }
}

fn ask(question: &str) -> io::Result<bool> {
    write!(io::stderr(), "{question} [y/N] ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(["y", "yes"]
        .iter()
        .any(|yes| answer.eq_ignore_ascii_case(yes)))
}
