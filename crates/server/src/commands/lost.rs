//! A server that was lost while a command waits, and comes back.

use std::time::Duration;

use grantry_core::Clock as _;

use crate::client::Answer;
use crate::clock::SystemClock;
use crate::failure::{Exit, Failure};
use crate::out::{self, progress};

/// Pause after the server was lost: doubled from the first to the last.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

/// How often it was not there, one time after the other.
#[derive(Default)]
pub struct Lost(usize);

/// What came of a question.
pub enum Heard {
    /// An answer; a refusal for good is one.
    Answer(Answer),
    /// None for now, and why.
    Nothing(Failure),
}

impl Lost {
    /// The answer, unless the server stops, is overloaded or does not answer: then it is worth asking again
    /// after [`Lost::pause`].
    ///
    /// # Errors
    /// Failures that stay.
    pub fn hear(&mut self, answer: Result<Answer, Failure>) -> Result<Heard, Failure> {
        match answer {
            Ok(Err(refusal)) if refusal.http_status >= 500 || refusal.http_status == 429 => {
                Ok(Heard::Nothing(refusal.failure()))
            }
            Err(failure) if failure.exit == Exit::NoServer => Ok(Heard::Nothing(failure)),
            Err(failure) => Err(failure),
            Ok(answer) => {
                if std::mem::take(&mut self.0) > 0 {
                    out::note("The server is back.");
                }
                Ok(Heard::Answer(answer))
            }
        }
    }

    /// How many times it has been waited for.
    pub const fn times(&self) -> usize {
        self.0
    }

    /// Says why, the first time, and waits, longer each time.
    pub async fn pause(&mut self, why: &Failure) {
        if self.0 == 0 {
            out::note(&format!("{}. Trying again.", why.message));
        }
        let pause = PAUSES[self.0.min(PAUSES.len() - 1)];
        self.0 += 1;
        let pause = SystemClock.sleep(Duration::from_secs(pause));
        progress::during("Waiting for the server to come back", pause).await;
    }
}
