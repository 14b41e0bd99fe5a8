//! Connections with what their tokens are served from, from memory where that can be trusted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grantry_core::ids::ConnectionId;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Connection, Connector, Grant, Subject, TokenSet};
use grantry_core::store::{ConnectionFilter, Live, Page};
use grantry_core::{Error, Result, StoreError};

use super::pair::MAIN;
use crate::connectors::brought;
use crate::{Caller, Engine};

/// How long caches are trusted without news of the change feed (design §8).
const TRUST: Duration = Duration::from_secs(2);

/// Connections of one installation that are looked through: one, and one more for each choice of scopes that was made
/// when it was installed.
const OF_ONE_INSTALLATION: u32 = 200;

impl Engine {
    /// The live connection of a grant, from memory where that can be trusted. Absence is not remembered.
    pub(crate) async fn live(&self, caller: &Caller, grant: &Grant) -> Result<Option<Arc<Live>>> {
        let team = &caller.team;
        if let Subject::Connection { id } = &grant.subject {
            let found = self
                .live_by_id(caller, &ConnectionId::from(id.as_str()))
                .await?;
            return Ok(found.filter(|live| {
                live.connection.grant.connector == grant.connector
                    && caller.reaches(&live.connection)
            }));
        }
        let reference = format!("{}\0{}", grant.connector, grant.key());
        if self.caches_are_fresh()
            && let Some(id) = self.caches.grant_refs.get(&reference)
            && let Some(live) = self.caches.lives.get(&*id)
        {
            return Ok(Some(live));
        }
        let Some(found) = self.ports.store.connection_by_grant(team, grant).await? else {
            return Ok(None);
        };
        let id = found.connection.id;
        let ticket = self.caches.grant_refs.ticket(&reference);
        self.caches
            .grant_refs
            .fill(ticket, &reference, Arc::new(id.clone()));
        self.live_by_id(caller, &id).await
    }

    /// The live connection of an installation that was asked for from another environment, where its tokens are of all
    /// ([`brought`]).
    pub(crate) async fn live_elsewhere(
        &self,
        caller: &Caller,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<Option<Arc<Live>>> {
        let found = self
            .installed_elsewhere(&caller.team, connector, grant)
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        // Not kept as the grant's own: this environment may get one of its own at any time.
        self.live_by_id(caller, &found.id).await
    }

    /// The same, for who installs: the oldest one is renewed. What an admin brought along is of the environment that it
    /// was brought for.
    pub(crate) async fn installed_elsewhere(
        &self,
        team: &TeamId,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<Option<Connection>, StoreError> {
        if grant.subject != Subject::App || !brought(connector, grant.installation.as_deref()) {
            return Ok(None);
        }
        let of = ConnectionFilter {
            connector: Some(grant.connector.clone()),
            subject: Some(Subject::App),
            installation: grant.installation.clone(),
            ..ConnectionFilter::default()
        };
        let page = Page {
            oldest_first: true,
            ..Page::first(OF_ONE_INSTALLATION)
        };
        let key = grant.key();
        let of_it = |found: &Connection| {
            let here = Grant {
                environment: grant.environment.clone(),
                ..found.grant.clone()
            };
            here.key() == key && !found.imported
        };
        let found = self.ports.store.connections(team, &of, &page).await?;
        Ok(found.into_iter().find(of_it))
    }

    async fn live_by_id(&self, caller: &Caller, id: &ConnectionId) -> Result<Option<Arc<Live>>> {
        if self.caches_are_fresh()
            && let Some(live) = self.caches.lives.get(id)
            && live.connection.team == caller.team
        {
            return Ok(Some(live));
        }
        let ticket = self.caches.lives.ticket(id);
        let Some(live) = self.ports.store.connection(&caller.team, id).await? else {
            return Ok(None);
        };
        if live.sets.is_empty() {
            return Ok(None);
        }
        let live = Arc::new(live);
        self.caches.lives.fill(ticket, id, Arc::clone(&live));
        Ok(Some(live))
    }

    /// Whether the change feed was heard of lately enough to trust what is in memory.
    pub(crate) fn caches_are_fresh(&self) -> bool {
        let polled = self.caches.polled_at.load(Ordering::Relaxed);
        let now = i64::try_from(self.ports.clock.boot().as_micros()).unwrap_or(i64::MAX);
        polled != i64::MIN && now.saturating_sub(polled) < TRUST.as_micros() as i64
    }
}

/// The set that is served. A live connection without one makes no sense.
pub fn main_set(live: &Live) -> Result<&TokenSet> {
    live.sets
        .iter()
        .find(|set| set.kind == MAIN)
        .ok_or(Error::Internal)
}
