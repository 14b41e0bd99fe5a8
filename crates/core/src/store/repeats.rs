//! Requests that may be repeated: each `Idempotency-Key` is carried out at most once.

use async_trait::async_trait;

use super::Stored;
use crate::Timestamp;
use crate::nouns::{KeyedRequest, Sealed};

/// Keyed requests. Their ids are hashes in which the team is one part; none of them is cached.
#[async_trait]
pub trait RepeatStore: Send + Sync + 'static {
    /// Reserves the request's id from its `created_at` on; of many at once one succeeds. Returns the
    /// standing row where there is one that has not expired by then, and `None` when the id is reserved.
    async fn reserve_request(&self, request: &KeyedRequest) -> Stored<Option<KeyedRequest>>;
    /// Keeps the answer to a reserved request. `Missing("keyed_request")` when that has been answered,
    /// or its reservation is gone.
    async fn answer_request(&self, reserved: &KeyedRequest, answer: &Sealed) -> Stored<()>;
    /// Gives up a reservation that was not answered: nothing was done. No error when it is gone.
    async fn release_request(&self, reserved: &KeyedRequest) -> Stored<()>;
    /// Drops at most `limit` requests that have expired by `now`; how many it were.
    async fn sweep_requests(&self, now: Timestamp, limit: u32) -> Stored<u64>;
}
