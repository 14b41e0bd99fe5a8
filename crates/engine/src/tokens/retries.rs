//! Revocations that the provider has not answered yet, tried again in the background (requirement 51).
//!
//! Each connector's are a group of their own: groups go side by side, and one whose provider gives no answer
//! rests, with all that is queued for it, so that it holds up no other's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use grantry_core::ids::ConnectorId;
use grantry_core::nouns::Revocation;
use grantry_core::{Result, StoreError, Timestamp};

use super::revoke::{AT_ONCE, AtProvider, CLAIM};
use crate::Engine;

/// After this long a revocation that never got an answer is given up, with an event.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Revocations claimed at once.
const BATCH: u32 = 100;

/// The shortest and the longest rest.
const REST: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(480));

/// Connectors that can rest at once: they are named in the question for the others.
const RESTING: usize = 100;

/// Connectors whose provider gave no answer lately, and when it is asked again.
#[derive(Default)]
pub struct Resting(Mutex<HashMap<ConnectorId, Rest>>);

#[derive(Clone, Copy)]
struct Rest {
    rounds: u32,
    until: Timestamp,
}

impl Resting {
    fn at(&self, now: Timestamp) -> Vec<ConnectorId> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = map.iter().filter(|(_, rest)| now < rest.until);
        resting.map(|(connector, _)| connector.clone()).collect()
    }

    /// The connector rests, longer each time until it is well.
    fn begin(&self, connector: &ConnectorId, now: Timestamp) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rounds = map.get(connector).map_or(0, |rest| rest.rounds);
        if map.len() >= RESTING {
            map.retain(|_, rest| now < rest.until);
        }
        if map.len() < RESTING {
            let rest = REST.0.saturating_mul(1 << rounds.min(8)).min(REST.1);
            let rest = Rest {
                rounds: rounds + 1,
                until: now.after(rest),
            };
            map.insert(connector.clone(), rest);
        }
    }

    fn end(&self, connector: &ConnectorId) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(connector);
    }
}

impl Engine {
    /// Retries what is due. For the background.
    pub(crate) async fn retry_revocations(self: &Arc<Self>) -> Result<()> {
        loop {
            let resting = self.resting.at(self.now());
            let store = &self.ports.store;
            let due = store
                .due_revocations(self.now(), CLAIM, BATCH, &resting)
                .await?;
            let all = due.len() < BATCH as usize;
            let mut groups: HashMap<ConnectorId, Vec<Revocation>> = HashMap::new();
            for revocation in due {
                let group = groups.entry(revocation.connector.clone()).or_default();
                group.push(revocation);
            }
            let tries = groups
                .into_iter()
                .map(|(connector, group)| async move { self.retry_group(&connector, group).await });
            // One that fails does not cut the others short.
            let tried: Vec<Result<()>> = stream::iter(tries)
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            tried.into_iter().collect::<Result<()>>()?;
            if all || self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Tries one connector's, until its provider has no answer to one of them.
    async fn retry_group(&self, id: &ConnectorId, group: Vec<Revocation>) -> Result<()> {
        let Some(team) = group.first().map(|first| first.team.clone()) else {
            return Ok(());
        };
        let connector = self.ports.store.connector(&team, id.as_str()).await?;
        // A deleted one keeps its secrets until its last token is revoked or given up.
        let client = match connector {
            Some(connector) => Some(self.revoking_client(&connector).await),
            None => None,
        };
        let no_answer = AtomicBool::new(false);
        let (client, no_answer) = (&client, &no_answer);
        let tries = stream::iter(group).map(|revocation| async move {
            let now = self.now();
            let overdue = now.since(revocation.created_at) > GIVE_UP_AFTER;
            let verdict = match client {
                None => AtProvider::Failed,
                // Not asked again in this round; what is overdue has had its last chance.
                Some(_) if no_answer.load(Ordering::Relaxed) && overdue => AtProvider::Failed,
                Some(_) if no_answer.load(Ordering::Relaxed) => return Ok(()),
                // The rest is due again when this claim has run out, which is the next claim's to try.
                Some(_) if self.stop.is_cancelled() || now >= revocation.not_before => {
                    return Ok(());
                }
                Some(client) => self.try_at_provider(client, &revocation).await,
            };
            let verdict = match verdict {
                AtProvider::Later(_) => {
                    no_answer.store(true, Ordering::Relaxed);
                    if overdue { AtProvider::Failed } else { verdict }
                }
                verdict => verdict,
            };
            self.settle(&revocation, verdict).await
        });
        let tried: Vec<Result<(), StoreError>> = tries.buffer_unordered(AT_ONCE).collect().await;
        if no_answer.load(Ordering::Relaxed) {
            self.resting.begin(id, self.now());
        } else {
            self.resting.end(id);
        }
        Ok(tried.into_iter().collect::<Result<(), StoreError>>()?)
    }
}
