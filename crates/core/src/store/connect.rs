//! Authorizations and flows.

use async_trait::async_trait;

use super::Stored;
use crate::Timestamp;
use crate::ids::AuthorizationId;
use crate::nouns::{Authorization, AuthorizationState, Connection, Digest, Event, Flow, TokenSet};

/// Rows of a consent that is under way.
#[async_trait]
pub trait ConnectStore: Send + Sync + 'static {
    /// Stores a pending authorization. `Missing("connector")` when its connector is not live.
    async fn create_authorization(
        &self,
        authorization: &Authorization,
        event: &Event,
    ) -> Stored<()>;

    /// One authorization by its id, which is the link itself.
    async fn authorization(&self, id: &AuthorizationId) -> Stored<Option<Authorization>>;

    /// One authorization by the hash of its verifier.
    async fn authorization_by_verifier(&self, verifier: &Digest) -> Stored<Option<Authorization>>;

    /// Stores a flow. `Missing("authorization")` unless that is pending and not expired at the flow's `created_at`.
    async fn start_flow(&self, flow: &Flow) -> Stored<()>;

    /// One flow by the hash of its state, used or not.
    async fn flow(&self, state: &Digest) -> Stored<Option<Flow>>;

    /// Marks the flow used. Exactly one caller ever gets `true` (requirement 7), and none at or after `expires_at`.
    async fn take_flow(&self, state: &Digest, at: Timestamp) -> Stored<bool>;

    /// Ends a pending authorization without a connection. `Missing("authorization")` when it is not pending.
    async fn fail_authorization(
        &self,
        id: &AuthorizationId,
        state: &AuthorizationState,
        event: &Event,
    ) -> Stored<()>;

    /// Ends a pending authorization with a connection, in one transaction: the authorization becomes
    /// `Success`, the connection is stored or (when its grant has a live one already: same id) made
    /// active again with the new name and external subject, and its token sets of the same kinds are
    /// replaced. The replaced sets' attempts and leases go with them.
    /// `Missing("authorization")` when it is not pending, `Missing("connector")` when that was
    /// deleted, `Taken("connection.grant")` when another live connection has the grant.
    async fn complete_authorization(
        &self,
        id: &AuthorizationId,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<()>;
}
