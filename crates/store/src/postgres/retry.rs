//! What PostgreSQL's refusals mean.

use std::time::Duration;

use grantry_core::StoreError;
use tokio_postgres::error::SqlState;

use crate::unique;

/// A write that was refused, and rolled back.
pub(super) enum Refusal {
    /// For the caller.
    Answer(StoreError),
    /// A text that no row can hold, as PostgreSQL has none with NUL in it. Who asks for it is at fault.
    NoSuchText,
    /// Because of a transaction beside it: run the same list again.
    Again(String),
}

/// Tries before a write is given up: some seconds of them. Two hundred callers on one row need a few.
const TRIES: u32 = 40;

/// Tries beside the node's other writes. Where that many collide they would go on to; after this the
/// write has the node for itself, so that no more writes compete than there are nodes.
pub(super) const TRIES_IN_THE_CROWD: u32 = 3;

/// Longest pause.
const PAUSE_MAX: u64 = 100;

/// Pause before try `tries + 1`; none when it is time to give up. Anything up to twice the one before, as
/// `noise` will have it: writes that collided must not meet again.
pub(super) fn pause(tries: u32, noise: Duration) -> Option<Duration> {
    let longest = PAUSE_MAX.min(2 << tries.min(16)) * 1000;
    // The last digits of a clock that counts nanoseconds, spread over all bits (Knuth's multiplier).
    let draw = u64::from(noise.subsec_nanos()).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (tries < TRIES).then(|| Duration::from_micros(draw % longest))
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
            // Two nodes made the same catalogue entry at once (`CREATE … IF NOT EXISTS` does not wait). Of a
            // table it may be the row type that is seen first: a duplicate object.
            SqlState::DUPLICATE_TABLE
            | SqlState::DUPLICATE_OBJECT
            | SqlState::DUPLICATE_FUNCTION => Self::Again(said.message().to_owned()),
            SqlState::UNIQUE_VIOLATION if constraint.starts_with("pg_") => {
                Self::Again(said.message().to_owned())
            }
            SqlState::INTERNAL_ERROR if said.message().contains("concurrently updated") => {
                Self::Again(said.message().to_owned())
            }
            SqlState::UNIQUE_VIOLATION if let Some(taken) = unique::taken_index(constraint) => {
                Self::Answer(taken)
            }
            SqlState::DISK_FULL => {
                tracing::error!(
                    message = said.message(),
                    "the disk of the database is full: no write is taken until there is room"
                );
                Self::Answer(StoreError::Full)
            }
            SqlState::CHARACTER_NOT_IN_REPERTOIRE | SqlState::UNTRANSLATABLE_CHARACTER => {
                Self::NoSuchText
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_differ_and_end() {
        let at = |tries, nanos| pause(tries, Duration::from_nanos(nanos));
        let draws: std::collections::BTreeSet<_> = (0..100).map(|nanos| at(5, nanos)).collect();
        assert!(draws.len() > 90, "only {} of 100 differ", draws.len());
        let longest = |tries| {
            (0..1000)
                .filter_map(|nanos| at(tries, nanos))
                .max()
                .unwrap()
        };
        assert!(longest(1) <= Duration::from_millis(4));
        assert!((Duration::from_millis(50)..=Duration::from_millis(100)).contains(&longest(20)));
        assert_eq!(at(TRIES, 1), None);
    }
}
