//! The log of what was asked and answered, for the race checker and for curious people. It names
//! refresh tokens by family and generation and holds no token.

use std::collections::{BTreeMap, VecDeque};

use grantry_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::faults::Endpoint;
use crate::model::Place;

/// Entries kept; the oldest are dropped first.
const ENTRIES_MAX: usize = 1_000_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the order of arrival, from 0.
    pub seq: u64,
    /// Microseconds since 1970.
    pub at: Timestamp,
    /// Where it went.
    pub endpoint: Endpoint,
    /// As presented, authenticated or not.
    pub client_id: Option<String>,
    /// As presented.
    pub grant_type: Option<String>,
    /// Of the refresh token presented, as it stood before this request.
    pub refresh: Option<Place>,
    /// Names of the faults played.
    pub faults: Vec<String>,
    /// What became of the request.
    pub outcome: Outcome,
    /// HTTP status of the answer, sent or not.
    pub status: u16,
    /// OAuth error code of the answer.
    pub error: Option<String>,
    /// When an answer that settles the matter (usable tokens, or `invalid_grant`) was handed to the
    /// connection whole. Absent while that is pending; for good when the answer was lost, cut or
    /// spoiled, when it invites another try, or when the client went away first.
    pub answered_at: Option<Timestamp>,
}

/// What became of a request on the provider's side, whatever the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Processed: codes redeemed, tokens rotated.
    Done,
    /// Refused by the rules.
    Refused,
    /// Never looked at: a fault answered instead.
    Skipped,
}

/// Counts since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests per endpoint.
    pub requests: BTreeMap<Endpoint, u64>,
    /// Token requests per grant type, as presented.
    pub grants: BTreeMap<String, u64>,
    /// Token requests that were processed.
    pub issued: u64,
    /// Token requests that were refused by the rules.
    pub refused: u64,
    /// Consents redeemed since the start.
    pub families: u64,
    /// Of these, ended because a token or a code was used twice.
    pub families_killed_by_reuse: u64,
    /// Requests that followed a redirect which must not be followed (requirement 47).
    pub trapped: u64,
}

/// The log and the counts.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    next_seq: u64,
    pub(crate) stats: Stats,
}

impl Log {
    /// Appends `entry` under the next position, which it returns.
    pub(crate) fn push(&mut self, entry: Entry) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        *self.stats.requests.entry(entry.endpoint).or_default() += 1;
        if entry.endpoint == Endpoint::Token {
            if let Some(grant_type) = &entry.grant_type {
                *self.stats.grants.entry(grant_type.clone()).or_default() += 1;
            }
            match entry.outcome {
                Outcome::Done => self.stats.issued += 1,
                Outcome::Refused => self.stats.refused += 1,
                Outcome::Skipped => {}
            }
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { seq, ..entry });
        seq
    }

    /// Notes that the answer to entry `seq` went out whole.
    pub(crate) fn answered(&mut self, seq: u64, now: Timestamp) {
        let first = self.entries.front().map_or(0, |entry| entry.seq);
        let index = seq
            .checked_sub(first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            entry.answered_at = Some(now);
        }
    }

    /// All entries that are kept, oldest first.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.iter().cloned().collect()
    }

    /// Forgets entries and counts. Positions go on, so that a late answer marks no other entry.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.stats = Stats::default();
    }
}
