//! Credentials and link flows: Sequin's view of connections and consents.

use async_trait::async_trait;

use super::Stored;
use crate::ids::{AuthorizationId, ConnectionId, TeamId};
use crate::nouns::{
    Annotation, Authorization, AuthorizationState, CodeSwap, Connection, Credential, Digest, Event,
    Flow, HeldConsent, LinkFlow, TokenSet,
};

/// What of the rows that stand stays when a credential takes their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stays {
    /// The connection is live, as it was read: it keeps the time it was made at. Else there must be no live one.
    pub live: bool,
    /// Its name, of which nothing was said.
    pub name: bool,
    /// Its annotations, of which nothing was said.
    pub metadata: bool,
}

/// Rows beside connections and authorizations.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// What is kept with these connections, as far as there is something.
    async fn credentials(
        &self,
        team: &TeamId,
        connections: &[ConnectionId],
    ) -> Stored<Vec<Credential>>;

    /// Stores a connection with what is kept with it, or renews the one of its id: it is active again,
    /// under the new name and external subject, and `set` takes the place of its token set, attempts and
    /// lease with it. `Missing("connector")`; `Taken("connection.id")` when the id is another connector's, or a live
    /// connection's that did not stand when it was read ([`Stays`]).
    async fn put_credential(
        &self,
        connection: &Connection,
        set: Option<&TokenSet>,
        credential: &Credential,
        stays: Stays,
        event: &Event,
    ) -> Stored<()>;

    /// Gives a live connection another name, other properties and annotations, as far as they are named; all else
    /// stays, whoever changes it meanwhile. `Missing("connection")`.
    async fn annotate_connection(
        &self,
        team: &TeamId,
        connection: &ConnectionId,
        annotation: &Annotation,
        event: &Event,
    ) -> Stored<()>;

    /// Stores a pending authorization with its link flow. `Missing("connector")`.
    async fn create_link_flow(
        &self,
        authorization: &Authorization,
        link: &LinkFlow,
        event: &Event,
    ) -> Stored<()>;

    /// The link flow of an authorization.
    async fn link_flow(&self, id: &AuthorizationId) -> Stored<Option<LinkFlow>>;

    /// [`super::ConnectStore::start_flow`] for an authorization whose link flow has not been started:
    /// exactly one call ever succeeds. `Missing("link_flow")`, `Missing("authorization")`.
    async fn start_link_flow(&self, flow: &Flow) -> Stored<()>;

    /// What is held under the hash of a code, in time or not. For who has the code.
    async fn held_by_code(&self, code: &Digest) -> Stored<Option<HeldConsent>>;

    /// Exchanges a held consent's code, if it is still the one and in time at the event's time: exactly
    /// one call succeeds. `Missing("held_consent")`.
    async fn swap_code(&self, swap: &CodeSwap, event: &Event) -> Stored<()>;

    /// Ends an unconfirmed authorization whose tokens its requester has been given: they are not
    /// revoked. Under the same conditions as [`CredentialStore::swap_code`].
    async fn hand_out_consent(
        &self,
        held: &HeldConsent,
        state: &AuthorizationState,
        event: &Event,
    ) -> Stored<()>;

    /// [`super::ConnectStore::confirm_consent`] with a connection of the caller's choice, as
    /// [`CredentialStore::put_credential`] stores it. `Missing("held_consent")`.
    async fn confirm_credential(
        &self,
        held: &HeldConsent,
        connection: &Connection,
        set: &TokenSet,
        credential: &Credential,
        stays: Stays,
        event: &Event,
    ) -> Stored<()>;
}
