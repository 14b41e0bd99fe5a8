//! A pair that arrived is durable before anyone sees it (design §6e, promise 2).

use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{
    Connection, ConnectionState, Connector, EventKind, Revocation, TokenSet,
};
use grantry_core::store::{Completion, Live, Spooled};
use grantry_core::{Result, StoreError};

use super::flights::Landed;
use super::pair::{CLAIMS, NewPair, beside, forwards_claims};
use super::read::reconnect;
use crate::Engine;

/// Tries at the store before a pair is taken elsewhere or given up.
pub const TRIES: u32 = 3;
/// Pause between them.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Pause between rounds when neither the store nor the spool takes the pair.
const ROUND: Duration = Duration::from_secs(1);

/// What became of a spooled pair.
pub(crate) enum Home {
    /// It is in the store: the connection as it now is.
    Stored(Arc<Live>),
    /// The store cannot say yet. The pair is durable where it is, and as good as stored.
    StillSpooled(Arc<Live>),
    /// It is not needed any more: a newer pair is current, or the connection is revoked.
    Settled(Landed),
}

impl Home {
    /// What a flight that brought it home serves.
    pub(super) fn landed(self) -> Landed {
        match self {
            Self::Stored(live) | Self::StillSpooled(live) => Ok(live),
            Self::Settled(landed) => landed,
        }
    }
}

impl Engine {
    /// Stores a pair that arrived for `presented`, or spools it; only then returns it.
    pub(super) async fn land(
        self: &Arc<Self>,
        connector: &Connector,
        connection: &Connection,
        presented: &TokenSet,
        pair: NewPair,
        kind: EventKind,
    ) -> Landed {
        let mut next = self
            .token_set(&presented.team, &connection.id, pair)
            .await?;
        // What the answer did not repeat still holds (RFC 6749 §6).
        next.scope = next.scope.or_else(|| presented.scope.clone());
        if kind == EventKind::TokenRefreshed {
            next.metadata = beside(&presented.metadata, next.metadata);
        }
        // Nor does a refresh repeat whose account it is.
        if let Some(claims) = presented.metadata.get(CLAIMS)
            && forwards_claims(connector)
        {
            next.metadata.insert(CLAIMS.to_owned(), claims.clone());
        }
        let spooled = Spooled {
            presented: presented.id.clone(),
            next,
        };
        // What is wrong is said once, not once a second: the log may be on the disk that is full.
        let mut said = false;
        let landed = loop {
            let refused = match self.store_pair(connection, &spooled, kind).await {
                Ok(landed) => break landed,
                Err(error) => error,
            };
            if !said {
                tracing::error!(connection = %connection.id, error = %refused, "the store does not take a refreshed pair; spooling it");
            }
            match self.ports.spool.keep(&spooled).await {
                Ok(()) => {
                    self.flights.remember_spooled(spooled.clone());
                    break Ok(Arc::new(renewed(connection, spooled.next)));
                }
                // Nobody has seen the pair, and nobody may before it is durable: keep trying.
                Err(error) => {
                    if !said {
                        tracing::error!(
                            connection = %connection.id, %error,
                            "the spool does not take a refreshed pair either: it is in memory alone until there is room"
                        );
                    }
                    self.flights.strand(&presented.id, refused.into());
                }
            }
            said = true;
            self.ports.clock.sleep(ROUND).await;
        };
        self.flights.rescue(&presented.id);
        landed
    }

    /// Tries to bring a spooled pair into the store.
    pub(crate) async fn bring_home(
        self: &Arc<Self>,
        connection: &Connection,
        spooled: Spooled,
    ) -> Result<Home> {
        let stored = self
            .store_pair(connection, &spooled, EventKind::TokenRefreshed)
            .await;
        let Ok(landed) = stored else {
            let live = renewed(connection, spooled.next);
            return Ok(Home::StillSpooled(Arc::new(live)));
        };
        self.ports.spool.remove(&spooled.next.id).await?;
        self.flights.forget_spooled(&spooled.presented);
        Ok(match landed {
            Ok(live) if live.sets.iter().any(|set| set.id == spooled.next.id) => Home::Stored(live),
            landed => Home::Settled(landed),
        })
    }

