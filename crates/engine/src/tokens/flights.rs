//! One flight at a time for one thing, and every caller on board gets its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use grantry_core::ids::TokenSetId;
use grantry_core::limits;
use grantry_core::meter::SPANS;
use grantry_core::store::{Live, Spooled};
use grantry_core::{Error, Result, Timestamp};
use tracing::Instrument as _;

use crate::Engine;

/// How a flight ended: the connection as it then was, or why there is no new token.
pub type Landed = Result<Arc<Live>>;

/// A flight that can be waited for by many. Dropping it cancels nothing.
pub type Flight = Shared<BoxFuture<'static, Landed>>;

/// The flights of this process, by what they renew.
#[derive(Default)]
pub struct Flights {
    under_way: Mutex<HashMap<String, Flight>>,
    /// Pairs that arrived and are only in the spool, by the set that was presented for them: that
    /// set must not be presented again (design §6, promise 1).
    spooled: Mutex<HashMap<TokenSetId, Spooled>>,
    /// Why a pair that arrived is durable nowhere yet, by the set that was presented for it.
    stranded: Mutex<HashMap<TokenSetId, Error>>,
    /// Grants whose first token was asked for in vain, by flight.
    resting: Mutex<HashMap<String, Rest>>,
}

/// A pause after flights without a result.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    /// Failures in a row.
    pub failures: u32,
    /// No flight before this instant.
    pub until: Timestamp,
}

impl Flights {
    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        let map = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        map.len()
    }

    /// Pairs that the store has not taken yet.
    pub(crate) fn spooled_pairs(&self) -> usize {
        let map = self.spooled.lock().unwrap_or_else(PoisonError::into_inner);
        map.len()
    }

    pub(super) fn rest(&self, flight: &str) -> Option<Rest> {
        let map = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(flight).copied()
    }

    pub(super) fn begin_rest(&self, flight: String, rest: Rest, now: Timestamp) {
        let mut map = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= limits::RESTING_GRANTS_MAX {
            map.retain(|_, rest| now < rest.until);
        }
        if map.len() < limits::RESTING_GRANTS_MAX {
            map.insert(flight, rest);
        }
    }

    pub(super) fn end_rest(&self, flight: &str) {
        self.resting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(flight);
    }

    /// Why nobody may see the successor of `presented` yet, though it has arrived.
    pub(super) fn stranded(&self, presented: &TokenSetId) -> Option<Error> {
        let map = self.stranded.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(presented).cloned()
    }

    pub(super) fn strand(&self, presented: &TokenSetId, why: Error) {
        let mut map = self.stranded.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(presented.clone(), why);
    }

    pub(super) fn rescue(&self, presented: &TokenSetId) {
        let mut map = self.stranded.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(presented);
    }

    pub(super) fn spooled(&self, presented: &TokenSetId) -> Option<Spooled> {
        self.spooled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(presented)
            .cloned()
    }

    pub(crate) fn remember_spooled(&self, spooled: Spooled) {
        let mut map = self.spooled.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(spooled.presented.clone(), spooled);
    }

    pub(crate) fn forget_spooled(&self, presented: &TokenSetId) {
        self.spooled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(presented);
    }
}

impl Engine {
    /// Joins the flight `name`, or starts it with `work`. The flight is a task of its own: no
    /// caller's disconnect or timeout ends it (design §6b).
    pub(super) fn fly<W>(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce(Arc<Self>) -> W,
    ) -> Flight
    where
        W: Future<Output = Landed> + Send + 'static,
    {
        let mut under_way = self
            .flights
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&name) {
            return flight.clone();
        }
        let (engine, work, key) = (Arc::clone(self), work(Arc::clone(self)), name.clone());
        // In the trace of whoever asked first.
        let span = tracing::info_span!(target: SPANS, "flight");
        let task = self.tasks.spawn(async move {
            let landed = std::panic::AssertUnwindSafe(work.instrument(span))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| {
                    tracing::error!(flight = %key, "a flight panicked");
                    Err(Error::Internal)
                });
            engine
                .flights
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&key);
            landed
        });
        let flight = task
            .map(|joined| joined.unwrap_or(Err(Error::Internal)))
            .boxed()
            .shared();
        under_way.insert(name, flight.clone());
        flight
    }
}
