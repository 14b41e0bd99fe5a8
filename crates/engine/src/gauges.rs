//! What operators look at: how much waits, and what memory holds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use grantry_core::Result;
use grantry_core::store::Depths;

use crate::Engine;

/// This process as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// Flights under way.
    pub flights: usize,
    /// Pairs that arrived and that the store has not taken yet.
    pub spooled: usize,
    /// How long ago the change feed was last asked; nothing before it was. Over 2 s, no cache is trusted.
    pub feed_age: Option<Duration>,
    /// One for each cache.
    pub caches: Vec<CacheGauge>,
}

/// A cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheGauge {
    /// What it holds.
    pub name: &'static str,
    /// Entries.
    pub entries: usize,
    /// Look-ups that found nothing.
    pub misses: u64,
    /// Look-ups that found something.
    pub hits: u64,
}

impl Engine {
    /// What this process is at.
    pub fn gauges(&self) -> Gauges {
        let caches = &self.caches;
        let cache = |name, (entries, misses, hits)| CacheGauge {
            name,
            entries,
            misses,
            hits,
        };
        let polled = self.caches.polled_at.load(Ordering::Relaxed);
        let polled = u64::try_from(polled).ok().map(Duration::from_micros);
        let now = self.ports.clock.boot();
        Gauges {
            flights: self.flights.under_way(),
            spooled: self.flights.spooled_pairs(),
            feed_age: polled.map(|polled| now.saturating_sub(polled)),
            caches: vec![
                cache("callers", caches.callers.counts()),
                cache("connector_refs", caches.connector_refs.counts()),
                cache("connectors", caches.connectors.counts()),
                cache("grant_refs", caches.grant_refs.counts()),
                cache("connections", caches.lives.counts()),
                cache("tenants", caches.tenants.counts()),
            ],
        }
    }

    /// What waits in the whole server.
    pub async fn depths(&self) -> Result<Depths> {
        Ok(self.ports.store.depths(self.now()).await?)
    }
}
