//! Authorizations and flows.

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{AuthorizationId, ConnectorId, TeamId};
use crate::nouns::{
    Authorization, AuthorizationState, Connection, Digest, DueWebhook, Event, Flow, HeldConsent,
    Installation, Subject, TokenSet, WebhookSecret,
};

/// Which authorizations to list. Absent parts match all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizationFilter {
    /// The one with this id.
    pub id: Option<AuthorizationId>,
    /// Of this connector.
    pub connector: Option<ConnectorId>,
    /// For this subject.
    pub subject: Option<Subject>,
    /// Only those that can still be completed or confirmed at this instant.
    pub open_at: Option<Timestamp>,
}

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

    /// A team's authorizations by time, as far back as they are kept; the page's sort value is
    /// `created_at` in microseconds.
    async fn authorizations(
        &self,
        team: &TeamId,
        filter: &AuthorizationFilter,
        page: &Page,
    ) -> Stored<Vec<Authorization>>;

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

    /// Keeps what the consent to a pending authorization brought until it is confirmed: the
    /// authorization becomes `Unconfirmed`, and nothing else changes. `Missing("authorization")` when it
    /// is not pending, `Missing("connector")` when that was deleted.
    async fn hold_consent(&self, held: &HeldConsent, event: &Event) -> Stored<()>;

    /// What is held of an authorization, in time or not. For who has its verifier, and for the sweep.
    async fn held_consent(&self, id: &AuthorizationId) -> Stored<Option<HeldConsent>>;

    /// What is held of all teams and can no longer be confirmed at `now`, at most `limit`. For the sweep.
    async fn expired_consents(&self, now: Timestamp, limit: u32) -> Stored<Vec<HeldConsent>>;

    /// [`ConnectStore::complete_authorization`] for what is held of `id`, if `code` is its code and it
    /// can still be confirmed at the event's time; else `Missing("held_consent")`. Exactly one call
    /// succeeds.
    async fn confirm_consent(
        &self,
        id: &AuthorizationId,
        code: &Digest,
        connection: &Connection,
        set: &TokenSet,
        event: &Event,
    ) -> Stored<()>;

    /// Ends an unconfirmed authorization without a connection: `state` is final, and the held pair is
    /// queued for revocation, due at once. `Missing("authorization")` when it is not unconfirmed.
    async fn drop_consent(
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

    /// The same for an installation (`authorization.install`), which is made, or brought up to date under its id, and
    /// becomes its connector's default where there is none and it `may_be_default`. `Taken("installation.external_id")` when another row
    /// stands for it.
    async fn complete_installation(
        &self,
        id: &AuthorizationId,
        installation: &Installation,
        may_be_default: bool,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<()>;

    /// Authorizations of all teams whose requesters are to be told by now how they ended, those that have waited the
    /// longest first.
    async fn due_webhooks(&self, now: Timestamp, limit: u32) -> Stored<Vec<DueWebhook>>;

    /// Moves a webhook that was due at `from` to another time, or to none; `tries` is how many it has had then.
    /// Exactly one caller gets `true`.
    async fn move_webhook(
        &self,
        id: &AuthorizationId,
        from: Timestamp,
        to: Option<Timestamp>,
        tries: u32,
    ) -> Stored<bool>;

    /// What the team's webhooks are signed with.
    async fn webhook_secret(&self, team: &TeamId) -> Stored<Option<WebhookSecret>>;

    /// Puts a secret in the place of the one that was made at `expected`, or of none. Whether it was still so.
    async fn put_webhook_secret(
        &self,
        secret: &WebhookSecret,
        expected: Option<Timestamp>,
        event: &Event,
    ) -> Stored<bool>;
}
