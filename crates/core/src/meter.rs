//! The port for what operators count and time. Whoever sees something worth a number says so here;
//! what becomes of it (Prometheus, nothing) is the server's business.
//!
//! Words are fixed ones of ours, so that their number is small: never an id of a user, a team, a
//! connector or a connection.

use std::time::Duration;

/// Target of the spans that a tracing system is sent (`tracing`'s word). Nobody listens to it unless an
/// endpoint is configured. Their fields hold no secret, and of a URL the host at most.
pub const SPANS: &str = "grantry_spans";

/// Takes note of what was seen. Called on the hot path: an implementation takes no lock there and never waits.
pub trait Meter: Send + Sync + 'static {
    /// It happened.
    fn note(&self, seen: Seen<'_>);
}

/// What is worth a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A request was answered.
    Request {
        /// GET, POST, …
        method: &'a str,
        /// The route's pattern; empty when none matched.
        route: &'a str,
        /// HTTP status.
        status: u16,
        /// From the headers to the answer's.
        took: Duration,
    },
    /// A token was asked for.
    TokenRead {
        /// How it ended: `served`, `renewed`, `needs_consent`, …
        outcome: &'static str,
    },
    /// A flight that was to renew a token landed.
    Refresh {
        /// The catalogue's id of the service.
        service: &'a str,
        /// `renewed`, or why not.
        outcome: &'static str,
    },
    /// An outgoing request ended.
    ProviderRequest {
        /// `token`, `discovery` or `search`.
        purpose: &'static str,
        /// `public`, or `allowed` by the deployment's list.
        destination: &'static str,
        /// The status' class (`2xx`), or why there is no answer.
        outcome: &'static str,
        /// From its begin to the last byte.
        took: Duration,
    },
    /// The database read or wrote.
    Database {
        /// `read` or `write`.
        operation: &'static str,
        /// `done`, `refused` (an expectation failed), or `unavailable`.
        outcome: &'static str,
        /// With all waiting.
        took: Duration,
    },
    /// The embedded database committed a group of writes.
    Commit {
        /// Writes in it.
        writes: usize,
        /// Writes that wait for the next one.
        queued: usize,
    },
    /// PostgreSQL refused a write because of another beside it; it is run again.
    WriteRepeated,
    /// A connection of the pool was waited for.
    PoolWait {
        /// How long.
        took: Duration,
    },
}

/// Takes note of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn note(&self, _seen: Seen<'_>) {}
}
