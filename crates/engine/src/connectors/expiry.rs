//! Warnings before a stored key runs out: an event a week before, and one a day before.

use std::time::Duration;

use grantry_core::ids::{ConnectorId, EventId};
use grantry_core::nouns::{Connector, Event, EventKind};
use grantry_core::{Result, StoreError, Timestamp, ids};
use grantry_vault::hash::sha256;

use crate::Engine;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long before, and the days that the event says are left at most.
const WARNINGS: [(Duration, i64); 2] = [(DAY.saturating_mul(7), 7), (DAY, 1)];

/// Connectors looked at in one query.
const BATCH: u32 = 500;

impl Engine {
    /// Warns of every stored key that runs out soon, once for each of [`WARNINGS`]. For the background.
    pub(crate) async fn warn_of_expiries(&self) -> Result<()> {
        let now = self.now();
        let horizon = now.after(WARNINGS[0].0);
        let mut after: Option<(Timestamp, ConnectorId)> = None;
        loop {
            let store = &self.ports.store;
            let found = store
                .expiring_connectors(horizon, after.as_ref(), BATCH)
                .await?;
            for connector in &found {
                for event in self.warnings(connector, now) {
                    match store.append_events(std::slice::from_ref(&event)).await {
                        // It was warned of before, here or on another node.
                        Ok(()) | Err(StoreError::Taken("event.id")) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            let last = found.last();
            after = last.and_then(|last| Some((last.first_expiry()?, last.id.clone())));
            if found.len() < BATCH as usize || after.is_none() || self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// The warning that is due of each key of `connector`, under an id that is the same every time.
    fn warnings(&self, connector: &Connector, now: Timestamp) -> Vec<Event> {
        let due = |(id, expires): (&str, Option<Timestamp>)| {
            let expires = expires.filter(|expires| now < *expires)?;
            let left = expires.since(now);
            // The shortest that fits: a key that came a day before its end is not warned of twice.
            let (_, days) = WARNINGS.iter().rev().find(|(ahead, _)| left <= *ahead)?;
            let event = self
                .system_draft(EventKind::ConnectorKeyExpiring, &connector.team)
                .connector(&connector.id)
                .with("key", id)
                .with("expires_at", expires.as_millis())
                .with("days", *days)
                .done();
            let name = format!("{}\0{id}\0{}\0{days}", connector.id, expires.as_millis());
            let digest = sha256(&[b"key-expiring\0", name.as_bytes()]);
            Some(Event {
                id: EventId::from(format!("evt_{}", ids::of_digest(&digest).replace('-', ""))),
                ..event
            })
        };
        connector.stored_keys().filter_map(due).collect()
    }
}
