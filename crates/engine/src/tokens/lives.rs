//! Connections with what their tokens are served from, from memory where that can be trusted.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use grantry_core::ids::ConnectionId;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Connection, Connector, Grant, Subject, TokenSet};
use grantry_core::store::{ConnectionFilter, Live, Page};
use grantry_core::{Error, Result, StoreError};

use super::pair::MAIN;
use crate::connectors::{Entry, brought};
use crate::{Caller, Engine};

/// How long caches are trusted without news of the change feed (design §8).
const TRUST: Duration = Duration::from_secs(2);

/// Connections of one installation that are looked through: one, and one more for each choice of scopes that was made
/// when it was installed.
const OF_ONE_INSTALLATION: u32 = 200;

/// In which tenant the installation of a connection is, as it was read beside `connector`. Whatever changes an
/// installation ends its connector's entry, so with another entry this is worth nothing.
pub(crate) struct KnownTenant {
    connector: Weak<Entry>,
    tenant: Option<String>,
}

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

    /// The provider's id of the tenant that a connection's installation is in, where that is another one than the
    /// installation's. Kept for each connection, not for all installations of a connector, of which there may be many.
    pub(super) async fn tenant(
        &self,
        entry: &Arc<Entry>,
        connection: &Connection,
    ) -> Result<Option<String>> {
        let Some(installation) = &connection.grant.installation else {
            return Ok(None);
        };
        let id = &connection.id;
        if let Some(known) = self.caches.tenants.get(id)
            && known.connector.as_ptr() == Arc::as_ptr(entry)
        {
            return Ok(known.tenant.clone());
        }
        let ticket = self.caches.tenants.ticket(id);
        let store = &self.ports.store;
        let row = store
            .installation_by_external_id(&connection.team, &entry.connector.id, installation)
            .await?;
        let tenant = row.and_then(|row| row.tenant);
        let known = KnownTenant {
            connector: Arc::downgrade(entry),
            tenant: tenant.clone(),
        };
        self.caches.tenants.fill(ticket, id, Arc::new(known));
        Ok(tenant)
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
