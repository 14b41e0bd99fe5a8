//! The ends of deleted connectors.

use std::time::Duration;

use async_trait::async_trait;

use super::{Ended, Stored};
use crate::Timestamp;
use crate::ids::{ConnectorId, TeamId};
use crate::nouns::{Actor, Event};

/// A deleted connector that is not at its end: it has live connections, or tokens that its provider is to
/// revoke, for which its secrets are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// The connector.
    pub connector: ConnectorId,
    /// Its team, which may be gone.
    pub team: TeamId,
    /// Who deleted it.
    pub actor: Actor,
}

/// The ends of deleted connectors: [`super::ConnectorStore::delete_connector`] and
/// [`super::TenancyStore::delete_team`] begin them, and a node that stops leaves them to the others. For
/// background work.
#[async_trait]
pub trait EndingStore: Send + Sync + 'static {
    /// Ends that are due at `now`, at most `limit`; nobody else takes them for `claim`.
    async fn due_endings(&self, now: Timestamp, claim: Duration, limit: u32)
    -> Stored<Vec<Ending>>;

    /// Nobody takes it before `not_before`.
    async fn delay_ending(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        not_before: Timestamp,
    ) -> Stored<()>;

    /// Ends the oldest `limit` of its connections as [`super::ConnectionStore::revoke`] does. `Missing("ending")`
    /// when the connector is not ending (any more).
    async fn end_connections(
        &self,
        ending: &Ending,
        at: Timestamp,
        claim: Duration,
        limit: u32,
        event: &Event,
    ) -> Stored<Ended>;

    /// Destroys the connector's secrets, which is its end. Nothing for one that is not ending (any more);
    /// `InUse("connector.connections")` and `InUse("connector.revocations")` while it has live connections, or
    /// tokens that its provider is to revoke.
    async fn finish_ending(&self, team: &TeamId, connector: &ConnectorId) -> Stored<()>;
}
