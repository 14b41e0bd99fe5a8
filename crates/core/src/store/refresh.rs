//! The transactions of the refresh protocol (design §6). Each is guarded by the presented set's id.

use std::time::Duration;

use async_trait::async_trait;

use super::{Live, Stored};
use crate::Timestamp;
use crate::ids::{TeamId, TokenSetId};
use crate::nouns::{Event, TokenSet};

/// Answer to [`RefreshStore::begin_attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The attempt is committed; the request may be sent.
    Go {
        /// Its number, from 1.
        number: u32,
        /// When attempt 1 of this set was committed.
        first_sent_at: Timestamp,
    },
    /// The set is not current any more, or its connection is not active.
    Moved,
    /// Somebody else holds the lease.
    Held,
}

/// Answer to [`RefreshStore::complete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The new pair is stored and current.
    Stored,
    /// A newer pair is current: drop this one, never revoke it.
    Superseded,
    /// The connection is revoked or deleted: revoke this pair.
    Dead,
}

/// Answer to [`RefreshStore::reject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The connection needs a new consent now; `lost_response` when an earlier attempt of the set was unresolved.
    Marked {
        /// Whether a lost answer is the likely cause.
        lost_response: bool,
    },
    /// The set moved on: use the current one.
    Moved,
    /// Another node has a live lease on the set: wait for it.
    Held,
}

/// What a flight that ended without an answer leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// True when the request certainly was not processed: its attempt is deleted. False keeps it, as unknown.
    pub not_processed: bool,
    /// True when this flight is over: the lease is released and `failures` counts one more.
    pub release: bool,
    /// No flight before this instant.
    pub not_before: Timestamp,
}

/// Guarded writes of one token set's refresh.
#[async_trait]
pub trait RefreshStore: Send + Sync + 'static {
    /// Before each presentation, one transaction: the set is current and its connection active, the
    /// lease is free, expired or `node`'s and is (re)taken for `lease` from now by the database's
    /// clock, and attempt *n+1* is committed with `sent_at` = the database's clock.
    async fn begin_attempt(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        node: &str,
        lease: Duration,
    ) -> Stored<Begin>;

    /// After a presentation without a verdict. Does nothing to a set that is no longer current.
    async fn end_attempt(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        node: &str,
        number: u32,
        retry: &Retry,
    ) -> Stored<()>;

    /// Success: replaces the presented set by `next` if it is still current and its connection is not
    /// revoked, whoever holds the lease; state becomes active, the presented set's attempts and lease
    /// go, `event` is written. The comparison is on the presented set alone (requirement 39).
    async fn complete(
        &self,
        team: &TeamId,
        presented: &TokenSetId,
        next: &TokenSet,
        event: &Event,
    ) -> Stored<Completion>;

    /// A verdict against the grant: `NeedsReauth(LostResponse)` if attempts of this set other than
    /// `number` are unresolved, `NeedsReauth(Rejected)` otherwise; guarded by set and lease. The set's
    /// row and its attempts stay, so that a late success can clear the state. The stored reason is
    /// written into `event.data.reason`.
    async fn reject(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        node: &str,
        number: u32,
        event: &Event,
    ) -> Stored<Rejection>;

    /// Token sets of all teams with a refresh token, an active connection of a live connector that is
    /// not waiting out a fault, no live lease and `not_before` passed, that arrived before
    /// `idle_since`: oldest first, those behind `after` (arrival and id of a set), at most `limit`.
    /// For keep-alive.
    async fn idle_sets(
        &self,
        idle_since: Timestamp,
        now: Timestamp,
        after: Option<&(Timestamp, TokenSetId)>,
        limit: u32,
    ) -> Stored<Vec<Live>>;
}
