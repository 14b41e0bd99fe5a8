//! What PostgreSQL's refusals mean.

use std::time::Duration;

use grantry_core::StoreError;
use tokio_postgres::error::SqlState;

use crate::unique;

/// A write that was refused, and rolled back.
pub(super) enum Refusal {
    /// For the caller.
    Answer(StoreError),
    /// Because of a transaction beside it: run the same list again.
    Again(String),
}

/// Tries before a write is given up. Two hundred callers on one row need a few.
const TRIES: u32 = 12;

/// Pause before try `tries + 1`; none when it is time to give up. Spread out by the number of the
/// try alone: transactions that collided end at different moments anyway.
pub(super) fn pause(tries: u32) -> Option<Duration> {
    (tries < TRIES).then(|| Duration::from_millis(1 << tries.min(7)))
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            tracing::error!(%error, "the connection to the database broke");
            return Self::Answer(StoreError::Unavailable);
        };
        let constraint = said.constraint().unwrap_or_default();
        match *said.code() {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Again(said.message().to_owned())
            }
            // Two nodes made the same catalogue entry at once (`CREATE … IF NOT EXISTS` does not wait).
            SqlState::DUPLICATE_TABLE | SqlState::DUPLICATE_FUNCTION => {
                Self::Again(said.message().to_owned())
            }
            SqlState::UNIQUE_VIOLATION if constraint.starts_with("pg_") => {
                Self::Again(said.message().to_owned())
            }
            SqlState::INTERNAL_ERROR if said.message().contains("concurrently updated") => {
                Self::Again(said.message().to_owned())
            }
            SqlState::UNIQUE_VIOLATION if let Some(taken) = unique::taken_index(constraint) => {
                Self::Answer(taken)
            }
            _ => {
                tracing::error!(
                    code = said.code().code(),
                    message = said.message(),
                    "the database refused a statement"
                );
                Self::Answer(StoreError::Unavailable)
            }
        }
    }
}
