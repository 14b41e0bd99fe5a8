//! Sign-ins, their codes and refresh tokens.

use async_trait::async_trait;

use super::Stored;
use crate::Timestamp;
use crate::ids::{AuthorizationId, SignInId, TeamId};
use crate::nouns::{
    Authorization, Connection, Connector, Digest, Event, Flow, SignIn, SignInGrant, SignedIn,
    TokenSet,
};

/// Rows of sign-ins through a connector.
#[async_trait]
pub trait SignInStore: Send + Sync + 'static {
    /// Live connectors of all teams that are called so by uid, two at most: who signs in names no team, and an
    /// application need not. What strangers learn of it is whether there is one.
    async fn connectors_called(&self, uid: &str) -> Stored<Vec<Connector>>;

    /// Stores a sign-in with the consent that it asks for and the flow that asks for it. `Missing("connector")`.
    async fn start_sign_in(
        &self,
        sign_in: &SignIn,
        authorization: &Authorization,
        flow: &Flow,
        event: &Event,
    ) -> Stored<()>;

    /// The sign-in of a consent, whose id is the proof.
    async fn sign_in_of(&self, authorization: &AuthorizationId) -> Stored<Option<SignIn>>;

    /// One sign-in.
    async fn sign_in(&self, team: &TeamId, id: &SignInId) -> Stored<Option<SignIn>>;

    /// Keeps what came back from the provider until the code is redeemed, as [`super::ConnectStore::hold_consent`] does.
    /// `Missing("authorization")`, `Missing("connector")`.
    async fn answer_sign_in(&self, answer: &SignedIn, event: &Event) -> Stored<()>;

    /// A code or refresh token by its hash, used or not: it is its own proof.
    async fn sign_in_grant(&self, hash: &Digest) -> Stored<Option<SignInGrant>>;

    /// Redeems a code: the consent becomes the connection, `sign_in` has its session, and the refresh token, if one is
    /// given, works from now on. Exactly one call succeeds: `Missing("grant")` for a code that is used, over, or of an ended
    /// sign-in; else as [`super::ConnectStore::confirm_consent`].
    async fn redeem_code(
        &self,
        code: &Digest,
        sign_in: &SignIn,
        refresh: Option<&SignInGrant>,
        connection: &Connection,
        set: &TokenSet,
        event: &Event,
    ) -> Stored<()>;

    /// Replaces a refresh token by `next`, which moves the sign-in's end. Exactly one call succeeds; `Missing("grant")` as
    /// for a code.
    async fn rotate_refresh(
        &self,
        presented: &Digest,
        next: &SignInGrant,
        event: &Event,
    ) -> Stored<()>;

    /// Ends a sign-in: nothing of it works any more. Whether it was not over before.
    async fn end_sign_in(
        &self,
        team: &TeamId,
        id: &SignInId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<bool>;
}