    /// Compare-and-swap on the presented set. `Err` when the store cannot say.
    async fn store_pair(
        self: &Arc<Self>,
        connection: &Connection,
        spooled: &Spooled,
        kind: EventKind,
    ) -> Result<Landed, StoreError> {
        let Spooled { presented, next } = spooled;
        let event = self
            .system_draft(kind, &next.team)
            .connector(&connection.grant.connector)
            .connection(&connection.id)
            .with("token_set", next.id.as_str())
            .done();
        let mut tries = 0;
        let completion = loop {
            tries += 1;
            match self
                .ports
                .store
                .complete(&next.team, presented, next, &event)
                .await
            {
                Err(_) if tries < TRIES => self.ports.clock.sleep(PAUSE).await,
                other => break other?,
            }
        };
        self.caches.lives.invalidate(&connection.id);
        let stored = self
            .ports
            .store
            .connection(&next.team, &connection.id)
            .await?;
        let current = stored.filter(|live| live.connection.state != ConnectionState::Revoked);
        match (completion, current) {
            (Completion::Stored, Some(live)) => Ok(Ok(Arc::new(live))),
            // An earlier try was committed although it seemed to fail: the pair is known by its id.
            (Completion::Superseded, Some(live))
                if live.sets.iter().any(|set| set.id == next.id) =>
            {
                Ok(Ok(Arc::new(live)))
            }
            (Completion::Superseded, Some(live)) => {
                // Dropped, never revoked: that would end the winner's grant (design §6e).
                let event = self
                    .system_draft(EventKind::TokenDropped, &next.team)
                    .connector(&connection.grant.connector)
                    .connection(&connection.id)
                    .done();
                self.ports.store.append_events(&[event]).await?;
                Ok(Ok(Arc::new(live)))
            }
            (Completion::Stored, None) => Ok(Err(reconnect(ReconnectReason::Revoked))),
            (Completion::Dead | Completion::Superseded, _) => {
                self.revoke_late(connection, next).await?;
                Ok(Err(reconnect(ReconnectReason::Revoked)))
            }
        }
    }

    /// The connection ended while the flight was in the air: what it brought is revoked too (requirement 52).
    async fn revoke_late(
        self: &Arc<Self>,
        connection: &Connection,
        next: &TokenSet,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let revocation = Revocation {
            set: next.id.clone(),
            team: next.team.clone(),
            connector: connection.grant.connector.clone(),
            connection: connection.id.clone(),
            access: next.access.clone(),
            refresh: next.refresh.clone(),
            servers: next.servers.clone(),
            tries: 0,
            created_at: now,
            not_before: now,
        };
        self.ports.store.queue_revocation(&revocation).await
    }

    /// The provider has taken the connector's client: whatever it refused it for before is over.
    pub(crate) async fn was_taken(&self, connector: &Connector) {
        if connector.fault.is_some() {
            self.recovered(connector).await;
        }
    }

    pub(crate) async fn recovered(&self, connector: &Connector) {
        let event = self
            .system_draft(EventKind::ConnectorRecovered, &connector.team)
            .connector(&connector.id)
            .done();
        if let Err(error) = self
            .ports
            .store
            .set_fault(&connector.team, &connector.id, None, Some(&event))
            .await
        {
            tracing::warn!(connector = %connector.id, %error, "a connector's fault could not be cleared");
        }
        self.caches.connectors.invalidate(&connector.id);
    }
}

/// The connection as it will be once the spooled pair is home.
fn renewed(connection: &Connection, next: TokenSet) -> Live {
    let connection = Connection {
        state: ConnectionState::Active,
        ..connection.clone()
    };
    Live {
        connection,
        sets: vec![next],
    }
}
